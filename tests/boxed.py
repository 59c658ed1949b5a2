"""A host with something to lose, and a guest who may write, in a box or not: what their attacks do.

Each attack is a line for the guest's own shell, typed in the shared session by a real guest. What
it prints goes to a file in the shared directory; what it must not get, or do, is in `Attack`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from pairingd.box.place import Box, living
from tests.stage import Stage, Terminal, until

with_boxes = pytest.mark.skipif(
    sys.platform != "linux", reason="boxes of macOS were not tried: docs/macos.md"
)
SECRET = "the-host's-own-secret"
_PTRACE = {"x86_64": 101, "aarch64": 117}.get(platform.machine(), 117)  # ptrace(2)
_KEYCTL = {"x86_64": 250, "aarch64": 219}.get(platform.machine(), 219)  # keyctl(2)
# PATH COMMAND: in the place of the server at PATH, and has every client run COMMAND, by MSG_READY and
# MSG_EXEC of tmux's protocol. When it listens there is a file false-server where it was started.
FALSE_SERVER = r"""
use Socket;
my ($path, $command) = @ARGV;
rename $path, "$path.old";
socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, pack_sockaddr_un($path)); listen($s, 9);
sub message { my ($type, $data) = @_; pack("LSSLL", $type, 16 + length $data, 0, 8, 0) . $data }
open(my $ready, ">", "false-server"); close $ready;
while (accept(my $c, $s)) {
  sysread($c, my $asked, 65536);
  syswrite($c, message(207, "") . message(217, "$command\0/bin/sh\0"));
  select(undef, undef, undef, 0.3);
  syswrite($c, message(204, ""));
  close $c;
}
"""


class Attack(NamedTuple):
    """`line` is for a POSIX shell, in which the variables of `Scene.variables` are set. It has
    succeeded when `proves` is in what it printed, or once `does` says so.
    """

    name: str
    line: str
    proves: str = SECRET
    does: Callable[[Scene], bool] | None = None


def played(attacks: Iterable[Named], by: str, outcome: str) -> list[Any]:
    """For pytest's parametrize: each with its row for docs/security.md."""
    return [
        pytest.param(one, id=one.name, marks=pytest.mark.attack(f"{by}: {one.name}", outcome))
        for one in attacks
    ]


