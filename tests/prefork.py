"""pairctl in forks of a Python that has loaded it: most of a command's time goes to its start.

A line of JSON on stdin runs one, and is answered by a line with its exit status.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile

import pairctl.commands
from pairctl.__main__ import main as run_pairctl

ROOT = Path(__file__).parent.parent


class Prefork:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.prefork"],
            cwd=ROOT,
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
        import_module(module.name)
    for line in sys.stdin:
        argv, environment, directory, out, err = json.loads(line)
        child = os.fork()
        if not child:
            streams = (os.devnull, os.O_RDONLY), (out, os.O_WRONLY), (err, os.O_WRONLY)
            for number, (file, flags) in enumerate(streams):
                os.dup2(os.open(file, flags | os.O_CLOEXEC), number)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(directory)
            status = run_pairctl(argv)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # without the interpreter's clean-up, which takes as long as the rest
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
