"""One machine on which everything happens: a host, their forge and router, and guests.

Real daemon, sshd, ssh and tmux; the forge and the router are small servers on loopback, and the
router really forwards. Used by the demo, the benchmarks and the tests that need no network of
their own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import getpass
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from pairctl.control.client import Client
from pairingd.core.refusal import PairingError
from tests import logins
from tests.measured import measured
from tests.prefork import prefork
from tests.tmux_control import NO_PASTE, Control
from tests.waiting import WAIT_S, expires_soon, has_ended, looks

ROOT = Path(__file__).parent.parent
PAIRCTL = str(Path(sys.executable).with_name("pairctl"))  # as users start it
T = TypeVar("T")

# What the router says its address is; nothing is ever sent there, 127.0.0.1 stands for it.
EXTERNAL_HOST = "5.5.5.5"
CONFIG = """
[providers.github]
keys_url = "{forge}/{{name}}.keys"
[door]
address = "127.0.0.1"
[router]
external_port = {port}
"""


def until(look: Callable[[], T], what: str | Callable[[], str], within: float = WAIT_S) -> T:
    """The first truthy answer of `look`. Fails after `within` seconds, saying `what` never came."""
    for _ in looks(within):
        if found := look():
            return found
    raise AssertionError(f"not within {within} s: {what if isinstance(what, str) else what()}")


def in_another_second() -> None:
    """Than now: tmux dates what people do in whole seconds."""
    now = int(time.time())
    until(lambda: int(time.time()) > now, "the next second")


def free_port() -> int:
    """None of those that a system gives to sockets by itself: one could be taken before its use."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(WAIT_S)
        return probe.connect_ex((host, port)) == 0


def client_at(path: str) -> Client:
    """A connection to the daemon at that socket, on which hello was said."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
        return Client(connection)
    except (OSError, PairingError):
        connection.close()
        raise


class Fakes:
    """The servers of `tests.fakes`, in one process that ends with ours."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._end)

    def asks(self, wanted: dict[str, str | int]) -> str:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(wanted), file=self._process.stdin, flush=True)
        return str(json.loads(self._process.stdout.readline()))

    def _end(self) -> None:
        self._process.communicate()


fakes = functools.cache(Fakes)


