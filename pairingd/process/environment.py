"""What a running daemon fetches keys with, compared with this process's own environment.

A service's daemon has the environment of its manager, and no variable that the user's shell sets:
where a proxy leads out, it reaches no forge, and every program in the terminal does.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from pairingd.core.text import shell

if TYPE_CHECKING:
    from collections.abc import Mapping

# As world/identity reads them: proxies in either spelling.
_VARIABLES = ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Difference(NamedTuple):
    """One line of cause, one of remedy."""

    message: str
    hint: str


def compared(pid: int, platform: str = sys.platform) -> Difference | None:
    """None if the daemon `pid` was started with the same values."""
    import psutil  # late: `pairctl` starts without it

    try:
        theirs = psutil.Process(pid).environ()
    except (psutil.Error, OSError):  # it has just ended, or the system does not show it
        return None
    differing = [name for name in _VARIABLES if _value(theirs, name) != _value(os.environ, name)]
    if not differing:
        return None
    return Difference(
        f"pairingd was started with another {', '.join(differing)} than this terminal has, or none",
        "; ".join([*_handed_on(pid, theirs, differing, platform), "pairctl restart"]),
    )


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.lower()) or environ.get(name) or ""


def _handed_on(pid: int, theirs: Mapping[str, str], names: list[str], platform: str) -> list[str]:
    """The commands that give them to a service's manager; none if no manager started the daemon.

    Without their values: a proxy's may have a password.
    """
    spelled = [name for each in names for name in (each.lower(), each)]
    here = [name for name in spelled if os.environ.get(name)]
    gone = [name for name in spelled if theirs.get(name) and name not in here]
    if platform == "darwin":
        if not theirs.get("XPC_SERVICE_NAME", "").endswith((".pairingd", ".pairing")):
            return []
        set_here = [f'launchctl setenv {name} "${name}"' for name in here]
        return [*set_here, *(f"launchctl unsetenv {name}" for name in gone)]
    if theirs.get("SYSTEMD_EXEC_PID") != str(pid):  # systemd.exec(5)
        return []
    commands = (("import-environment", here), ("unset-environment", gone))
    return [shell("systemctl", "--user", verb, *words) for verb, words in commands if words]
