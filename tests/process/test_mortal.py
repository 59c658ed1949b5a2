"""Programs that end with the process that started them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pairingd.process.mortal import mortal
from tests.stage import until

PARENT = """
import asyncio, sys
from pairingd.process.mortal import mortal

async def main():
    argv = await mortal("sleep", "3600", signal=sys.argv[1])
    child = await asyncio.create_subprocess_exec(*argv)
    print(child.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""

linux_with_setpriv = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("setpriv"), reason="needs Linux and setpriv"
)


@linux_with_setpriv
@pytest.mark.parametrize("number", ["TERM", "KILL"])
def test_a_mortal_program_ends_with_the_killed_process_that_started_it(number: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, number], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep", "it has become the program")
        parent.kill()
        until(
            lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "it has ended"
        )


@pytest.mark.parametrize("script", ["exit 1", None])
async def test_a_command_stays_as_it_is_without_a_setpriv_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    if script:
        (tmp_path / "setpriv").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "setpriv").chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    assert await mortal("/bin/sleep", "1") == ("/bin/sleep", "1")
