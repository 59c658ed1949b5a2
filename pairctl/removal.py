"""What `pairctl uninstall` removes: files that pairing made, by their names, and nothing else.

Anything that pairing may not have made stays and is reported: `config.toml`, which the user has
written, a file of another kind, a link and its target, a directory with other files in it.
"""

# Paths are strings, as in pairingd.home.paths.
# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pairctl.accounts.facts import again
from pairctl.services.steps import Keep, Remove, Rmdir, Tree, perform
from pairingd.account.place import ours
from pairingd.box.place import boxes
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal, shell
from pairingd.home.paths import FILES
from pairingd.machine import peer
from pairingd.process.lock import Taken, take

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pairingd.home.paths import Paths

Removal: TypeAlias = Remove | Rmdir | Tree | Keep
_MARK = r"[^/]+\.(write|read)\.[0-9]+(\.used)?"  # a file of pairingd.state.live
_FAREWELL = r"[^/]+\.farewell\.[0-9]+"  # one of pairingd.reconcile.access.courtesy
_BOX = r"[0-9a-f]{8}(@[^/]+)?"  # a directory of pairctl.tmux.box or pairctl.tmux.account_session
_COMMON_NAMES = ("authorized_keys", "host_key", "sshd_config")  # as in ~/.ssh
_SOCKETS = ("control_socket", "tmux_socket")


def remove(paths: Paths) -> list[Removal]:
    """Carry out the plan and return it: what could not be removed is a `Keep`.

    Raises PairingError `stop-failed` while a daemon runs here, and then removes nothing.
    """
    done: list[Removal] = []
    with _no_daemon(paths.lock):
        for planned in plan(paths):
            step = _unless_needed(planned, done, paths)
            try:
                perform([step], "")
            except PairingError as failure:
                done.append(Keep(step.path, failure.message))
            else:
                done.append(step)
    return done


def plan(paths: Paths, *, daemon_runs: bool = False) -> list[Removal]:
    """Changes nothing. A running daemon is expected to close what its journal still names."""
    steps: list[Removal] = []
    undone = {} if daemon_runs else _undone(paths.state_db)
    for directory in paths.directories:
        steps += _within(directory, paths, undone)
    for account in ours():  # root has made it
        command = again("remove", account.name)
        steps.append(
            Keep(account.path, f"an account for guests; to remove it, before this: {command}")
        )
    # The lock goes last: its holder alone may change files here.
    lock, places = Remove(paths.lock), [Rmdir(path) for path in paths.directories]
    steps.sort(key=lambda step: (step in places, step == lock))
    return [_unless_needed(step, steps, paths) for step in steps]


def _unless_needed(step: Removal, others: Iterable[Removal], paths: Paths) -> Removal:
    """`step`, but the lock stays if the next run would not know what stays as ours without it."""
    kept = (other.path for other in others if isinstance(other, Keep))
    if step == Remove(paths.lock) and any(_counts_after_a_run(path, paths) for path in kept):
        return Keep(paths.lock, "it shows that pairing has made what stays; both go together")
    return step


def _within(directory: str, paths: Paths, undone: Mapping[str, str]) -> Iterator[Removal]:
    if reason := _untouchable(directory):
        yield Keep(directory, reason)
        return
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 - only names are needed
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:  # nobody could see whether it exists
        yield Keep(directory, f"{error.strerror}")
        return
    strangers = []
    kept = False
    for name in names:
        path = os.path.join(directory, name)
        if (status := _status(path)) is None:
            continue
        is_directory = stat.S_ISDIR(status.st_mode)
        if path in {paths.live, paths.boxes} and _has_run(paths) and is_directory:
            ours = _boxes(path) if path == paths.boxes else _within(path, paths, undone)
            steps = list(ours)
            kept = kept or any(isinstance(step, Keep) for step in steps)
            yield from steps
            continue
        if path != paths.config and not _is_ours(path, status, paths):
            strangers.append(for_terminal(name))
            continue
        reason = _worth_keeping(path, paths, undone)
        kept = kept or bool(reason)
        yield Keep(path, reason) if reason else Remove(path)
    yield from _emptied(directory, strangers, kept=kept)


def _emptied(directory: str, strangers: list[str], *, kept: bool) -> Iterator[Rmdir | Keep]:
    """Remove it, unless something in it stays."""
    if strangers:
        some = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
        yield Keep(directory, f"pairing has not made all that is in it: {some}")
    elif not kept:
        yield Rmdir(directory)


def _boxes(root: str) -> Iterator[Tree | Rmdir | Keep]:
    """Remove each box whole, unless a session runs in it."""
    if reason := _untouchable(root):
        yield Keep(root, reason)
        return
    strangers = []
    kept = False
    for box in boxes(root):
        if (status := _status(box.path)) is None:
            continue
        if not (re.fullmatch(_BOX, box.id) and stat.S_ISDIR(status.st_mode)):
            strangers.append(for_terminal(box.id))
        elif box.lives:
            kept = True
            yield Keep(box.path, "a tmux session is running in that box; exit its shells")
        else:
            yield Tree(box.path)
    yield from _emptied(root, strangers, kept=kept)


