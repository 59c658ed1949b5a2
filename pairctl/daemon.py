"""Starts the daemon: by its service where one is installed, else by hand."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

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


def start() -> Client:
    """A connection to a daemon that was just started. Raises NoDaemon with its own words."""
    from pairctl import services

    service = services.installed()
    return through(service, service.start()) if service else _start_by_hand()


def restart() -> Client:
    """As `start`, after the end of the one that runs, whoever started it."""
    from pairctl import services

    with contextlib.suppress(NoDaemon), reach() as client:
        stop(client)
    service = services.installed()
    return through(service, service.restart()) if service else _start_by_hand()


def unload() -> None:
    """Stop the service, if one is installed: it may be about to start a daemon once more."""
    from pairctl import services
    from pairctl.services.steps import perform

    if service := services.installed():
        perform(service.stop(), service.hint)


def through(service: Manager, steps: list[Step]) -> Client:
    """A connection to the daemon that `service` runs once `steps` are done."""
    from pairctl.services.steps import perform

    try:
        perform(steps, service.hint)
    except PairingError as failure:
        if said := service.last_words():
            _complain(said)
        raise NoDaemon("start-failed", failure.message, failure.hint) from None
    return _connect_soon(service.last_words)


def _start_by_hand() -> Client:
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
    if code == _ALREADY_RUNNING:  # two at once; the other one is coming
        return _connect_soon(lambda: "")
    if code:
        _complain(said)
    return connect()


def _connect_soon(last_words: Callable[[], str]) -> Client:
    """Once it answers. What it says instead is told at once."""
    deadline = time.monotonic() + START_LIMIT
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
    raise NoDaemon(
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
