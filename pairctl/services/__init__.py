"""The daemon at login: launchd on macOS, systemd's user manager on Linux.

Each manager answers with plans of steps; nothing is done here but to choose one.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from pairctl.services.origin import Origin, stable
from pairingd.core.refusal import PairingError
from pairingd.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pairctl.services.steps import Step, Until
    from pairingd.paths import Paths

_PLACES = ("PAIRING_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


class Manager(Protocol):
    """`file` is there where the service is installed; `hint` is the remedy when a step fails.

    `timeout_s` is the seconds it gets to have the daemon run, before that is started by hand.
    """

    name: str
    file: str
    hint: str
    note: str
    timeout_s: float

    def install(self) -> list[Step]: ...
    def uninstall(self) -> list[Step]: ...
    def start(self) -> list[Step]: ...
    def stop(self) -> list[Step]: ...
    def restart(self) -> list[Step]: ...

    def is_loaded(self) -> Until:
        """How to see whether the service runs, or is about to."""

    def environment(self) -> Mapping[str, str] | None:
        """Where the installed service has its files; None where none is installed."""

    def explained(self, failure: PairingError) -> PairingError:
        """Why it does not run the daemon, and the remedy, of a step's `failure`."""

    def last_words(self) -> str:
        """The `error:` and `hint:` lines of a daemon that has just failed to start, if any."""


def manager(*, running: bool = True) -> Manager:
    """This machine's; the one that it would have, unless it must be `running`.

    Raises PairingError `no-service-manager`.
    """
    found = find() or (None if running else _systemd())
    if found is None:
        raise PairingError(
            "no-service-manager",
            "neither launchd nor systemd runs on this machine",
            "no installation is needed: pairctl invite and pairctl start start pairingd",
        )
    return found


def installed() -> Manager | None:
    """The manager with the service of this very home: another PAIRING_HOME's is not ours."""
    found = find()
    theirs = home_of(found) if found else None
    if theirs is None:
        return None
    return found if theirs.lock == find_paths().lock else None


def home_of(manager: Manager) -> Paths | None:
    """Where the installed service has its files; None where none is installed."""
    given = manager.environment()
    if given is None:
        return None
    elsewhere = {name: value for name, value in os.environ.items() if name not in _PLACES}
    return find_paths({**elsewhere, **given})


def find() -> Manager | None:
    """This machine's; None where neither runs."""
    if sys.platform == "darwin":
        from pairctl.services.launchd import Launchd

        return Launchd(_here())
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112 - sd_booted(3)
        return _systemd()
    return None


def _systemd() -> Manager:
    from pairctl.services.systemd import Systemd

    return Systemd(_here())


def _here() -> Origin:
    return Origin(
        python=stable(sys.executable),
        uid=os.getuid(),
        home=os.path.expanduser("~"),  # noqa: PTH111 - a string is wanted
        paths=find_paths(),
        environ=os.environ,
    )
