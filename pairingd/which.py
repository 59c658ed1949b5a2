"""Which tmux to run: the daemon and `pairctl` look for it alike, each by itself.

Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import os
import shutil

# Where Homebrew, MacPorts and systems install; a daemon that a service manager started has a
# shorter PATH than the user's terminal.
_PLACES = ("/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin", "/usr/bin", "/bin")


def tmuxes(configured: str) -> list[str]:
    """Absolute paths, the one to run first: what `[tmux] command` names and nothing else, or every
    tmux on PATH and in the usual places.
    """
    if configured:
        return [configured]
    places = [*os.environ.get("PATH", "").split(os.pathsep), *_PLACES]
    # What stands relative to where the user happens to be is nobody's tmux.
    found = (shutil.which("tmux", path=place) for place in places if place.startswith("/"))
    return list(dict.fromkeys(program for program in found if program))
