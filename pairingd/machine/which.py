"""Finds the tmux to run: the daemon and `pairctl` search for it alike, each by itself.

Standard library only: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from pairingd.core.text import shell
from pairingd.errors import Misconfigured, PairingError, WorldError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where package managers install; a daemon that a service manager started has a shorter PATH than
# the user's terminal. Homebrew, MacPorts, Homebrew on Linux, Nix, a user's own, the system's.
_INSTALL_DIRECTORIES = (
    *("/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin"),
    *("/home/linuxbrew/.linuxbrew/bin", "~/.linuxbrew/bin"),
    *("~/.nix-profile/bin", "~/.local/state/nix/profile/bin"),
    *("/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin"),
    *("~/.local/bin", "~/bin", "/usr/bin", "/bin"),
)
OLDEST_TMUX = (3, 2)  # attach-session -f ignore-size, and -N
ANOTHER_TMUX = "set [tmux] command in config.toml to a working tmux"
_INSTALL_HINT = "apt install tmux, or: brew install tmux"


def tmux(configured: str) -> str:
    """Return the one to run, "" if there is none."""
    return configured or next(_installed(), "")


def tmuxes(configured: str) -> list[str]:
    """Return absolute paths, the one to run first: only what `[tmux] command` names, or every tmux
    on PATH and in the usual places.
    """
    return [configured] if configured else list(dict.fromkeys(_installed()))


def searched() -> list[str]:
    """Return the directories that `tmuxes` searches: PATH, then the usual ones; no duplicates."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib starts slowly
    usual = (place.replace("~", home, 1) for place in _INSTALL_DIRECTORIES)
    places = [*os.environ.get("PATH", "").split(os.pathsep), *usual]
    # Relative entries depend on the current directory, so they are skipped.
    return list(dict.fromkeys(place for place in places if place.startswith("/")))


def _installed() -> Iterator[str]:
    programs = (shutil.which("tmux", path=place) for place in searched())
    return (program for program in programs if program)


def no_tmux() -> WorldError:
    """Return the error for an empty `tmuxes`."""
    return WorldError(
        "no-tmux",
        f"no tmux in {', '.join(searched())}",
        f"{_INSTALL_HINT}; or set [tmux] command in config.toml, then: pairctl restart",
    )


def unusable(program: str, version_output: str) -> PairingError | None:
    """Return the error if pairing cannot use a tmux whose -V prints `version_output`.

    What prints no version is a version manager's shim without a tmux, or lacks a library. A version
    without a number, such as "tmux master", counts as new enough.
    """
    if not version_output.startswith("tmux "):
        return WorldError(
            "tmux-failed",
            f"{program} does not print its version as tmux does",
            f"{ANOTHER_TMUX}, then: pairctl restart; to see why: {shell(program, '-V')}",
        )
    version = tmux_version(version_output)
    if version is None or version >= OLDEST_TMUX:
        return None
    needed = ".".join(map(str, OLDEST_TMUX))
    return Misconfigured(
        "tmux-too-old",
        f"{version_output.strip()} at {program} is too old: pairing needs {needed} or later",
        f"{_INSTALL_HINT}; or set [tmux] command to a newer one",
    )


def tmux_version(version_output: str) -> tuple[int, int] | None:
    """Parse the output of `tmux -V`: "tmux 3.3a", "tmux next-3.6"; None if it has no number."""
    match = re.match(r"tmux (?:[a-z]+-)?(\d{1,3})\.(\d{1,3})", version_output)
    return (int(match[1]), int(match[2])) if match else None
