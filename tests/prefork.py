"""pairctl in forks of a Python that has loaded it: most of a command's time goes to its start.

A line of JSON on stdin runs one, and is answered by a line with its exit status.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn

import pairctl.commands
from pairctl.__main__ import main as run_pairctl
from tests.measured import unmeasured
from tests.waiting import WAIT_S

ROOT = Path(__file__).parent.parent
_MEASURES = "COVERAGE_PROCESS_CONFIG"


class Prefork:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.prefork"],
            cwd=ROOT,
            env=unmeasured(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._process.communicate)

    def pairctl(
        self, argv: Sequence[str], environment: dict[str, str], directory: Path
    ) -> subprocess.CompletedProcess[str]:
        """Its input is empty."""
        assert self._process.stdin
        assert self._process.stdout
        with NamedTemporaryFile("r") as out, NamedTemporaryFile("r") as err:
            wanted = (argv, environment, str(directory), out.name, err.name)
            print(json.dumps(wanted), file=self._process.stdin, flush=True)
            status = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(argv, status, out.read(), err.read())


prefork = functools.cache(Prefork)


def main() -> None:
    for module in pkgutil.iter_modules(pairctl.commands.__path__, "pairctl.commands."):
        importlib.import_module(module.name)
    for line in sys.stdin:
        argv, environment, directory, *files = json.loads(line)
        if _MEASURES in environment:
            importlib.import_module("coverage")
        child = os.fork()
        if not child:
            _become_pairctl(argv, environment, directory, *files)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become_pairctl(
    argv: list[str], environment: dict[str, str], directory: str, out: str, err: str
) -> NoReturn:
    for number, file in enumerate((os.devnull, out, err)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CLOEXEC), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    signal.alarm(int(WAIT_S))  # one that hangs ends
    if _MEASURES in environment:
        importlib.import_module("coverage").process_startup()
    status = run_pairctl(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # without the interpreter's clean-up, which takes as long as the rest


if __name__ == "__main__":
    main()
