"""The daemon, started and stopped by hand."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from pairctl.client import connect
from pairctl.failures import NoDaemon
from pairingd.core.refusal import PairingError
from pairingd.paths import find_paths

if TYPE_CHECKING:
    from pairctl.client import Client

START_LIMIT = 30.0  # seconds
STOP_LIMIT = 20.0  # seconds; guests, mapping and door are closed within it
_GRACE = 1.0  # seconds for a daemon that somebody else is starting right now


def start() -> Client:
    """A connection to a daemon that was just started. Raises NoDaemon with its own words."""
    # -P: a directory named pairingd where the user happens to stand is not to be run.
    command = [sys.executable, "-P", "-m", "pairingd", "--detach"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            code = process.wait(START_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise NoDaemon(
                "start-failed",
                f"pairingd was not ready after {START_LIMIT:.0f} s",
                "run pairingd in the foreground to see why",
            ) from None
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        # What is there now, not up to its end: the daemon may have inherited the pipe.
        os.set_blocking(process.stderr.fileno(), False)
        said = process.stderr.read() or b""
    if code == 0:
        return connect()
    return _started_by_another() or _complain(said.decode(errors="replace"))


def stop(client: Client) -> None:
    """Ask it to close everything and to exit; back when it has. The tmux session stays."""
    pid = client.hello["pid"]
    deadline = time.monotonic() + STOP_LIMIT
    with contextlib.suppress(NoDaemon):  # gone before it could answer
        client.call("stop", silence=STOP_LIMIT)
    closed = client.until_closed(STOP_LIMIT)
    while closed and time.monotonic() < deadline:
        if not _holds_lock(pid):
            return
        time.sleep(0.01)
    raise PairingError(
        "stop-failed",
        f"pairingd (pid {pid}) was still running after {STOP_LIMIT:.0f} s",
        f"kill {pid} ends it; what it leaves behind the next start closes",
    )


def _holds_lock(pid: int) -> bool:
    """Whether that daemon still runs. Its pid alone would tell of a zombie, or of a stranger."""
    try:
        with open(find_paths().lock, encoding="ascii") as lock:  # noqa: PTH123 - paths are strings
            if lock.read().strip() != str(pid):
                return False
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _started_by_another() -> Client | None:
    """Two at once: the second daemon finds the lock taken and gives up, the first is coming."""
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline:
        try:
            return connect()
        except NoDaemon:
            time.sleep(0.05)
    return None


def _complain(said: str) -> Client:
    """Raises NoDaemon with the `error:` and `hint:` lines of what the daemon said."""
    lines = said.splitlines()
    told = {}
    for kind in ("error", "hint"):
        found = [line for line in lines if line.startswith(f"{kind}: ")]
        told[kind] = found[-1].removeprefix(f"{kind}: ") if found else ""
    cause = told["error"] or (lines[-1] if lines else "it gave no reason")
    raise NoDaemon(
        "start-failed",
        f"pairingd could not be started: {cause}",
        told["hint"] or "run pairingd in the foreground to see why",
    )