def all_played(
    attacks: Iterable[Named], by: str, outcome: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For one test that plays all of them on one network: as `played`, a row each."""

    def marked(test: Callable[..., None]) -> Callable[..., None]:
        for one in attacks:
            test = pytest.mark.attack(f"{by}: {one.name}", outcome)(test)
        return test

    return marked


class Named(Protocol):
    """An attack."""

    @property
    def name(self) -> str: ...


class Scene:
    """`project` is the shared directory of a host whose home has secrets beside it."""

    def __init__(self, stage: Stage, *, boxed: bool) -> None:
        self.stage = stage
        self.boxed = boxed
        self.project = stage.user_home / "project"
        self.home = stage.user_home
        self.outside = stage.path / "outside"
        for directory in (self.project / ".git" / "hooks", self.home / ".ssh", self.outside):
            directory.mkdir(parents=True)
        (self.project / ".git" / "config").write_text("[core]\n")
        (self.project / "false-server.pl").write_text(FALSE_SERVER)
        (self.project / "sees").write_text("")
        for file in (self.home / ".ssh" / "id", self.home / "notes", self.outside / "file"):
            file.write_text(SECRET)
            file.chmod(0o600)
        (self.project / "link").symlink_to(self.home / "notes")
        self._ends: list[Callable[[], object]] = []
        self.victim = self._program({"SECRET_OF_THE_HOST": SECRET})
        self.port = self._listener(socket.AF_INET, ("127.0.0.1", 0))
        self._listener(socket.AF_UNIX, f"\0{stage.path.name}")
        self._listener(socket.AF_UNIX, str(self.home / "agent.sock"))
        self.other_tmux = stage.path / "other-tmux.sock"
        stage.run("tmux", "-S", str(self.other_tmux), "new-session", "-d", "-s", SECRET)
        self.guest = stage.guest("octocat")
        more = ("--box", str(self.project)) if boxed else ()
        self.answer = stage.asks("invite", "octocat", "--no-copy", *more)
        assert "error" not in self.answer, self.answer
        self.screen: Terminal = self.guest.joins()
        self.screen.shows("[pairing]")
        self.results: dict[str, bool] = {}

    @property
    def socket(self) -> str:
        """The shared session's server's."""
        found = self.box
        return found.socket if found else str(self.stage.home / "tmux.sock")

    @property
    def box(self) -> Box | None:
        return living(str(self.stage.home / "box"))

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HOST": str(self.home),
            "OUTSIDE": str(self.outside),
            "VICTIM": str(self.victim.pid),
            "PORT": str(self.port),
            "NAME": self.stage.path.name,
            "CONTROL": str(self.stage.home / "pairingd.sock"),
            "OTHER": str(self.other_tmux),
            "TMUX_SOCKET": self.socket,
            "KEYCTL": str(_KEYCTL),
            "PTRACE": str(_PTRACE),
            "PYTHON": sys.executable,
            "STATE": str(self.stage.home),
        }

    def play(self, attacks: tuple[Attack, ...]) -> None:
        """Have the guest do all of them, one after the other."""
        lines = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        lines += [f"cd {self.project}"]
        for attack in attacks:
            lines += [
                *("(", attack.line, f") >{shlex.quote(f'sees/{attack.name}')} 2>&1 </dev/null &"),
                "wait $!",
            ]
        (self.project / "sees").unlink()
        (self.project / "sees").mkdir()
        (self.project / "attacks").write_text("\n".join([*lines, "touch sees/done", ""]))
        self.screen.types(f"clear; sh {self.project}/attacks")
        done = (self.project / "sees" / "done").exists
        until(done, lambda: f"all is tried:\n{self.screen.screen()}")
        for attack in attacks:
            self.results[attack.name] = self.succeeded(attack)

    def succeeded(self, attack: Attack) -> bool:
        if attack.does is None:
            return attack.proves in (self.project / "sees" / attack.name).read_text(
                errors="replace"
            )
        with contextlib.suppress(AssertionError):
            # What must not happen gets less time than what must.
            check = attack.does
            until(lambda: check(self), attack.name, 2.0 if self.boxed else 20.0)
            return True
        return False

    def close(self) -> None:
        if self.box:
            self.box.end()
        for end in self._ends:
            end()
        self.stage.run("tmux", "-S", str(self.other_tmux), "kill-server", check=False)

    def _program(self, more: dict[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "3600"], env={**os.environ, **more})
        self._ends += [process.kill, process.communicate]
        return process

    def _listener(self, family: int, address: object) -> int:
        """One that tells everybody the secret; its port."""
        listener = socket.socket(family)
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), connection:
                        connection.sendall(SECRET.encode())

        threading.Thread(target=serve, daemon=True).start()
        self._ends.append(partial(listener.shutdown, socket.SHUT_RDWR))
        self._ends.append(listener.close)
        return int(listener.getsockname()[1]) if family == socket.AF_INET else 0


@contextlib.contextmanager
def scene(*, boxed: bool, settings: str = "") -> Iterator[Scene]:
    with Stage() as stage:
        if settings:
            stage.configure(settings)
        with scene_on(stage, boxed=boxed) as made:
            yield made


@contextlib.contextmanager
def scene_on(stage: Stage, *, boxed: bool) -> Iterator[Scene]:
    made = Scene(stage, boxed=boxed)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def scene_in_a_box() -> Iterator[Scene]:
    """For one test."""
    with scene(boxed=True) as made:
        yield made


def _exists(path: str) -> Callable[[Scene], bool]:
    return lambda scene: (scene.home / path).exists()


def _is_dead(scene: Scene) -> bool:
    return scene.victim.poll() is not None


ATTACKS = (
    Attack("an ssh key", "cat $HOST/.ssh/id"),
    Attack("a file beside the directory", "cat ../notes"),
    Attack("a file elsewhere", "cat $OUTSIDE/file"),
    Attack("a file through a link of the host's", "cat link"),
    Attack("a file through a link of the guest's", "ln -s $HOST/notes own; cat own"),
    Attack("a hard link to a file of the host's", "ln $HOST/notes hard; cat hard"),
    Attack("a file through proc's root", "cat /proc/$VICTIM/root$HOST/notes /proc/1/root$HOST/notes"),
    Attack("a file that is mounted", "mkdir -p m; mount --bind $HOST m && cat m/notes; umount m"),
    Attack("what is hidden of etc", "head -c 5 /etc/shadow", "root:"),
    Attack("the environment of a program", "cat /proc/[0-9]*/environ"),
    Attack("the environment of the host's shell", "tr '\\0' '\\n' </proc/1/environ; env; "
           "tmux -S $TMUX_SOCKET show-environment -g", "PAIRING_HOME="),
    Attack("the memory map of a program", "head -n 1 /proc/$VICTIM/maps", "-"),
    Attack("a trace of a program",
           "perl -e 'print \"seized\" if syscall($ARGV[0], 0x4206, $ARGV[1]+0, 0, 0) == 0' $PTRACE $VICTIM",
           "seized"),
    Attack("pairctl", "PAIRING_HOME=$STATE $PYTHON -m pairctl status --json", "octocat"),
    Attack("a signal to a program", "kill -9 $VICTIM", does=_is_dead),
    Attack("the control socket", "printf '%s\\n' '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}'"
           " | nc -N -U $CONTROL", "tmux_socket"),
    Attack("another tmux server", "tmux -S $OTHER list-sessions"),
    Attack("an agent's socket", "nc -U $HOST/agent.sock"),
    Attack("an abstract socket", "perl -MSocket -e 'socket($s,PF_UNIX,SOCK_STREAM,0);"
           "connect($s,pack(\"Sa*\",1,\"\\0$ARGV[0]\")) and print <$s>' $NAME"),
    Attack("a service on loopback", "nc -w 3 127.0.0.1 $PORT"),
    Attack("a file written outside", "echo x >$HOST/written", does=_exists("written")),
    Attack("a file moved outside", "touch moved; mv moved $HOST/moved", does=_exists("moved")),
    Attack("a hook of git's", "echo x >.git/hooks/post-checkout",
           does=_exists("project/.git/hooks/post-checkout")),
    Attack("git's configuration", "echo '[x]' >>.git/config && echo done", "done"),
    Attack("another .git", "mv .git .gut && mv .gut .git && echo done", "done"),
    Attack("a user namespace", "unshare -Ur id", "uid=0(root) gid=0(root)"),
    Attack("a capability", "grep CapEff /proc/self/status | grep -qv 0000000000000000 && echo any", "any"),
    Attack("a setting of the kernel's", "s=/proc/sys/kernel/core_pattern; cat $s >$s && echo done", "done"),
    Attack("which programs the kernel ends when memory runs out",
           "s=/proc/self/oom_score_adj; cat $s >$s && echo done", "done"),
    Attack("a new privilege", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0"),
    Attack("a keyring", "perl -e 'print \"key \", syscall($ARGV[0], 0, -3, 1) > 0' $KEYCTL", "key 1"),
    Attack("the host's terminals", "ls /dev/pts | grep -c .", does=lambda scene: _terminals(scene) > 3),
    Attack("a client that runs a command as it leaves",
           'tmux -S $TMUX_SOCKET detach-client -a -E "touch $HOST/left"', does=_exists("left")),
)  # fmt: skip


def _terminals(scene: Scene) -> int:
    said = (scene.project / "sees" / "the host's terminals").read_text().split()
    return int(said[0]) if said and said[0].isdigit() else 0


def leaves_much_to_remove(place: Path) -> None:
    """As a guest may, in the directory of their box that has tmux's socket."""
    (place / "closed" / "in it").mkdir(parents=True)
    (place / "closed" / "in it" / "\x1b[31mred").touch()
    (place / "link").symlink_to(place.parent.parent)
    for directory in (place / "closed" / "in it", place / "closed"):
        directory.chmod(0)
    at = os.open(place, os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir("down", dir_fd=at)
        below = os.open("down", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.mkdir("closed", mode=0, dir_fd=at)
    os.close(at)
