"""What `pairctl uninstall` removes: files that pairing made, by their names, and nothing else.

What is not certainly ours stays and is named: `config.toml`, which the user has written, a file
that is not of the kind we make, a link and what it leads to, a directory with other things in it.
"""

# Paths are strings, as in pairingd.paths.
# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pairctl.accounts.facts import again
from pairctl.services.steps import Keep, Remove, Rmdir, perform
from pairingd.account.place import ours
from pairingd.box.place import boxes
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal, shell
from pairingd.paths import FILES
from pairingd.process.lock import Taken, take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairingd.paths import Paths

MARK = r"[^/]+\.(write|read)\.[0-9]+"  # a file of pairingd.live
_COMMON_NAMES = ("authorized_keys", "host_key", "sshd_config")  # as in ~/.ssh
_SOCKETS = ("control_socket", "tmux_socket")


def remove(paths: Paths) -> list[Remove | Rmdir | Keep]:
    """The plan as it was carried out: what could not be removed was kept.

    Raises PairingError `stop-failed` while a daemon runs here, and then has removed nothing.
    """
    done: list[Remove | Rmdir | Keep] = []
    with _no_daemon(paths.lock):
        for step in plan(paths):
            try:
                perform([step], "")
            except PairingError as failure:
                done.append(Keep(step.path, failure.message))
            else:
                done.append(step)
    return done


def plan(paths: Paths, *, daemon_runs: bool = False) -> list[Remove | Rmdir | Keep]:
    """Touches nothing. A daemon that runs is expected to close what its journal still names."""
    steps: list[Remove | Rmdir | Keep] = []
    undone = "" if daemon_runs else _undone(paths.state_db)
    for directory in paths.directories:
        steps += _within(directory, paths, undone)
    for account in ours():  # root has made it
        command = again("remove", account.name)
        steps.append(
            Keep(account.path, f"an account for guests; to remove it, before this: {command}")
        )
    # Whoever has the lock is alone here, until the last.
    return sorted(steps, key=lambda step: (isinstance(step, Rmdir), step == Remove(paths.lock)))


def _within(directory: str, paths: Paths, undone: str) -> Iterator[Remove | Rmdir | Keep]:
    if why := _not_ours_alone(directory):
        yield Keep(directory, why)
        return
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 - names are wanted
    except FileNotFoundError:
        return
    strangers = []
    kept = False
    for name in names:
        path = os.path.join(directory, name)
        if path == paths.live and _has_run(paths) and not _not_ours_alone(path):
            marks = list(_within(path, paths, undone))
            kept = kept or any(isinstance(step, Keep) for step in marks)
            yield from marks
            continue
        if path == paths.boxes and _has_run(paths) and not _not_ours_alone(path):
            left = list(_boxes(path))
            kept = kept or any(isinstance(step, Keep) for step in left)
            yield from left
            continue
        if path != paths.config and not _is_ours(path, paths):
            strangers.append(for_terminal(name))
            continue
        why = _worth_keeping(path, paths, undone)
        kept = kept or bool(why)
        yield Keep(path, why) if why else Remove(path)
    if strangers:
        some = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
        yield Keep(directory, f"pairing has not made all that is in it: {some}")
    elif not kept:
        yield Rmdir(directory)


def _boxes(root: str) -> Iterator[Remove | Rmdir | Keep]:
    """Each whole, but for one that a session runs in."""
    kept = False
    for box in boxes(root):
        if box.lives:
            kept = True
            yield Keep(box.path, "a tmux session is running in that box; exit its shells")
            continue
        for here, directories, files in os.walk(box.path, topdown=False):
            below = (os.path.join(here, name) for name in (*directories, *files))
            yield from (Remove(path) for path in below if not _is_directory(path))
            yield Rmdir(here)
    if not kept:
        yield Rmdir(root)


def _is_directory(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _not_ours_alone(directory: str) -> str:
    """Why nothing in there is touched; empty where it may be, or where nothing is."""
    try:
        found = os.lstat(directory)
    except OSError:
        return ""
    if stat.S_ISLNK(found.st_mode):
        return "a link; its target is not touched"
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not ours or not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return "you have no permission to change it"
    return ""


def _worth_keeping(path: str, paths: Paths, undone: str) -> str:
    if path == paths.config:
        return "you have written it"
    tmux = {*_socket_places(paths.tmux_socket, paths), paths.earlier_tmux_socket}
    if path in tmux and _answers(path):
        end = shell("tmux", "-S", path, "kill-server")
        return f"the tmux session is running; to end it: {end}"
    of_the_state = path in {paths.state_db + part for part in ("", "-wal", "-shm", "-journal")}
    return undone if of_the_state else ""


def _is_ours(path: str, paths: Paths) -> bool:
    """By its name and kind; what others name so, too, only where a daemon has left its marks."""
    if re.fullmatch(re.escape(paths.live) + "/" + MARK, path):
        found = os.lstat(path)
        return stat.S_ISREG(found.st_mode) and not found.st_size
    if path in {*paths.control_sockets, paths.earlier_tmux_socket}:
        found = os.lstat(path)
        return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()
    for name, more in FILES.items():
        if name in _COMMON_NAMES and not _has_run(paths):
            continue
        place = getattr(paths, name)
        places = _socket_places(place, paths) if name in _SOCKETS else (place,)
        if any(re.fullmatch(re.escape(place) + more, path) for place in places):
            found = os.lstat(path)
            kind = stat.S_ISSOCK if name in _SOCKETS else stat.S_ISREG
            return kind(found.st_mode) and found.st_uid == os.getuid()
    return False


def _socket_places(path: str, paths: Paths) -> tuple[str, str]:
    """Where a socket is now, and where it was if XDG_RUNTIME_DIR was not set then, as after su."""
    return path, os.path.join(os.path.dirname(paths.state_db), os.path.basename(path))


def _has_run(paths: Paths) -> bool:
    return any(os.path.lexists(mark) for mark in (paths.lock, paths.state_db))


def _answers(path: str) -> bool:
    """Whether a server listens, as far as can be told: only a refusal says that none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


def _undone(state_db: str) -> str:
    """Why the state must stay: its journal is the only memory of what a daemon could not undo."""
    try:
        if not stat.S_ISREG(os.lstat(state_db).st_mode):
            return ""  # not ours, and stays by that
    except FileNotFoundError:
        return ""
    import sqlite3

    from pairingd import leftovers

    try:
        left = leftovers.read(Path(state_db))
    except PairingError:
        return "a newer version wrote it; uninstall with that version"
    except (OSError, sqlite3.Error, ValueError) as error:
        return (
            f"its journal cannot be read ({error}), and may name an open port; remove it yourself"
        )
    for mapping in left.mappings:
        return (
            f"the router at {mapping.gateway} may still forward port {mapping.external_port}, and "
            "only this file records it; in its network run: pairctl start, pairctl end, "
            "pairctl uninstall"
        )
    if any(_exists(process.pid) for process in left.processes):
        return (
            "a killed daemon may have left a guest's connection, and only this file records it; "
            "run: pairctl start, pairctl end, pairctl uninstall"
        )
    return ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _no_daemon(lock: str) -> Iterator[None]:
    """None runs, and none can start meanwhile. Without the file none has."""
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
