"""One account on disk: its programs, its files, and what is recorded of it."""

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

# Root's own, and nobody else may write on the way to it. Below it each account has a directory.
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
    """What root has written of an account, before it made anything. `host` is the user to whom it
    belongs. `python`, `sshd` and `tmux` are what its programs run; `shared` the directories that
    it shares with the host.
    """

    host: str
    python: str = ""
    sshd: str = ""
    tmux: str = ""
    shared: tuple[str, ...] = ()


class Account(NamedTuple):
    """The user `name`, by whom guests log in."""

    name: str
    root: str = ROOT

    @property
    def path(self) -> str:
        return os.path.join(self.root, self.name)

    @property
    def home(self) -> str:
        """Where `pairctl account create` makes this user's home directory."""
        return f"{'/Users' if sys.platform == 'darwin' else '/home'}/{self.name}"

    @property
    def record_file(self) -> str:
        return os.path.join(self.path, "account.json")

    @property
    def programs(self) -> str:
        """Root's: what the host may run as this user, and what these programs are made of."""
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
        """The host's: for this user to read, and for nobody else."""
        return os.path.join(self.path, "host")

    @property
    def sshd_config(self) -> str:
        return os.path.join(self.host, "sshd_config")

    @property
    def authorized_keys(self) -> str:
        return os.path.join(self.host, "authorized_keys")

    @property
    def live(self) -> str:
        """The marks that the forced command reads: copies, of which nothing is believed."""
        return os.path.join(self.host, "live")

    @property
    def asks(self) -> str:
        """The socket at which guests ask to be let in."""
        return os.path.join(self.host, "ask.sock")

    @property
    def run(self) -> str:
        """This user's own, through which the host may pass: the sockets of tmux."""
        return os.path.join(self.path, "run")

    def socket(self, session: str) -> str:
        return os.path.join(self.run, f"{session}.sock")

    def as_user(self, *words: str) -> tuple[str, ...]:
        """The command by which the host runs one of the two programs. Where there is a terminal, it
        has that: it must be one of its own.
        """
        return "sudo", "-n", "-u", self.name, *words

    def apart(self, *words: str) -> tuple[str, ...]:
        """The same without the terminal in which we run. Whoever is that user can take hold of all
        that runs as it, by ptrace(2) or as tmux's server, and would have /dev/tty: could read what
        the host types there, and type (measured, Linux 6.18).
        """
        return *_NO_TERMINAL, *self.as_user(*words)

    @property
    def record(self) -> Record | None:
        """None where there is none that can be read."""
        try:
            with open(self.record_file, "rb") as file:
                said = json.loads(file.read())
            return Record(**{**said, "shared": tuple(said["shared"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def ours(root: str = ROOT) -> Iterator[Account]:
    """Those whose host we are."""
    for account in accounts(root):
        with contextlib.suppress(OSError):
            if os.stat(account.host).st_uid == os.getuid():  # noqa: PTH116 - as above
                yield account


def as_json(record: Record) -> str:
    """What `Account.record` reads."""
    return json.dumps(record._asdict(), indent=2) + "\n"


def accounts(root: str = ROOT) -> list[Account]:
    """All that root has begun to make."""
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    return [Account(name, root) for name in names if NAME.fullmatch(name)]
