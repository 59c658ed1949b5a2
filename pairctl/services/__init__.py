"""The daemon at login: launchd on macOS, systemd's user manager on Linux.

Each manager returns plans of steps. This module only chooses the manager.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from pairctl.services.origin import PLACES, Origin, stable
from pairingd.core.refusal import PairingError
from pairingd.home.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pairctl.services.steps import Step, Until
    from pairingd.home.paths import Paths


class Manager(Protocol):
    """`file` exists if the service is installed; `hint` is the remedy when a step fails.

    `timeout_s` is the time it gets to run the daemon, before pairctl starts that directly.
    """

    name: str
    file: str
    hint: str
    note: str
    timeout_s: float

    def install(self) -> list[Step]: ...
    def uninstall(self) -> list[Step]: ...

    def answers(self) -> list[Step]:
        """Fails where nothing could be uninstalled, before anything is stopped."""

    def start(self) -> list[Step]: ...
    def stop(self) -> list[Step]: ...
    def restart(self) -> list[Step]: ...

    def is_loaded(self) -> Until:
        """The test whether the service runs, or is about to."""

    def environment(self) -> Mapping[str, str] | None:
        """Variables that locate the installed service's files; None if none is installed."""

    def explained(self, failure: PairingError) -> PairingError:
        """The reason and remedy for a step's `failure` to run the daemon."""

    def last_words(self) -> str:
        """The `error:` and `hint:` lines of a daemon that has just failed to start, if any."""


def manager(*, running: bool) -> Manager:
    """This machine's manager; if it need not be `running`, the one that it would have.

    Raises PairingError `no-service-manager`.
    """
    service = find() or (None if running else _systemd())
    if service is None:
        raise PairingError(
            "no-service-manager",
            "neither launchd nor systemd runs on this machine",
            "no installation is needed: pairctl invite and pairctl start start pairingd",
        )
    return service


def installed() -> Manager | None:
    """The manager if the service of this home is installed; not for another PAIRING_HOME."""
    service = find()
    paths = home_of(service) if service else None
    if paths is None:
        return None
    return service if paths.lock == find_paths().lock else None


def home_of(manager: Manager) -> Paths | None:
    """The paths of the installed service; None if none is installed."""
    environ = environment(manager)
    return find_paths(environ) if environ is not None else None


def environment(manager: Manager) -> dict[str, str] | None:
    """Our environment with the installed service's files; None if none is installed."""
    variables = manager.environment()
    if variables is None:
        return None
    elsewhere = {name: value for name, value in os.environ.items() if name not in PLACES}
    return {**elsewhere, **variables}


def find() -> Manager | None:
    """This machine's manager; None if neither runs."""
    if sys.platform == "darwin":
        from pairctl.services.launchd import Launchd

        return Launchd(_origin())
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112 - sd_booted(3)
        return _systemd()
    return None


def _systemd() -> Manager:
    from pairctl.services.systemd import Systemd

    return Systemd(_origin())


def _origin() -> Origin:
    return Origin(
        python=stable(sys.executable),
        uid=os.getuid(),
        home=os.path.expanduser("~"),  # noqa: PTH111 - a string is needed
        paths=find_paths(),
        environ=os.environ,
    )
