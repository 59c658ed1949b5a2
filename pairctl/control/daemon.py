"""Starts the daemon: by its service if one is installed, else directly."""

from __future__ import annotations

import contextlib
import math
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from pairctl.control.client import connect, reach
from pairctl.control.shutdown import stop
from pairctl.failures import Interrupted, NoDaemon
from pairctl.text import output
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pairctl.control.client import Client
    from pairctl.services import Manager
    from pairctl.services.steps import Step

START_LIMIT = 30.0  # seconds
# -P: do not run a directory named pairingd in the current directory.
_PAIRINGD = (sys.executable, "-P", "-m", "pairingd")
_ALREADY_RUNNING = 4  # exit code of pairingd --detach


class _Late(NoDaemon):
    """The daemon was started and does not answer."""


class _NotRun(NoDaemon):
    """The service does not run the daemon, for a reason outside the daemon."""


def start(timeout_s: float | None = None) -> Client:
    """A connection to a daemon that was just started. Raises NoDaemon with the daemon's error.

    An installed service has `timeout_s` seconds to run it (None: the service's own limit). After
    that, it is started directly, with a warning.
    """
    from pairctl import services

    service = services.installed()
    with _starting():
        return _start(service, service.start(), timeout_s) if service else _start_by_hand()


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "goes-on", "pairingd may be starting still", "pairctl status shows whether it runs"
        ) from None


def restart(timeout_s: float | None = None) -> Client:
    """As `start`, after stopping the running daemon, however it was started. That one runs on if no
    other would start.
    """
    from pairctl import services

    service, running = services.installed(), None
    with contextlib.suppress(NoDaemon):
        running = reach()
    if running:
        with running:
            runs_on = f"nothing was changed, and pairingd (pid {running.hello['pid']}) runs on"
            require_startable(
                services.environment(service) if service else None,
                f"{runs_on}: a new one would not start",
            )
            stop(running)
    with _starting():
        return _start(service, service.restart(), timeout_s) if service else _start_by_hand()


def require_startable(
    environ: Mapping[str, str] | None = None,
    lead: str = "nothing was changed, because pairingd would not start",
) -> None:
    """Raise NoDaemon with the error that a start would give, after `lead`, and change nothing. Call
    it before the running daemon is stopped, which would end every guest's visit.
    """
    try:
        tested = subprocess.run(
            [*_PAIRINGD, "--test"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            errors="replace",
            text=True,
            env=environ,
            timeout=START_LIMIT,
        )
    except subprocess.TimeoutExpired:
        _late()
    if tested.returncode:
        _complain(tested.stderr, lead)


def unload() -> None:
    """Stop the service, if one is installed: it could start a daemon again. Warn if that fails, as
    after su(1), where there is no manager to call.
    """
    from pairctl import services
    from pairctl.services.steps import perform

    if service := services.installed():
        try:
            perform(service.stop(), service.hint)
        except PairingError as failure:
            explained = service.explained(failure)
            output.problem("warning", explained.message, explained.hint)


def _start(service: Manager, steps: list[Step], timeout_s: float | None) -> Client:
    try:
        return through(service, steps, service.timeout_s if timeout_s is None else timeout_s)
    except _NotRun as failure:
        if not _detach():  # the service has started one meanwhile
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
        if "error: " in (printed := service.last_words()):
            _complain(printed)
        explained = service.explained(failure)
        raise _NotRun("start-failed", explained.message, explained.hint) from None
    remaining_s = max(0.0, timeout_s - (time.monotonic() - begun))
    try:
        return _connect_soon(service.last_words, min(remaining_s, START_LIMIT))
    except _Late:
        late = f"{service.name} has not run pairingd"
        raise _NotRun("start-failed", late, service.hint) from None


def was_started_by_hand() -> bool:
    """Start it unless it runs; whether this has started one."""
    with contextlib.suppress(PairingError):
        return _detach()
    return False


def _start_by_hand() -> Client:
    return connect() if _detach() else _connect_soon(lambda: "")


def _detach() -> bool:
    """True: the daemon that this started serves. False: another holds the lock and is starting."""
    with subprocess.Popen(
        [*_PAIRINGD, "--detach"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        # The daemon has another standard output (pairingd.process.detach), so this one ends with
        # the process that starts it. Popen.wait with a limit looks only every 50 ms.
        deadline = time.monotonic() + START_LIMIT
        select.select([process.stdout], [], [], START_LIMIT)
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            _late()
        # Read what is there, not up to the end: other processes may have inherited the pipe.
        os.set_blocking(process.stderr.fileno(), False)
        printed = (process.stderr.read() or b"").decode(errors="replace")
    if code and code != _ALREADY_RUNNING:
        _complain(printed)
    return code == 0


def _connect_soon(last_words: Callable[[], str], limit: float = START_LIMIT) -> Client:
    """Connect once it answers, within `limit` seconds. Raises its error once it prints one."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return connect()
        except NoDaemon:
            if "error: " in (printed := last_words()):
                _complain(printed)
        if time.monotonic() > deadline:
            _late()
        time.sleep(0.05)


def _late() -> NoReturn:
    raise _Late(
        "start-failed",
        f"pairingd was not ready after {START_LIMIT:.0f} s",
        "run pairingd in the foreground to see why",
    )


def _complain(printed: str, lead: str = "pairingd could not be started") -> NoReturn:
    """Raises NoDaemon with the `error:` and `hint:` lines that the daemon printed."""
    lines = printed.splitlines()
    text = {}
    for kind in ("error", "hint"):
        matching = [line for line in lines if line.startswith(f"{kind}: ")]
        text[kind] = matching[-1].removeprefix(f"{kind}: ") if matching else ""
    cause = text["error"] or (lines[-1] if lines else "no reason given")
    raise NoDaemon(
        "start-failed",
        f"{lead}: {cause}",
        text["hint"] or "run pairingd in the foreground to see why",
    )
