"""Marks: which rights are left, and the latest time seen; durable without disk space.

Each live invitation has an empty file, its mark, with its rights in its name. The mark is created
before the state gives these rights, and unlinked or renamed before the state takes them away.
unlink(2), rename(2) within a directory and utimensat(2) work on a full disk. At start a mark is the
most that the state may claim. So a state whose last change was lost (no space, a damaged WAL, an
old copy) gives no revoked rights back.

A mark's mtime is the latest wall-clock time seen, its atime the steady clock's at that moment; of
many marks, only some are kept up to date.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import nlargest
from pathlib import Path
from urllib.parse import quote, unquote

from pairingd.core.model import Access, Invitation, Rights
from pairingd.errors import WorldError, remedy
from pairingd.home import disk
from pairingd.machine.clock import awake_or_asleep

log = logging.getLogger(__name__)

_NAME = re.compile(rf"([^/]+)\.({'|'.join(Access)})\.([0-9]{{1,18}})(\.used)?", re.ASCII)
_TOLERANCE_S = 1.0
_TOUCH_INTERVAL_S = 0.5
_MAX_TOUCHED_MARKS = 8  # the latest time seen is lost only if all of these go at once
_MAX_DRIFT_RATIO = 0.001  # of the steady clock against a wall clock that NTP slews


def mark_prefix(invitation: str) -> str:
    """Return the start of the names of the invitation's marks, up to a dot."""
    return quote(invitation, safe="")


def invitation_of(prefix: str) -> str:
    """Return the id of the invitation whose marks begin with `prefix`."""
    return unquote(prefix)


def mark_name(rights: Rights) -> str:
    used = ".used" if rights.used else ""
    prefix = mark_prefix(rights.invitation)
    return f"{prefix}.{rights.access.value}.{rights.expires_at}{used}"


def parse_mark(name: str) -> Rights | None:
    """Return the rights in a mark's name, None for any other name."""
    match = _NAME.fullmatch(name)
    rights = match and Rights(unquote(match[1]), Access(match[2]), int(match[3]), bool(match[4]))
    return rights if rights and mark_name(rights) == name else None


def copy_marks(directory: Path, live: Iterable[Invitation]) -> None:
    """Make `directory` hold exactly the marks of `live`, for a group to read. pairingd never trusts
    these copies: one that cannot be made, as on a full disk, only keeps a guest out.
    """
    names = {mark_name(invitation.rights) for invitation in live}
    with contextlib.suppress(OSError):
        for entry in [*directory.iterdir()]:
            if parse_mark(entry.name) and entry.name not in names:
                entry.unlink(missing_ok=True)
        for name in names:
            (directory / name).touch(mode=0o640)