def _status(path: str) -> os.stat_result | None:
    """None if it is gone meanwhile: a daemon may run beside `plan`."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _untouchable(directory: str) -> str:
    """Why nothing in it may be changed; "" if it may be, or does not exist."""
    try:
        status = os.lstat(directory)
    except OSError:
        return ""
    if stat.S_ISLNK(status.st_mode):
        return "a link; its target is not touched"
    if not stat.S_ISDIR(status.st_mode):
        return "not a directory, so pairing has not made it"
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return "it is on a read-only disk"
    is_own = status.st_uid == os.getuid()
    if not is_own or not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return "you have no permission to change it"
    return ""


def _worth_keeping(path: str, paths: Paths, undone: Mapping[str, str]) -> str:
    if path == paths.config:
        return "you have written it"
    tmux = {*_socket_places(paths.tmux_socket, paths), paths.earlier_tmux_socket}
    if path in tmux and _answers(path):
        end = shell("tmux", "-S", path, "kill-server")
        return f"the tmux session is running; to end it: {end}"
    return undone.get(path, "")


def _is_ours(path: str, status: os.stat_result, paths: Paths) -> bool:
    """By name and kind; common names count only if a daemon has run here."""
    if os.path.dirname(path) == paths.live:
        name = os.path.basename(path)
        is_mark = re.fullmatch(_MARK, name) and not status.st_size
        return bool(is_mark or re.fullmatch(_FAREWELL, name)) and stat.S_ISREG(status.st_mode)
    if path in {*paths.control_sockets, paths.earlier_tmux_socket}:
        return stat.S_ISSOCK(status.st_mode) and status.st_uid == os.getuid()
    if _counts_after_a_run(path, paths) and not _has_run(paths):
        return False
    for name, more in FILES.items():
        place = getattr(paths, name)
        places = _socket_places(place, paths) if name in _SOCKETS else (place,)
        if any(re.fullmatch(re.escape(place) + more, path) for place in places):
            kind = stat.S_ISSOCK if name in _SOCKETS else stat.S_ISREG
            return kind(status.st_mode) and status.st_uid == os.getuid()
    return False


def _socket_places(path: str, paths: Paths) -> tuple[str, str]:
    """The socket's path now, and its path if XDG_RUNTIME_DIR was not set then, as after su."""
    return path, os.path.join(os.path.dirname(paths.state_db), os.path.basename(path))


def _counts_after_a_run(path: str, paths: Paths) -> bool:
    """Whether it may be another program's if no daemon has run here."""
    common = (re.escape(getattr(paths, name)) + FILES[name] for name in _COMMON_NAMES)
    below = (re.escape(place) + "(/.*)?" for place in (paths.live, paths.boxes))
    return any(re.fullmatch(pattern, path, re.DOTALL) for pattern in (*common, *below))


def _has_run(paths: Paths) -> bool:
    return any(os.path.lexists(mark) for mark in (paths.lock, paths.state_db))


def _answers(path: str) -> bool:
    """Whether a server may listen. A refused connection, or no socket, proves that none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except OSError as error:
            return not peer.nobody_listens(error)
        return True


def _undone(state_db: str) -> dict[str, str]:
    """Which files of the state must stay, and why: only its journal records what a daemon could not
    undo. It may be that of a database that a killed daemon was setting aside.
    """
    if not os.path.lexists(state_db):
        from pairingd.state import leftovers

        state_db = str(leftovers.database(Path(state_db)))
    reason = _recorded(state_db)
    files = [state_db + part for part in ("", "-wal", "-shm", "-journal")]
    return dict.fromkeys(files, reason) if reason else {}


def _recorded(state_db: str) -> str:
    """What its journal names; "" if nothing."""
    try:
        if not stat.S_ISREG(os.lstat(state_db).st_mode):
            return ""  # not ours, so it stays anyway
    except OSError:  # there is none, or its directory cannot be entered, and so stays
        return ""
    import sqlite3

    from pairingd.state import leftovers

    try:
        left = leftovers.read(Path(state_db))
    except PairingError:
        return "a newer version wrote it; uninstall with that version"
    except (OSError, sqlite3.Error, ValueError) as error:
        return (
            f"its journal cannot be read ({error}), and may name an open port; remove it yourself"
        )
    if left.mappings:
        mapping = left.mappings[0]
        return (
            f"the router at {mapping.gateway} may still forward port {mapping.external_port}, and "
            "only this file records it; in its network run: pairctl start, pairctl end, "
            "pairctl uninstall"
        )
    if left.processes:
        return (
            "a killed daemon may have left a guest's connection, and only this file records it; "
            "run: pairctl start, pairctl end, pairctl uninstall"
        )
    return ""


@contextlib.contextmanager
def _no_daemon(lock: str) -> Iterator[None]:
    """Hold the lock, so that no daemon runs or starts. Without the file none has run."""
    try:
        descriptor = take(lock, os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        yield
        return
    except OSError as error:
        raise PairingError(
            "stop-failed",
            f"{lock}: {error.strerror}; pairingd may be running, so no file was removed",
            "fix that, then run: pairctl uninstall",
        ) from None
    except Taken as taken:
        raise PairingError(
            "stop-failed",
            f"pairingd (pid {taken.pid}) is still running, so no file was removed",
            f"kill {taken.pid} ends it; then run: pairctl uninstall",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
