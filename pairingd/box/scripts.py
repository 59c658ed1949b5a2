"""What the scripts of a box have in common, whatever system makes it."""

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
    "$0" "$@" </dev/null 2>&1 | cat
    exit
fi"""


def behind_glass(glass: Iterable[str]) -> str:
    """For the script `tmux`: the host's terminal goes no further, nor does a guest's, before whom
    `glass`, the command of glass.py, stands already.
    """
    return _BEHIND_GLASS.format(glass=shlex.join(glass))


def assigned(environment: Mapping[str, str]) -> str:
    """As env(1) takes it."""
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())


def of_clients(environment: Mapping[str, str]) -> dict[str, str]:
    """What of a session's environment its clients need."""
    return {name: environment[name] for name in _OF_CLIENTS if name in environment}
