"""The daemon, its directories and files, and the free disk space."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from pairingd import __version__
from pairingd.core.text import shell
from pairingd.doctor.finding import Finding, State, Subject, tilde
from pairingd.errors import Misconfigured
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
    start = "pairctl start, or the next pairctl invite, starts it"
    normal = Finding.ok("daemon", "pairingd is not running; the next pairctl invite starts it")
    socket = Path(paths.control_socket)
    try:
        lock = take(paths.lock)
    except OSError:
        return normal
    except Taken as taken:
        place = tilde(Path(listens_at(taken.signature, paths)))
        return Finding.fail(
            "daemon",
            f"pairingd (pid {taken.pid}) is running, and does not answer at {place}",
            f"pairctl status has it bind again; else: kill {taken.pid}, then pairctl start",
        )
    try:
        if not socket.exists():
            return normal
        if fix:
            socket.unlink()
            left = "pairingd is not running; fixed: the socket it left behind is removed"
            return Finding.warn("daemon", left, start)
        left = f"pairingd is not running, and left its socket behind: {tilde(socket)}"
        return Finding.warn("daemon", left, f"{start}; {_FIX}")
    finally:
        os.close(lock)


async def directories(subject: Subject) -> AsyncIterator[Finding]:
    for finding in subject.places:
        yield finding


def places(paths: Paths, *, fix: bool) -> list[Finding]:
    """Runs before config.toml is read, which is not trusted if others can write to it."""
    findings = []
    for name in paths.directories:
        findings += _directory(Path(name), fix=fix)
    for name in (*paths.private_files, paths.control_socket):
        findings += _file(Path(name), fix=fix)
    if any(finding.state is not State.OK for finding in findings):
        return findings
    where = ", ".join(tilde(name) for name in paths.directories)
    made = all(Path(name).exists() for name in paths.directories)
    return [*findings, Finding.ok("home", where if made else f"{where}: the first start makes it")]


def _directory(path: Path, *, fix: bool) -> list[Finding]:
    try:
        status = check_directory(path)
    except Misconfigured as error:
        return [Finding.of("home", error)]
    if status is None:
        return []
    mode = stat.S_IMODE(status.st_mode)
    wrong = mode & 0o777 != 0o700
    if wrong and fix:
        path.chmod(0o700)
    return _judged(path, mode, 0o700, wrong=wrong, fix=fix)


def _file(path: Path, *, fix: bool) -> list[Finding]:
    try:
        before = path.lstat()
    except OSError:  # does not exist, or its directory is reported already
        return []
    if before.st_uid != os.getuid():
        problem = f"{tilde(path)} belongs to another user"
        return [Finding.fail("home", problem, "remove it, or set PAIRING_HOME to your own")]
    mode = stat.S_IMODE(before.st_mode)
    wrong = bool(mode & 0o077) and not stat.S_ISLNK(before.st_mode)
    if wrong and fix:
        path.chmod(mode & ~0o077)
    return _judged(path, mode, mode & ~0o077, wrong=wrong, fix=fix)


def _judged(path: Path, mode: int, right: int, *, wrong: bool, fix: bool) -> list[Finding]:
    if not wrong:
        return []
    if fix:
        return [Finding.ok("home", f"fixed: {tilde(path)} had mode {mode:o}, now {right:o}")]
    open_to_others = f"{tilde(path)} has mode {mode:o}, which lets other users in"
    chmod = shell("chmod", f"{right:o}", str(path))
    return [Finding.fail("home", open_to_others, f"{chmod}, or: {_FIX}")]


async def disk(subject: Subject) -> AsyncIterator[Finding]:
    if subject.paths is None:
        return
    yield await asyncio.to_thread(_disk, Path(subject.paths.state_db).parent)


def _disk(path: Path) -> Finding:
    while not path.exists():
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
