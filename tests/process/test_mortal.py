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
        until(lambda: is_gone(child), "it has ended")


def refusing(directory: Path) -> str:
    """With a setpriv that cannot, as BusyBox's."""
    (directory / "setpriv").write_text("#!/bin/sh\nexit 1\n")
    (directory / "setpriv").chmod(0o755)
    return os.fspath(directory)


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_command_stays_as_it_is_without_a_setpriv_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    monkeypatch.setenv("PATH", refusing(tmp_path) if refuses else os.fspath(tmp_path))
    assert await mortal("/bin/sleep", "1") == ("/bin/sleep", "1")


SHELL = """
import asyncio
from pairingd.process.mortal import watch

async def main():
    beside, inherited = await watch()
    start = ("/bin/sh", "-c", f'{beside} exec "$@"', "sh", "sleep", "3600")
    child = await asyncio.create_subprocess_exec(*start, pass_fds=inherited, process_group=0)
    print(child.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_without_that_signal_a_shell_beside_it_ends_the_group(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SHELL],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": f"{refusing(tmp_path)}:{os.environ['PATH']}"},
    ) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep", "it has become the program")
        (shell,) = child.children()
        parent.kill()
        until(lambda: is_gone(child) and is_gone(shell), "both have ended")
