"""Programs that end with the process that started them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stage import until
from tests.waiting import has_ended

PARENT = """
import asyncio, sys
from pairingd.process.mortal import mortal

async def main():
    argv, inherited = await mortal("sleep", "3600", signal=sys.argv[1])
    child = await asyncio.create_subprocess_exec(*argv, pass_fds=inherited, process_group=0)
    print(child.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", ["TERM", "KILL"])
@pytest.mark.parametrize("setpriv", ["the system's", "exit 1", None])
def test_a_mortal_program_ends_with_the_killed_process_that_started_it(
    tmp_path: Path, setpriv: str | None, number: str
) -> None:
    """Without a setpriv that can, a shell beside the program ends it."""
    shells = 0
    for name in ("sleep", "sh"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    path = os.environ["PATH"]
    if setpriv != "the system's":
        path, shells = os.fspath(tmp_path), 1
    elif sys.platform != "linux" or not shutil.which("setpriv"):
        pytest.skip("needs Linux and setpriv")
    if setpriv == "exit 1":  # as BusyBox's
        (tmp_path / "setpriv").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "setpriv").chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, number],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": path},
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep", "it has become the program")
        beside = child.children()
        assert len(beside) == shells
        parent.kill()
        until(lambda: all(map(has_ended, [child, *beside])), "they have ended")