class Stage:
    """Everything lies in a short directory of its own, which is gone afterwards."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._visits = ExitStack()
        self.external_port = 0
        self.door = 0  # its port, for a test that asks while the daemon cannot tell
        self.terminals: list[Terminal] = []
        self.tmux_command = "tmux"

    def __enter__(self) -> Self:
        # Unix socket paths are short: not below pytest's or macOS's own temporary directories.
        self.path = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
        self._stack.callback(shutil.rmtree, self.path, ignore_errors=True)
        self._stack.callback(self._end_left)
        self.home = self.path / "home"
        self.home.mkdir(mode=0o700)
        self.user_home = self.path / "user"  # where the host's own files are, such as .tmux.conf
        self.user_home.mkdir(mode=0o700)
        (self.user_home / ".tmux.conf").write_text(NO_PASTE)
        self.keys = self.path / "forge"
        self.keys.mkdir()
        self.external_port = free_port()
        self.forge = self._fake({"forge": str(self.keys)})
        self.router_is(EXTERNAL_HOST)
        self.configure()
        self._stack.callback(self._end_tmux)
        self._stack.callback(self._end_daemon)
        return self

    def __exit__(self, *_: object) -> None:
        self._visits.close()
        self._stack.close()

    def closes(self, close: Callable[[], None]) -> None:
        """Call it at the end, before all else goes."""
        self._visits.callback(close)

    def is_cleared(self) -> None:
        """As it began, for another test, but for the daemon, which runs on: nobody is invited."""
        with contextlib.suppress(OSError, PairingError), self.client() as client:
            client.call("end")
        self._visits.close()
        self._end_tmux()
        for place in (self.user_home, self.keys):
            shutil.rmtree(place)
            place.mkdir(mode=0o700)
        for left in set(self.path.iterdir()) - {self.home, self.user_home, self.keys}:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        until(lambda: not self.mappings(), "the router forwards no more")
        with contextlib.suppress(OSError, PairingError), self.client() as client:
            until(lambda: not client.call("status")["session"]["running"], "no session is left")

    def router_is(self, external_host: str) -> None:
        """A new router, for `configure` to name."""
        self.description_url = self._fake({"igd": external_host})
        self._asked = f'protocols = ["upnp"]\ndescription_url = "{self.description_url}"\n'

    def configure(self, more: str = "") -> None:
        text = CONFIG.format(forge=self.forge, port=self.external_port) + self._asked
        (self.home / "config.toml").write_text(text + more)

    def uses_tmux(self, command: Path) -> None:
        """This tmux, instead of the one on PATH."""
        self.tmux_command = str(command)
        self.configure(f'[tmux]\ncommand = "{command}"\n')

    def tmux(self, *words: str) -> str:
        """A command to the shared session's server, by the same tmux."""
        return self.run(
            self.tmux_command, "-S", str(self.home / "tmux.sock"), *words
        ).stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            **measured(),
            "HOME": str(self.user_home),
            "PAIRING_HOME": str(self.home),
            "TERM": "xterm-256color",
            "SHELL": "/bin/sh",
        }

    def run(
        self, *argv: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            env=self.environment,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            **options,
        )
        if check:
            assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def pairctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = prefork().pairctl(argv, self.environment, self.path)
        assert not check or done.returncode == 0, done
        return done

    def client(self) -> Client:
        """A connection to the daemon of this process's own, on which hello was said."""
        return client_at(str(self.home / "pairingd.sock"))

    def asks(self, *argv: str) -> dict[str, Any]:
        """The JSON that `pairctl ARGV --json` prints."""
        answer: dict[str, Any] = json.loads(self.pairctl(*argv, "--json", check=False).stdout)
        return answer

    def expires_soon(self, guest: str) -> float:
        """Move the deadline of `guest` to a few seconds from now; it, in seconds since the epoch."""
        return expires_soon(self.asks, guest, lambda: self.pairctl("status"))

    def daemon(
        self, *argv: str, program: Sequence[str] = ("-m", "pairingd")
    ) -> subprocess.Popen[str]:
        """A daemon in the foreground, ready for requests."""
        process = subprocess.Popen(
            [sys.executable, *program, *argv],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(_end, process)
        until(lambda: self._answers() or process.poll() is not None, "the daemon answers")
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, PairingError), self.client():
            return True
        return False

    def has_seen(self, visits: int) -> None:
        """Wait until the daemon has seen so many in the session: their screens are sooner."""
        until(lambda: len(self.asks("receipt")["visits"]) == visits, f"{visits} visits")

    def guest(self, name: str) -> Guest:
        return Guest(self, name)

    def mappings(self) -> list[dict[str, Any]]:
        """What stands in the router's table."""
        with urllib.request.urlopen(
            f"{self.description_url.rpartition('/')[0]}/mappings", timeout=WAIT_S
        ) as answer:
            table: list[dict[str, Any]] = json.load(answer)
        return table

    def terminal(self, *argv: str, columns: int = 80, lines: int = 24) -> Terminal:
        self.terminals.append(Terminal(self, argv, columns, lines))
        return self.terminals[-1]

    def _fake(self, wanted: dict[str, str | int]) -> str:
        """Start a server, for this stage; its URL."""
        url = fakes().asks(wanted)
        self._stack.callback(fakes().asks, {"close": url})
        return url

    def _end_daemon(self) -> None:
        try:
            with self.client() as client:
                daemon = psutil.Process(client.hello["pid"])
                client.call("stop")
        except (OSError, PairingError, psutil.NoSuchProcess):
            self.pairctl("stop", check=False)
            return
        until(lambda: has_ended(daemon), "the daemon has ended")

    def _end_left(self) -> None:
        """A tmux server that has lost its socket, or waits for a client whose reader has gone."""
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.path) in word for word in process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def _end_tmux(self) -> None:
        for terminal in self.terminals:
            terminal.close()
        self.terminals.clear()
        for found in self.path.rglob("*.sock"):
            if "tmux" in found.name:
                for command in {"tmux", self.tmux_command}:  # versions differ in their protocol
                    self.run(command, "-S", str(found), "kill-server", check=False)


