"""What git, run outside the box, would run of a repository in the shared directory."""

# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH118 - pathlib takes longer to import than all else

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOOKS = "hooks"
# gitrepository-layout(5); configurations name programs. `git sparse-checkout` makes the third.
_TRAPS = (_HOOKS, "config", "config.worktree")


def protected(directory: str) -> Iterator[str]:
    """Yield what must be read-only; `hooks` may be missing, and must be made then, as a directory.

    In a linked worktree or a submodule that is the file `.git`, which names the repository. So is
    what else may be there, such as a FIFO.
    """
    if (repository := _repository(directory)) is None:
        return
    if not os.path.isdir(repository):
        yield repository
        return
    for name in _TRAPS:
        path = os.path.join(repository, name)
        if not os.path.islink(path) and (name == _HOOKS or os.path.exists(path)):
            yield path


def unprotected(directory: str) -> Iterator[str]:
    """Yield links in the place of these. Nothing can be mounted on a link, so a guest can put
    something else there.
    """
    git = os.path.join(directory, ".git")
    if os.path.islink(git):
        yield git
    elif repository := _repository(directory):
        paths = (os.path.join(repository, name) for name in _TRAPS)
        yield from filter(os.path.islink, paths)


def _repository(directory: str) -> str | None:
    """Return `.git`, or `directory` itself if it is a bare repository."""
    git = os.path.join(directory, ".git")
    if os.path.lexists(git):
        return None if os.path.islink(git) else git
    inside = (os.path.join(directory, name) for name in ("objects", "refs"))
    is_bare = os.path.isfile(os.path.join(directory, "HEAD")) and all(map(os.path.isdir, inside))
    return directory if is_bare else None
