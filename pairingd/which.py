"""Which tmux to run: the daemon and `pairctl` look for it alike, each by itself.

Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from pairingd.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where package managers install; a daemon that a service manager started has a shorter PATH than
# the user's terminal. Homebrew, MacPorts, Homebrew on Linux, Nix, a user's own, the system's.
_PLACES = (
    *("/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin"),
    *("/home/linuxbrew/.linuxbrew/bin", "~/.linuxbrew/bin"),
    *("~/.nix-profile/bin", "~/.local/state/nix/profile/bin"),
    *("/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin"),
    *("~/.local/bin", "~/bin", "/usr/bin", "/bin"),
)
OLDEST_TMUX = (3, 2)  # attach-session -f ignore-size, and -N
_INSTALL = "apt install tmux, or: brew install tmux"


def tmux(configured: str) -> str:
    """The one to run, "" where there is none."""
    return configured or next(_found(), "")


def tmuxes(configured: str) -> list[str]:
    """Absolute paths, the one to run first: what `[tmux] command` names and nothing else, or every
    tmux on PATH and in the usual places.
    """
    return [configured] if configured else list(dict.fromkeys(_found()))


def searched() -> list[str]:
    """The directories in which `tmuxes` looks: PATH, then the usual places, none of them twice."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib starts slowly
    usual = (place.replace("~", home, 1) for place in _PLACES)
    places = [*os.environ.get("PATH", "").split(os.pathsep), *usual]
    # What stands relative to where the user happens to be is nobody's tmux.
    return list(dict.fromkeys(place for place in places if place.startswith("/")))


def _found() -> Iterator[str]:
    found = (shutil.which("tmux", path=place) for place in searched())
    return (program for program in found if program)


def no_tmux() -> Misconfigured:
    """`tmuxes` has found none."""
    return Misconfigured(
        "no-tmux",
        f"no tmux in {', '.join(searched())}",
        f"{_INSTALL}; or set [tmux] command in config.toml, then: pairctl restart",
    )


def too_old(program: str, said: str) -> Misconfigured | None:
    """What is to be said of a tmux whose -V says `said`, where pairing cannot use it.

    One that names no number, such as "tmux master", is taken to be new enough.
    """
    version = tmux_version(said)
    if version is None or version >= OLDEST_TMUX:
        return None
    needed = ".".join(map(str, OLDEST_TMUX))
    return Misconfigured(
        "tmux-too-old",
        f"{said.strip()} at {program} is too old: pairing needs {needed} or later",
        f"{_INSTALL}; or set [tmux] command to a newer one",
    )


def tmux_version(said: str) -> tuple[int, int] | None:
    """What `tmux -V` said: "tmux 3.3a", "tmux next-3.6"; None where it names no number."""
    found = re.match(r"tmux (?:[a-z]+-)?(\d{1,3})\.(\d{1,3})", said)
    return (int(found[1]), int(found[2])) if found else None
