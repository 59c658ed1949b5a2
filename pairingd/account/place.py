"""One account on disk: its programs, its files, and its record."""

# pathlib takes longer to import than all else that `pairctl status` does.
# ruff: noqa: PTH118, PTH123, PTH208

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Only root may write to it and to the directories above. Each account has a directory in it.
ROOT = "/Library/pairing" if sys.platform == "darwin" else "/var/lib/pairing"
# setsid(1) of util-linux; macOS has none. A process that leads its group already must fork.
_SETSID = (
    "import os,sys\n"
    "if os.getpid()==os.getpgrp() and (pid:=os.fork()): "
    "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1])&255)\n"
    "os.setsid(); os.execvp(sys.argv[1],sys.argv[1:])"
)
_NO_TERMINAL = (
    (sys.executable, "-I", "-S", "-c", _SETSID) if sys.platform == "darwin" else ("setsid", "-w")
)
# useradd(8), CAVEATS; none of these characters means anything in sudoers, sshd_config or a shell.
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}", re.ASCII)


class Record(NamedTuple):
    """What root has recorded of an account, before it made anything. `host` is the user to whom it
    belongs. `python`, `sshd` and `tmux` are what its programs run; `shared` the directories that it
    shares with the host, `defaults` those in them that had a default ACL (acl(5)) before.
    """

    host: str
    python: str = ""
    sshd: str = ""
    tmux: str = ""
    shared: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()


class Account(NamedTuple):
    """The user `name`, as whom guests log in."""

    name: str
    root: str = ROOT

    @property
    def path(self) -> str:
        return os.path.join(self.root, self.name)

    @property
    def home(self) -> str:
        """The home directory of this user, as `pairctl account create` makes it."""
        return f"{'/Users' if sys.platform == 'darwin' else '/home'}/{self.name}"

    @property
    def record_file(self) -> str:
        return os.path.join(self.path, "account.json")

    @property
    def programs(self) -> str:
        """Root's: the programs that the host may run as this user, and their parts."""
        return os.path.join(self.path, "programs")

    @property
    def tmux(self) -> str:
        return os.path.join(self.programs, "tmux")

    @property
    def guest(self) -> str:
        return os.path.join(self.programs, "guest")

    @property
    def join(self) -> str:
        """The forced command."""
        return os.path.join(self.programs, "join.sh")

    @property
    def host_key(self) -> str:
        """Root's, for this user to read. The host reads its public half, beside it."""
        return os.path.join(self.path, "host_ed25519")

    @property
    def host_key_pub(self) -> str:
        return f"{self.host_key}.pub"

    @property
    def host(self) -> str:
        """The host's directory, which only this user may read."""
        return os.path.join(self.path, "host")

    @property
    def sshd_config(self) -> str:
        return os.path.join(self.host, "sshd_config")

    @property
    def authorized_keys(self) -> str:
        return os.path.join(self.host, "authorized_keys")

    @property
    def live(self) -> str:
        """Copies of the marks, which the forced command reads and pairingd never trusts."""
        return os.path.join(self.host, "live")

    @property
    def asks(self) -> str:
        """The socket at which guests ask to be let in."""
        return os.path.join(self.host, "ask.sock")

    @property
    def run(self) -> str:
        """This user's own directory with tmux's sockets; the host may pass through it."""
        return os.path.join(self.path, "run")

    def socket(self, session: str) -> str:
        return os.path.join(self.run, f"{session}.sock")

    def as_user(self, *argv: str) -> tuple[str, ...]:
        """Return the command by which the host runs one of the two programs. It keeps our terminal,
        if there is one; that must be one of its own.
        """
        return "sudo", "-n", "-u", self.name, *argv

    def apart(self, *argv: str) -> tuple[str, ...]:
        """As `as_user`, but without the terminal in which we run. A guest who is that user controls
        all that runs as it, by ptrace(2) or as tmux's server. By /dev/tty they could read what the
        host types there, and type (measured, Linux 6.18).
        """
        return *_NO_TERMINAL, *self.as_user(*argv)

    @property
    def record(self) -> Record | None:
        """None if there is none that can be read."""
        try:
            with open(self.record_file, "rb") as file:
                members = json.loads(file.read())
            lists = {name: tuple(members.get(name, ())) for name in ("shared", "defaults")}
            return Record(**{**members, **lists})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def ours() -> Iterator[Account]:
    """Yield those whose host we are."""
    for account in accounts():
        with contextlib.suppress(OSError):
            if os.stat(account.host).st_uid == os.getuid():  # noqa: PTH116 - as above
                yield account


def as_json(record: Record) -> str:
    """Return `record` as `Account.record` reads it."""
    return json.dumps(record._asdict(), indent=2) + "\n"


def accounts(root: str = ROOT) -> list[Account]:
    """Return all that root has begun to make."""
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    return [Account(name, root) for name in names if NAME.fullmatch(name)]