class Guest:
    """Someone with an account on the forge and a key on their machine."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.key = stage.path / f"{name}_ed25519"
        self._stage = stage
        stage.run(*("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.key)))
        self.publish()

    def publish(self) -> None:
        public = self.key.with_suffix(".pub").read_text()
        (self._stage.keys / f"{self.name}.keys").write_text(public)

    def ssh(self, *more: str, port: int | None = None) -> tuple[str, ...]:
        """The printed command, through the router unless `port` is the door's own."""
        return (
            *("ssh", "-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "LogLevel=ERROR", "-p", str(port or self._stage.external_port)),
            *more,
            *logins.options,
            f"{getpass.getuser()}@127.0.0.1",
        )

    def joins(
        self, *more: str, port: int | None = None, columns: int = 80, lines: int = 24
    ) -> Terminal:
        if port is None:  # on a busy machine an invitation is printed before the router forwards
            until(self._stage.mappings, "the router forwards")
        return self._stage.terminal(*self.ssh(*more, port=port), columns=columns, lines=lines)

    def runs(self, *words: str, port: int | None = None) -> subprocess.CompletedProcess[str]:
        """ssh without a terminal, `words` as its command."""
        return self._stage.run(*self.ssh(port=port), *words, check=False)


class Terminal:
    """A person's terminal with one command in it; it is a tmux of its own."""

    _count = 0

    def __init__(self, stage: Stage, argv: tuple[str, ...], columns: int, lines: int) -> None:
        Terminal._count += 1
        self._stage = stage
        self._socket = stage.path / f"tmux-{Terminal._count}.sock"
        self._status = self._socket.with_suffix(".status")
        size = ("-x", str(columns), "-y", str(lines))
        script = f'trap : INT; unset TMUX TMUX_PANE; "$@"; echo $? >{self._status}; sleep 3600'
        stage.run(
            *("tmux", "-f", "/dev/null", "-S", str(self._socket), "new-session", "-d", *size),
            *("sh", "-c", script, "sh", *argv),
        )
        self._control = Control(str(self._socket), environment=stage.environment)

    def close(self) -> None:
        self._control.close()

    def types(self, line: str) -> None:
        self.writes(line)
        self.presses("Enter")

    def writes(self, text: str) -> None:
        self._control.send_keys("-l", "--", text)

    def presses(self, *keys: str) -> None:
        self._control.send_keys(*keys)

    def screen(self) -> str:
        return self._control.run("capture-pane", "-p")

    def painted(self) -> str:
        """The screen with its colours, as escape sequences."""
        return self._control.run("capture-pane", "-e", "-p")

    def expanded(self, text: str) -> str:
        """`text` with the variables in it replaced: FORMATS in tmux(1)."""
        return self._control.run("display-message", "-p", text)

    def cursor(self) -> tuple[int, int] | None:
        """Its column and line, counted from 0; None where the command has hidden it."""
        shown, *place = self.expanded("#{cursor_flag} #{cursor_x} #{cursor_y}").split()
        return (int(place[0]), int(place[1])) if shown == "1" else None

    def recorded(self) -> Path:
        """A file that gets all that is written to this terminal from now on."""
        record = self._socket.with_suffix(".record")
        self._control.run("pipe-pane", f"cat >{shlex.quote(str(record))}")
        return record

    def shows(self, text: str, within: float = WAIT_S) -> None:
        until(
            lambda: text in self.screen(),
            lambda: f"{text!r} on the screen:\n{self.screen()}",
            within,
        )

    def ended(self, within: float = WAIT_S) -> int:
        """The command's exit status, once it has ended."""
        return int(
            until(
                lambda: self._status.exists() and self._status.read_text().strip(),
                lambda: f"the end of the command:\n{self.screen()}",
                within,
            )
        )


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
