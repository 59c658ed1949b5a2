"""What the scripts of a box have in common on Linux and macOS."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OF_CLIENTS = ("PATH", "LANG", "LC_ALL", "LC_CTYPE")
_BEHIND_GLASS = """\
if [ "$PAIRING_BEHIND_GLASS" ]; then
    :
elif [ -t 0 ] && [ -t 1 ]; then
    exec {glass} host "$0" "$@"
elif [ -t 0 ] || [ -t 1 ] || [ -t 2 ]; then
    "$0" "$@" </dev/null 2>&1 | {glass} pipe
    exit
fi"""


def behind_glass(glass: Iterable[str]) -> str:
    """Return the start of the script `tmux`. `glass`, the command of glass.py, keeps the host's
    terminal outside, and gives it only what draws. A guest's terminal is behind glass already.
    """
    return _BEHIND_GLASS.format(glass=shlex.join(glass))


def assigned(environment: Mapping[str, str]) -> str:
    """Return `environment` as arguments of env(1)."""
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())


def exported(environment: Mapping[str, str]) -> str:
    """Return `environment` as a file for a POSIX shell. All users see arguments, such as env(1)'s,
    and a variable of [box] env may be a secret.
    """
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    return "".join(lines)


def with_environment(file: str) -> str:
    """Return the start of a command that has only the environment of that file."""
    return shlex.join(("env", "-i", "/bin/sh", "-c", '. "$0"; exec "$@"', file))


def of_clients(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a session's environment that its clients need."""
    return {name: environment[name] for name in _OF_CLIENTS if name in environment}
