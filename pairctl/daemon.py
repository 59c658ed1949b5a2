"""Starts the daemon: by its service where one is installed, else by hand."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from pairctl import output
from pairctl.client import connect, reach
from pairctl.failures import NoDaemon
from pairctl.shutdown import stop
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pairctl.client import Client
    from pairctl.services import Manager
    from pairctl.services.steps import Step

START_LIMIT = 30.0  # seconds
_ALREADY_RUNNING = 4  # exit code of pairingd --detach


class _Late(NoDaemon):
    """It was started, and does not answer."""


class _NotRun(NoDaemon):
    """The service does not run the daemon, for a reason that is not the daemon's own."""


def start(timeout_s: float | None = None) -> Client:
    """A connection to a daemon that was just started. Raises NoDaemon with its own words.

    A service that is installed has `timeout_s` seconds to run it (None: the service's own), then it
    is started by hand, with a warning.
    """
    from pairctl import services

    service = services.installed()
    return _start(service, service.start(), timeout_s) if service else _start_by_hand()


def restart(timeout_s: float | None = None) -> Client:
    """As `start`, after the end of the one that runs, whoever started it."""
    from pairctl import services

    with contextlib.suppress(NoDaemon), reach() as client:
        stop(client)
    service = services.installed()
    return _start(service, service.restart(), timeout_s) if service else _start_by_hand()


def unload() -> None:
    """Stop the service, if one is installed: it may be about to start a daemon once more."""
    from pairctl import services
    from pairctl.services.steps import perform

    if service := services.installed():
        perform(service.stop(), service.hint)


def _start(service: Manager, steps: list[Step], timeout_s: float | None) -> Client:
    try:
        return through(service, steps, service.timeout_s if timeout_s is None else timeout_s)
    except _NotRun as failure:
        if not _detach():  # the service runs one after all
            return _connect_soon(lambda: "")
        started = f"{failure.message}; pairingd was started by hand"
        output.problem("warning", started, failure.hint)
        return connect()


def through(service: Manager, steps: list[Step], timeout_s: float = math.inf) -> Client:
    """A connection to the daemon that `service` runs once `steps` are done."""
    from pairctl.services.steps import perform

    begun = time.monotonic()
    try:
        perform(steps, service.hint, timeout_s)
    except PairingError as failure:
        if "error: " in (said := service.last_words()):
            _complain(said)
        why = service.explained(failure)
        raise _NotRun("start-failed", why.message, why.hint) from None
    left = max(0.0, timeout_s - (time.monotonic() - begun))
    try:
        return _connect_soon(service.last_words, min(left, START_LIMIT))
    except _Late:
        late = f"{service.name} has not run pairingd"
        raise _NotRun("start-failed", late, service.hint) from None


def _start_by_hand() -> Client:
    return connect() if _detach() else _connect_soon(lambda: "")


def _detach() -> bool:
    """Whether a daemon of our own serves now; False: another has the lock, and is coming."""
    # -P: a directory named pairingd where the user happens to stand is not to be run.
    command = [sys.executable, "-P", "-m", "pairingd", "--detach"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            code = process.wait(START_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            _late()
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        # What is there now, not up to its end: others may have inherited the pipe.
        os.set_blocking(process.stderr.fileno(), False)
        said = (process.stderr.read() or b"").decode(errors="replace")
    if code and code != _ALREADY_RUNNING:
        _complain(said)
    return code == 0


def _connect_soon(last_words: Callable[[], str], limit: float = START_LIMIT) -> Client:
    """Once it answers, within `limit` seconds. What it says instead is told at once."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return connect()
        except NoDaemon:
            if "error: " in (said := last_words()):
                _complain(said)
        if time.monotonic() > deadline:
            _late()
        time.sleep(0.05)


def _late() -> NoReturn:
    raise _Late(
        "start-failed",
        f"pairingd was not ready after {START_LIMIT:.0f} s",
        "run pairingd in the foreground to see why",
    )


def _complain(said: str) -> NoReturn:
    """Raises NoDaemon with the `error:` and `hint:` lines of what the daemon said."""
    lines = said.splitlines()
    told = {}
    for kind in ("error", "hint"):
        found = [line for line in lines if line.startswith(f"{kind}: ")]
        told[kind] = found[-1].removeprefix(f"{kind}: ") if found else ""
    cause = told["error"] or (lines[-1] if lines else "no reason given")
    raise NoDaemon(
        "start-failed",
        f"pairingd could not be started: {cause}",
        told["hint"] or "run pairingd in the foreground to see why",
    )
