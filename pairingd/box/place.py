"""One box on disk: its files, and whether it lives."""

# pathlib takes longer to import than all else that `pairctl status` does.
# ruff: noqa: PTH112, PTH114, PTH118, PTH123, PTH208

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from typing import NamedTuple

from pairingd.account.place import Account
from pairingd.core.text import shell
from pairingd.process import foreign

_END_TIMEOUT_S = 10.0
_TOOLS = "/usr/bin:/bin"


class Box(NamedTuple):
    """`root` has all boxes, each in a directory named by its `id`, which is never reused. One whose
    id ends in @NAME is not a box in the narrow sense: its session runs as that account.
    """

    root: str
    id: str

    @property
    def path(self) -> str:
        return os.path.join(self.root, self.id)

    @property
    def account(self) -> Account | None:
        """The account as which the session runs, None for the host."""
        name = self.id.partition("@")[2]
        return Account(name) if name else None

    @property
    def tmux(self) -> str:
        """The program that stands for tmux outside: each run of it is a client in a box."""
        return os.path.join(self.path, "tmux")

    @property
    def server(self) -> str:
        """The program that is the box, and ends with it."""
        return os.path.join(self.path, "server")

    @property
    def filter(self) -> str:
        """The forbidden system calls, as a program for the kernel (seccomp(2))."""
        return os.path.join(self.path, "filter")

    @property
    def client_filter(self) -> str:
        """The same for clients."""
        return os.path.join(self.path, "client-filter")

    @property
    def environment(self) -> str:
        """That of the server, as a file for a shell."""
        return os.path.join(self.path, "environment")

    @property
    def resolv_conf(self) -> str:
        return os.path.join(self.path, "resolv.conf")

    @property
    def shared(self) -> str:
        """The only directory of ours in the box, and in its clients' boxes."""
        return os.path.join(self.path, "s")

    @property
    def socket(self) -> str:
        if account := self.account:
            return account.socket(self.id.partition("@")[0])
        return os.path.join(self.shared, "tmux.sock")

    @property
    def lock(self) -> str:
        """Held by the process that is the box, outside, as long as it lives."""
        return os.path.join(self.path, "lock")

    @property
    def record(self) -> str:
        """What is shared, in JSON."""
        return os.path.join(self.path, "box.json")

    @property
    def lives(self) -> bool:
        """Whether the lock is held. A pid would not tell, because another process may have it."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def shares(self) -> Shares:
        """As in the record; missing members are empty."""
        given = {}
        with contextlib.suppress(OSError, ValueError), open(self.record, "rb") as file:
            given = json.loads(file.read())
        return Shares(
            str(given.get("directory", "")),
            str(given.get("network", "")),
            int(given.get("keeper", 0)),
            tuple(given.get("writable", ())),
        )

    def keep(self, shares: Shares) -> None:
        """Write the record."""
        with open(self.record, "w", encoding="utf-8", opener=_privately) as file:
            json.dump(shares._asdict(), file)

    @property
    def keeper(self) -> int | None:
        """The pid of the process that is the box, as seen from outside; None where none lives."""
        return (self.shares.keeper or None) if self.lives else None

    @property
    def ended_by(self) -> str:
        """A hint for the host: what ends it where tmux does not answer, which a guest can cause.
        "" if it does not live.
        """
        if not (keeper := self.keeper):
            return ""
        pid = _first_inside(keeper) or -keeper  # it leads a process group; no `--`, for dash
        command = f"kill -KILL {pid}"
        if account := self.account:
            command = shell(*account.as_user(account.guest, "end"))
        return f"to end the session, with all that runs in it: {command}"

    def end(self) -> None:
        """Kill the process that is the box and all its descendants: the program that makes the
        namespaces does not always end with its parent.
        """
        import psutil

        if (keeper := self.keeper) is None:
            return
        if account := self.account:  # we may not signal its processes
            with contextlib.suppress(OSError):
                foreign.run(account.apart(account.guest, "end"), _END_TIMEOUT_S)
        with contextlib.suppress(psutil.Error):
            outermost = psutil.Process(keeper)
            for process in (*outermost.children(recursive=True), outermost):
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def remove(self) -> None:
        """Remove its files, unless it lives."""
        if not self.lives:
            with contextlib.suppress(OSError):
                remove_whole(self.path)


class Shares(NamedTuple):
    """`directory` is the one in which the session begins, `network` as in config.toml, `keeper` the
    process that is the box, `writable` all that its guests can write of the host's.
    """

    directory: str
    network: str
    keeper: int
    writable: tuple[str, ...] = ()


def remove_whole(directory: str) -> None:
    """Remove it with what a guest has left in it: also closed directories, and ones that lie deeper
    in each other than shutil.rmtree can go. Raises OSError if it stays. A link is not followed.
    """
    import subprocess

    closed = ("-type", "d", "!", "-perm", "-700")
    opens = ("-execdir", "chmod", "700", "{}", ";")
    for argv in (("find", "-P", directory, *closed, *opens), ("rm", "-rf", directory)):
        if os.path.isdir(directory) and not os.path.islink(directory):
            subprocess.run(argv, check=False, env={"PATH": _TOOLS}, capture_output=True)
    if os.path.lexists(directory):
        raise OSError(errno.ENOTEMPTY, "a part of it cannot be removed", directory)


def _first_inside(keeper: int) -> int | None:
    """The process without which nothing in the box lives: the first of a process namespace (Linux).
    A guest can keep it from ending with its parent, by ptrace(2).
    """
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for process in psutil.Process(keeper).children(recursive=True):
            with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as status:
                if f"\nNSpid:\t{process.pid}\t1\n" in status.read():
                    return int(process.pid)
    return None


def boxes(root: str) -> list[Box]:
    """Return all boxes that have files, dead or alive."""
    with contextlib.suppress(OSError):
        return [Box(root, name) for name in sorted(os.listdir(root))]
    return []


def living(root: str) -> Box | None:
    """Return the box of the session that runs, if there is one."""
    return next((box for box in boxes(root) if box.lives), None)


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