class Live:
    """The marks in `directory`, which is made with the first of them."""

    def __init__(self, directory: Path, steady: Callable[[], float] = awake_or_asleep) -> None:
        self._directory = directory
        self._steady = steady
        self._unsynced = False
        self._marks = set(self._read_marks())
        self._latest = max(map(self._time_of, self._marks), default=0.0)
        self._seen = max(map(self._saved_time, self._marks), default=0.0)
        self._touched_at: float | None = None
        self._asked: tuple[Iterable[Invitation], frozenset[Rights]] = (), frozenset()

    @property
    def marks(self) -> frozenset[Rights]:
        return frozenset(self._marks)

    def is_behind(self, now: float) -> bool:
        """Whether `now` is before the latest time seen when this daemon started."""
        return now < self._latest - _TOLERANCE_S

    @property
    def latest(self) -> float:
        """The earliest possible wall-clock time at the start; 0 if there was no mark."""
        return self._latest

    @property
    def seen(self) -> float:
        """When the daemon before this one last saw that time; 0 if there was no mark."""
        return self._seen

    def touch(self, now: float) -> None:
        """Save `now` as the latest time seen, in the marks with the latest deadlines; a time that
        was saved less than _TOUCH_INTERVAL_S before is as good.
        """
        if self._touched_at is not None and 0 <= now - self._touched_at < _TOUCH_INTERVAL_S:
            return
        self._touched_at = now
        for mark in nlargest(_MAX_TOUCHED_MARKS, self._marks, key=lambda mark: mark.expires_at):
            try:
                os.utime(self._path(mark), (self._steady(), now))
            except OSError as error:
                log.warning("the latest time cannot be saved: %s", error)

    def keep(self, live: Iterable[Invitation]) -> None:
        """Reduce the marks to the rights of `live`. Raises OSError after trying all of them; the
        next call retries those that failed.
        """
        if more := self._marks - self._rights(live):
            rights = {invitation.id: invitation.rights for invitation in live}
            self._replace(
                {
                    mark: rights[mark.invitation].within(mark)
                    if mark.invitation in rights
                    else None
                    for mark in more
                }
            )

    def settle(self, live: Iterable[Invitation]) -> None:
        """As `keep`, and also unlink marks with fewer rights than those of `live`."""
        self._replace(dict.fromkeys(self._marks - self._rights(live)))

    @contextlib.contextmanager
    def made(self, live: Iterable[Invitation]) -> Iterator[None]:
        """Make the missing marks of `live`; remove the new ones again if the block fails.

        Raises WorldError `state-unwritable` if a mark cannot be made; then none is left.
        """
        new = self._rights(live) - self._marks
        try:
            try:
                self._make(new)
            except OSError as error:
                raise WorldError(
                    "state-unwritable",
                    f"{self._directory}: {error.strerror}",
                    remedy(error, "free space or fix its permissions"),
                ) from None
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self._replace(dict.fromkeys(new & self._marks))
            raise

    def _rights(self, live: Iterable[Invitation]) -> frozenset[Rights]:
        """Those of `live`, which the same save asks for three times."""
        if live is not self._asked[0]:
            self._asked = live, frozenset(invitation.rights for invitation in live)
        return self._asked[1]

    def _path(self, mark: Rights) -> Path:
        return self._directory / mark_name(mark)

    def _make(self, marks: Collection[Rights]) -> None:
        if not marks:
            return
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700)
            _sync(self._directory.parent)
        for mark in marks:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self._path(mark), flags, 0o600))
            self._marks.add(mark)
        _sync(self._directory)

    def _replace(self, changes: Mapping[Rights, Rights | None]) -> None:
        """Replace each mark by a lesser one or none; unlink it if the rename fails."""
        failure: OSError | None = None
        for mark, lesser in changes.items():
            if lesser == mark:
                continue
            try:
                if lesser and self._renamed(mark, lesser):
                    self._marks.add(lesser)
                else:
                    self._path(mark).unlink(missing_ok=True)
            except OSError as error:
                failure = error
            else:
                self._marks.discard(mark)
                self._unsynced = True
        if self._unsynced:
            _sync(self._directory)
            self._unsynced = False
        if failure:
            raise failure

    def _renamed(self, mark: Rights, lesser: Rights) -> bool:
        try:
            self._path(mark).replace(self._path(lesser))
        except OSError as error:
            log.warning("the mark of %s cannot be renamed: %s", mark.invitation, error)
            return False
        return True

    def _read_marks(self) -> Iterator[Rights]:
        """Yield the marks on disk; none if they cannot be read, so that nobody is live."""
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    mark = parse_mark(entry.name)
                    is_file = entry.is_file(follow_symlinks=False)
                    if mark and is_file and not entry.stat(follow_symlinks=False).st_size:
                        yield mark
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("the marks of live invitations cannot be read: %s", error)  # noqa: TRY400 - the cause is all there is

    def _saved_time(self, mark: Rights) -> float:
        try:
            return self._path(mark).stat().st_mtime
        except OSError:
            return 0.0

    def _time_of(self, mark: Rights) -> float:
        """Return the earliest time that it can be now, by that mark.

        What the steady clock has counted since has passed; after a reboot it counts from 0. An
        atime that is not an uptime was set by somebody who read the file.
        """
        try:
            status = self._path(mark).stat()
        except OSError:
            return 0.0
        steady, saved_steady = self._steady(), status.st_atime
        if saved_steady > status.st_mtime / 2:
            return status.st_mtime
        passed = steady - saved_steady if steady >= saved_steady else steady
        return status.st_mtime + passed * (1 - _MAX_DRIFT_RATIO)


def _sync(directory: Path) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
