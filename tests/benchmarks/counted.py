"""pairingd, which writes a line for each program it starts and each file it opens.

python -m tests.benchmarks.counted FILE [pairingd's arguments]
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

# Audit events (PEP 578) of CPython; asyncio starts programs by subprocess.
_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec")


def main() -> None:
    path, *arguments = sys.argv[1:]
    record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(event: str, given: tuple[Any, ...]) -> None:
        if event in _STARTS:
            words = " ".join(map(str, given[1])) if event == "subprocess.Popen" else ""
            os.write(record, f"start {event} {words}\n".encode())
        elif event == "open":
            os.write(record, b"open\n")

    sys.argv = ["pairingd", *arguments]
    sys.addaudithook(note)
    runpy.run_module("pairingd", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
