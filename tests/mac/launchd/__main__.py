"""The model with real processes, and the client of it: `launchctl`.

With `--serve` it is launchd, else launchctl. QUIRKS holds the model's quirks in force, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.mac.launchd.model import Job, Launchd, Signal, Spawn

SOCKET: Final = "/private/tmp/launchd.sock"
QUIRKS: Final = "/private/tmp/launchd.quirks"
# launchd's own, whatever the user's shell has; the coverage of a test run besides.
KEPT: Final = ("HOME", "USER", "LOGNAME", "SHELL", "TMPDIR")
PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"
STEP_S: Final = 0.05


def serve() -> None:
    launchd = Launchd(os.getuid())
    children: dict[int, subprocess.Popen[bytes]] = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        listener.bind(SOCKET)
        listener.listen()
        ready.register(listener, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            if ready.select(STEP_S):
                answer(launchd, listener)
            for pid, child in [*children.items()]:
                if child.poll() is not None:
                    del children[pid]
                    launchd.ended(pid, child.returncode, time.monotonic())
            for action in launchd.due(time.monotonic()):
                if isinstance(action, Spawn):
                    child = spawn(action.job)
                    action.job.pid = child.pid
                    children[child.pid] = child
                else:
                    send(action)


def answer(launchd: Launchd, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rw", encoding="utf-8") as words:
        argv = json.loads(words.readline())
        if Path(QUIRKS).exists():
            launchd.quirks.update(json.loads(Path(QUIRKS).read_text(encoding="utf-8")))
        words.write(json.dumps(launchd.command(argv, time.monotonic())))


def spawn(job: Job) -> subprocess.Popen[bytes]:
    plist = job.plist
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    environment = {
        **kept,
        **{name: os.environ[name] for name in KEPT},
        "PATH": PATH,
        "XPC_SERVICE_NAME": job.label,
        "XPC_FLAGS": "0x0",
        **plist.get("EnvironmentVariables", {}),
    }
    with (
        Path(plist.get("StandardOutPath", os.devnull)).open("ab") as out,
        Path(plist.get("StandardErrorPath", os.devnull)).open("ab") as error,
    ):
        return subprocess.Popen(
            plist["ProgramArguments"],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            start_new_session=True,
            umask=plist.get("Umask", -1),
        )


def send(action: Signal) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it, or all of it, has ended
        (os.killpg if action.group else os.kill)(action.pid, action.number)


def launchctl(argv: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        with connection.makefile("rw", encoding="utf-8") as words:
            words.write(json.dumps(argv) + "\n")
            words.flush()
            code, text = json.loads(words.read())
    if text:
        print(text, file=sys.stderr if code else sys.stdout)
    return int(code)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    sys.exit(launchctl(sys.argv[1:]))
