"""The daemon, and what it keeps: its directories, its files, room for them."""

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
from pairingd.files import check_directory
from pairingd.paths import Paths
from pairingd.process.lock import Taken, listens_at, take

LOCAL_NETWORK_DENIED = "local-network-denied"
_TOLD_ELSEWHERE = frozenset({LOCAL_NETWORK_DENIED, "running-as-root"})  # by checks of their own
_FIX = "pairctl doctor --fix fixes it"
_MIB = 1 << 20
_TIGHT, _LITTLE = 16 * _MIB, 256 * _MIB


async def daemon(subject: Subject) -> AsyncIterator[Finding]:
    told, paths = subject.daemon, subject.paths
    if paths is None:
        yield Finding.warn("daemon", "pairingd is not running", "it cannot run without a home")
        return
    if told.refused:
        # Of its own directory another check tells, and may have mended it.
        call = Finding.warn if told.refused.code == "unsafe-home" else Finding.fail
        yield call("daemon", f"not asked: {told.refused.message}", told.refused.hint)
        return
    if not told.connected:
        yield _absent(paths, fix=subject.fix)
        return
    if not told.version:
        yield Finding.fail("daemon", "pairingd does not answer", "pairctl restart")
        return
    if told.version != __version__:
        here = f"pairingd {told.version} is running, this is pairctl {__version__}"
        yield Finding.warn("daemon", here, "pairctl restart; invitations stay")
        return
    yield Finding.ok("daemon", f"pairingd {told.version} is running (pid {told.pid})")
    for problem in told.problems:
        if problem.get("code") not in _TOLD_ELSEWHERE:
            message, hint = (str(problem.get(key, "")) for key in ("message", "hint"))
            yield Finding.warn("daemon", message, hint)


def _absent(paths: Paths, *, fix: bool) -> Finding:
    """Whoever holds the lock is the daemon, and only its holder may touch the socket."""
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
    """Looked at before config.toml is read: it is not to be trusted where others can write."""
    found = []
    for name in paths.directories:
        found += _directory(Path(name), fix=fix)
    for name in (*paths.private_files, paths.control_socket):
        found += _file(Path(name), fix=fix)
    if any(finding.state is not State.OK for finding in found):
        return found
    where = ", ".join(tilde(name) for name in paths.directories)
    made = all(Path(name).exists() for name in paths.directories)
    return [*found, Finding.ok("home", where if made else f"{where}: the first start makes it")]


def _directory(path: Path, *, fix: bool) -> list[Finding]:
    try:
        found = check_directory(path)
    except Misconfigured as error:
        return [Finding.of("home", error)]
    if found is None:
        return []
    mode = stat.S_IMODE(found.st_mode)
    wrong = mode & 0o777 != 0o700
    if wrong and fix:
        path.chmod(0o700)
    return _judged(path, mode, 0o700, wrong=wrong, fix=fix)


def _file(path: Path, *, fix: bool) -> list[Finding]:
    try:
        before = path.lstat()
    except OSError:  # not there, or in a directory that is told of already
        return []
    if before.st_uid != os.getuid():
        what = f"{tilde(path)} belongs to another user"
        return [Finding.fail("home", what, "remove it, or set PAIRING_HOME to your own")]
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
    told = f"{free / _MIB / 1024:.1f} GiB" if free >= 1024 * _MIB else f"{free / _MIB:.0f} MiB"
    message = f"{told} free where the state is kept"
    if free < _LITTLE:
        call = Finding.fail if free < _TIGHT else Finding.warn
        return call(
            "disk", message, "free space: pairingd refuses an invitation that it cannot save"
        )
    return Finding.ok("disk", message)
