"""The Python of a project's virtual environment, which may lie in the user's home directory."""

# ruff: noqa: PTH113, PTH118, PTH119, PTH120 - pathlib takes longer to import than all else

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pairingd.box.shares import resolved

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVIRONMENTS = (".venv", "venv")


def interpreters(directory: str) -> Iterator[str]:
    """Yield the program `python` of each virtual environment that lies in `directory`."""
    for name in _ENVIRONMENTS:
        if os.path.isfile(os.path.join(directory, name, "pyvenv.cfg")):
            yield os.path.join(directory, name, "bin", "python")


def installation(interpreter: str) -> tuple[str, ...]:
    """Return the directories that it needs to run. None for what is no installation of Python: a
    guest may have made the link.
    """
    program = resolved(interpreter)
    programs = os.path.dirname(program)
    libraries = os.path.join(os.path.dirname(programs), "lib")
    library = os.path.join(libraries, os.path.basename(program))
    if os.path.basename(programs) != "bin" or not os.path.isfile(os.path.join(library, "os.py")):
        return ()
    return programs, libraries
