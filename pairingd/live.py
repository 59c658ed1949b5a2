"""What must be durable without disk space: who is over, and how late it was.

Each live invitation has an empty file, its mark. A mark is there before the state says live, and
unlinked before the state says over; unlink(2) and utimensat(2) work on a full disk. So a state
whose last change was lost (no space, a damaged WAL, an old copy) revives nobody: without its mark
an invitation is over. A mark's name has the terms, so that lost changes of these revive nothing.

A mark's mtime is the latest wall-clock time seen, its atime the steady clock's at that moment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from pairingd.clock import awake_or_asleep
from pairingd.core.model import Access, Invitation
from pairingd.errors import WorldError

log = logging.getLogger(__name__)

_MARK = re.compile(rf"(?P<id>[^/.]+)\.(?:{'|'.join(Access)})\.[0-9]+(?:\.came)?")
_TOLERANCE_S = 1.0
_DRIFT = 0.001  # of the steady clock against a wall clock that NTP slews


def mark(invitation: Invitation) -> str:
    """The name of its file."""
    came = ".came" if invitation.conditions.once and invitation.came_at else ""
    terms = f"{invitation.access.value}.{invitation.expires_at}{came}"
    return f"{mark_prefix(invitation.id)}.{terms}"


def mark_prefix(invitation: str) -> str:
    """What the names of all marks of that invitation begin with, before a dot."""
    return quote(invitation, safe="").replace(".", "%2E")


class Live:
    """The marks in `directory`, which is made with the first of them."""

    def __init__(self, directory: Path, steady: Callable[[], float] = awake_or_asleep) -> None:
        self._directory = directory
        self._steady = steady
        self._unsynced = False
        self._marks = set(self._found())
        self._latest = max(map(self._time_of, self._marks), default=0.0)

    def has(self, invitation: Invitation) -> bool:
        """Whether that invitation, on these terms, is not over."""
        return mark(invitation) in self._marks

    def is_behind(self, now: float) -> bool:
        """Whether `now` is a time that has passed before this daemon started."""
        return now < self._latest - _TOLERANCE_S

    @property
    def latest(self) -> float:
        """The wall-clock time that it must be at least; 0 where there was no mark."""
        return self._latest

    def touch(self, now: float) -> None:
        """Keep `now` as the latest time seen."""
        for name in self._marks:
            try:
                os.utime(self._directory / name, (self._steady(), now))
            except OSError as error:
                log.warning("the latest time cannot be saved: %s", error)

    def keep(self, live: Iterable[Invitation]) -> None:
        """Unlink the marks of all other invitations. Raises OSError, after every unlink was tried;
        what failed is tried again by the next call.
        """
        ids = {mark_prefix(one.id) for one in live}
        self._unlink({name for name in self._marks if _id_of(name) not in ids})

    def settle(self, live: Iterable[Invitation]) -> None:
        """As `keep`, and unlink what has other terms than those of `live`, too."""
        self._unlink(self._marks - set(map(mark, live)))

    @contextlib.contextmanager
    def made(self, live: Iterable[Invitation]) -> Iterator[None]:
        """Every one of `live` has its mark within; the new ones go again if the block fails.

        Raises WorldError `state-unwritable` where one cannot be made, and then none was.
        """
        new = set(map(mark, live)) - self._marks
        try:
            try:
                self._make(new)
            except OSError as error:
                raise WorldError(
                    "state-unwritable",
                    f"{self._directory}: {error.strerror}",
                    "free space or fix its permissions",
                ) from None
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self._unlink(new & self._marks)
            raise

    def _make(self, names: set[str]) -> None:
        if not names:
            return
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700)
            _sync(self._directory.parent)
        for name in names:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self._directory / name, flags, 0o600))
            self._marks.add(name)
        _sync(self._directory)

    def _unlink(self, names: Iterable[str]) -> None:
        failure: OSError | None = None
        for name in names:
            try:
                (self._directory / name).unlink(missing_ok=True)
            except OSError as error:
                failure = error
            else:
                self._marks.discard(name)
                self._unsynced = True
        if self._unsynced:
            _sync(self._directory)
            self._unsynced = False
        if failure:
            raise failure

    def _found(self) -> Iterator[str]:
        """Nothing where it cannot be read, so that nobody is live."""
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    mine = _MARK.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
                    if mine and not entry.stat(follow_symlinks=False).st_size:
                        yield entry.name
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("the marks of live invitations cannot be read: %s", error)  # noqa: TRY400 - the cause is all there is

    def _time_of(self, name: str) -> float:
        """The earliest that it can be now, by that mark.

        What the steady clock has counted since is time that has passed; after a reboot it counts
        from 0. An atime that is no uptime was set by somebody who read the file.
        """
        try:
            found = (self._directory / name).stat()
        except OSError:
            return 0.0
        steady, then = self._steady(), found.st_atime
        if then > found.st_mtime / 2:
            return found.st_mtime
        passed = steady - then if steady >= then else steady
        return found.st_mtime + passed * (1 - _DRIFT)


def _id_of(name: str) -> str:
    return name.partition(".")[0]


def _sync(directory: Path) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
