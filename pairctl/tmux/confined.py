"""Starts a session that does not run as the host: in a box, or as an account (pairingd.box)."""

# ruff: noqa: PTH102, PTH103, PTH123 - pathlib starts slowly

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from typing import TYPE_CHECKING

from pairctl.tmux.tmux_program import TMUX_TIMEOUT_S
from pairingd.box.place import boxes, living
from pairingd.core import shared_session
from pairingd.core.text import one_line
from pairingd.home.paths import require_bindable
from pairingd.process import foreign, listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pairingd.box.place import Box, Shares

_START_TIMEOUT_S = 20.0  # pasta is slow on a busy machine
_END_TIMEOUT_S = 5.0
_POLL_INTERVAL_S = 0.01


class NotStartedError(Exception):
    """Its message is the reason."""


@contextlib.contextmanager
def one_at_a_time(root: str) -> Iterator[None]:
    """Wait for another pairctl that makes a session; not for ever, because it may be stopped."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    deadline = time.monotonic() + _START_TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_POLL_INTERVAL_S)
        yield
    finally:
        os.close(lock)


def make(
    place: Box,
    files: Iterable[tuple[str, int, bytes]],
    shares: Shares,
    before: Callable[[], None] | None = None,
) -> None:
    """Make `place` with its `files` (path, mode, content), and remove those of earlier sessions.
    Returns once its tmux listens. Its process outlives this one and holds the lock; it first calls
    `before`. Raises NotStartedError, PairingError `path-too-long`, and then leaves nothing.
    """
    for old in boxes(place.root):
        old.remove()
    require_bindable(place.socket)
    try:
        os.makedirs(place.root, mode=0o700, exist_ok=True)
        for directory in (place.path,) if place.account else (place.path, place.shared):
            os.mkdir(directory, mode=0o700)
        for path, mode, content in files:
            _write(path, mode, content)
        _start(place, shares, before)
    except BaseException as failure:
        place.remove()
        if isinstance(failure, OSError):  # such as a full disk
            raise NotStartedError(f"{place.path}: {failure.strerror}") from None
        raise


def end_left_over(root: str, name: str) -> bool:
    """End the box that lives, whose session is over; not one that is just being made. Whether it
    has ended.
    """
    place = living(root)
    if place is None:
        return False
    made_at = os.stat(place.path).st_mtime  # noqa: PTH116 - as above
    if time.time() - made_at < _START_TIMEOUT_S or not _is_over(place, name):
        return False
    place.end()
    deadline = time.monotonic() + _END_TIMEOUT_S
    while place.lives and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL_S)
    return not place.lives


def _is_over(place: Box, name: str) -> bool:
    """Whether its tmux reports no session `name`, or is dead. No report proves nothing: guests can
    stop a client, and remove the socket of a server that lives.
    """
    if not _listens(place):
        return os.path.lexists(place.socket)
    asked = ("show-options", "-s", "exit-empty", ";", "list-sessions", "-F", shared_session.FORM)
    try:
        listed = foreign.run((place.tmux, "-u", "-S", place.socket, *asked), TMUX_TIMEOUT_S)
    except (OSError, TimeoutError):
        return False
    return listed.startswith("exit-empty ") and shared_session.find(listed, name) is None


def _write(path: str, mode: int, content: bytes) -> None:
    """A new file."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _start(place: Box, shares: Shares, before: Callable[[], None] | None) -> None:
    lock = os.open(place.lock, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            ["/bin/sh", place.server],
            stdin=lock,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            preexec_fn=before,  # noqa: PLW1509 - one thread
            start_new_session=True,
        )
    finally:
        os.close(lock)
    try:
        place.keep(shares._replace(keeper=process.pid))
        reason = _until_it_listens(place, process)
    except BaseException:
        place.end()
        foreign.kill(process)  # the record may not name it yet
        raise
    if reason:
        place.end()
        lines = _errors_of(process).decode(errors="replace").strip().splitlines()
        raise NotStartedError(one_line(lines[-1], 120) if lines else reason)


def _errors_of(process: subprocess.Popen[bytes]) -> bytes:
    """What it has printed, also if a program that it has left keeps its stderr open."""
    try:
        return process.communicate(timeout=_END_TIMEOUT_S)[1]
    except subprocess.TimeoutExpired as late:
        return late.stderr or b""


def _until_it_listens(place: Box, process: subprocess.Popen[bytes]) -> str:
    """The reason why it does not listen; "" once it does."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not _listens(place):
        if process.poll() is not None:
            return f"status {process.returncode}"
        if time.monotonic() > deadline:
            return f"no tmux in it after {_START_TIMEOUT_S:.0f} s"
        time.sleep(_POLL_INTERVAL_S)
    return ""


def _listens(place: Box) -> bool:
    """Only the account may connect to its socket: for an account it is enough that it exists."""
    if place.account:
        return os.path.lexists(place.socket)
    return listeners.answers(place.socket)
