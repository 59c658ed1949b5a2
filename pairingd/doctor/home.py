"""The daemon, its directories and files, and the free disk space."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from pairingd import __version__, wiring
from pairingd.core.text import shell
from pairingd.doctor.finding import Finding, State, Subject, exists, tilde
from pairingd.errors import Misconfigured, PairingError
from pairingd.home.files import check_directory
from pairingd.home.paths import Paths
from pairingd.process.lock import Taken, listens_at, take

LOCAL_NETWORK_DENIED = "local-network-denied"
_REPORTED_ELSEWHERE = frozenset({LOCAL_NETWORK_DENIED, "running-as-root"})  # by other checks
_FIX = "pairctl doctor --fix fixes it"
_MIB = 1 << 20
_FAIL_BELOW_BYTES, _WARN_BELOW_BYTES = 16 * _MIB, 256 * _MIB


async def daemon(subject: Subject) -> AsyncIterator[Finding]:
    daemon_state, paths = subject.daemon, subject.paths
    if paths is None:
        yield Finding.warn("daemon", "pairingd is not running", "it cannot run without a home")
        return
    if daemon_state.refused:
        # Another check reports its directory, and may have fixed it.
        call = Finding.warn if daemon_state.refused.code == "unsafe-home" else Finding.fail
        yield call(
            "daemon", f"not asked: {daemon_state.refused.message}", daemon_state.refused.hint
        )
        return
    if not daemon_state.connected:
        yield _absent(paths, fix=subject.fix)
        return
    if not daemon_state.version:
        yield Finding.fail("daemon", "pairingd does not answer", "pairctl restart")
        return
    if daemon_state.version != __version__:
        versions = f"pairingd {daemon_state.version} is running, this is pairctl {__version__}"
        yield Finding.warn("daemon", versions, "pairctl restart; invitations stay")
        return
    yield Finding.ok(
        "daemon", f"pairingd {daemon_state.version} is running (pid {daemon_state.pid})"
    )
    for problem in daemon_state.problems:
        if problem.get("code") not in _REPORTED_ELSEWHERE:
            message, hint = (str(problem.get(key, "")) for key in ("message", "hint"))
            yield Finding.warn("daemon", message, hint)


def _absent(paths: Paths, *, fix: bool) -> Finding:
    """Takes the lock: its holder is the daemon, and only the holder may remove the socket."""
    try:
        lock = take(paths.lock)
    except OSError:
        return _startable()
    except Taken as taken:
        place = tilde(Path(listens_at(taken.signature, paths)))
        return Finding.fail(
            "daemon",
            f"pairingd (pid {taken.pid}) is running, and does not answer at {place}",
            f"pairctl status has it bind again; else: kill {taken.pid}, then pairctl start",
        )
    try:
        startable = _startable()
        socket = next(filter(_is_socket, paths.control_sockets), "")
        if startable.state is not State.OK or not socket:
            return startable
        start = "pairctl start, or the next pairctl invite, starts it"
        if fix:
            Path(socket).unlink()
            left = "pairingd is not running; fixed: the socket it left behind is removed"
            return Finding.warn("daemon", left, start)
        left = f"pairingd is not running, and left its socket behind: {tilde(socket)}"
        return Finding.warn("daemon", left, f"{start}; {_FIX}")
    finally:
        os.close(lock)


def _startable() -> Finding:
    try:
        wiring.test()
    except PairingError as error:
        cause = f"pairingd is not running, and could not be started: {error.message}"
        return Finding.fail("daemon", cause, error.hint)
    return Finding.ok("daemon", "pairingd is not running; the next pairctl invite starts it")


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


async def directories(subject: Subject) -> AsyncIterator[Finding]:
    for finding in subject.places:
        yield finding


def places(paths: Paths, *, fix: bool) -> list[Finding]:
    """Runs before config.toml is read, which is not trusted if others can write to it."""
    findings = []
    used = [name for name in paths.directories if not _is_replaced(name, paths)]
    for name in used:
        findings += _directory(Path(name), fix=fix)
    for name in (*paths.private_files, paths.control_socket):
        findings += _file(Path(name), fix=fix)
    if any(finding.state is not State.OK for finding in findings):
        return findings
    where = ", ".join(map(tilde, used))
    made = all(map(exists, used))
    return [*findings, Finding.ok("home", where if made else f"{where}: the first start makes it")]


def _is_replaced(directory: str, paths: Paths) -> bool:
    """Whether it is a runtime directory that cannot be used: the control socket then lies beside
    the lock.
    """
    first, *others = map(os.path.dirname, paths.control_sockets)
    if directory != first or not others:
        return False
    try:
        check_directory(Path(directory))
    except Misconfigured as failure:
        return failure.code == "unusable-home"
    return False


def _directory(path: Path, *, fix: bool) -> list[Finding]:
    try:
        status = check_directory(path)
    except Misconfigured as error:
        return [Finding.of("home", error)]
    if status is None:
        return []
    mode = stat.S_IMODE(status.st_mode)
    return _judged(path, mode, 0o700, fix=fix) if mode & 0o777 != 0o700 else []


def _file(path: Path, *, fix: bool) -> list[Finding]:
    try:
        before = path.lstat()
    except OSError:  # does not exist, or its directory is reported already
        return []
    if before.st_uid != os.getuid():
        problem = f"{tilde(path)} belongs to another user"
        return [Finding.fail("home", problem, "remove it, or set PAIRING_HOME to your own")]
    mode = stat.S_IMODE(before.st_mode)
    wrong = mode & 0o077 and not stat.S_ISLNK(before.st_mode)
    return _judged(path, mode, mode & ~0o077, fix=fix) if wrong else []


def _judged(path: Path, mode: int, right: int, *, fix: bool) -> list[Finding]:
    """The finding on a mode that is not `right`; with `fix` it is set."""
    chmod = shell("chmod", f"{right:o}", str(path))
    meaning = "which lets other users in" if mode & 0o077 else f"not {right:o}"
    problem = f"{tilde(path)} has mode {mode:o}, {meaning}"
    if not fix:
        return [Finding.fail("home", problem, f"{chmod}, or: {_FIX}")]
    try:
        path.chmod(right)
    except OSError as error:
        return [Finding.fail("home", f"{problem}: {error.strerror}", chmod)]
    return [Finding.ok("home", f"fixed: {tilde(path)} had mode {mode:o}, now {right:o}")]


async def disk(subject: Subject) -> AsyncIterator[Finding]:
    if subject.paths is None:
        return
    yield await asyncio.to_thread(_disk, Path(subject.paths.state_db).parent)


def _disk(path: Path) -> Finding:
    while not exists(path):
        path = path.parent
    free = shutil.disk_usage(path).free
    size = f"{free / _MIB / 1024:.1f} GiB" if free >= 1024 * _MIB else f"{free / _MIB:.0f} MiB"
    message = f"{size} free where the state is kept"
    if free < _WARN_BELOW_BYTES:
        call = Finding.fail if free < _FAIL_BELOW_BYTES else Finding.warn
        return call(
            "disk", message, "free space: pairingd refuses an invitation that it cannot save"
        )
    return Finding.ok("disk", message)
