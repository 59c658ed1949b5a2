"""The tmux session, made and entered from the user's own terminal.

It is made here and not by the daemon: the environment, the directory and, on macOS, the
privacy permissions of the programs in it are those of whoever starts the tmux server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

from pairctl.first_shell import KEEP_ENVIRONMENT
from pairingd import private
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line, shell
from pairingd.paths import find_paths

if TYPE_CHECKING:
    from pairingd.protocol.results import Hello

_LIMIT = 10.0  # seconds
_OUR_SERVER = ("TMUX", "TMUX_PANE")  # set inside any tmux; tmux refuses to nest by them


class Session:
    """The shared session of one daemon. Raises PairingError `no-tmux` where there is no tmux."""

    def __init__(self, hello: Hello) -> None:
        self._tmux = _tmux(hello["tmux"])
        self._socket = hello["tmux_socket"]
        self.name = hello["session"]
        self.made = False  # by `create`, or it was stopped while it made it

    def exists(self) -> bool:
        """Without starting a server: has-session is not among the commands that do."""
        return self._run("has-session", "-t", f"={self.name}").returncode == 0

    def create(self) -> None:
        """In the user's directory and environment, unless it is there."""
        if self.exists():
            return
        self.made = True
        new = ("new-session", "-d", "-s", self.name, "-c", _directory(), *_size())
        done = self._run(*KEEP_ENVIRONMENT, *new)
        if self.exists():  # tmux 3.3a says 0 where it could not make its socket
            self.made = done.returncode == 0  # else another pairctl was quicker
            return
        self.made = False
        raise PairingError(
            "tmux-failed",
            f"tmux could not make the session: {_last_line(done.stderr)}",
            f"try it by hand: {shell(self._tmux, 'new-session')}",
        )

    def kill(self) -> None:
        """Undo `create`."""
        self._run("kill-session", "-t", f"={self.name}")

    def attach(self) -> NoReturn:
        """Become tmux in this terminal. Raises `no-session`, `already-attached`, `no-terminal`."""
        if _is_within(self._socket):
            raise PairingError(
                "already-attached",
                "this terminal is already in the session",
                "leave it with the tmux prefix and d; others join with: pairctl attach",
            )
        if not self.exists():
            raise PairingError(
                "no-session", "no session is running", "start one with: pairctl invite GUEST"
            )
        if not sys.stdin.isatty():
            raise PairingError("no-terminal", "stdin is not a terminal", "attach from a terminal")
        words = [self._tmux, "-S", self._socket, "attach-session", "-t", f"={self.name}"]
        os.execvpe(self._tmux, words, _environment())  # noqa: S606 - no shell is wanted

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._tmux, "-S", self._socket, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                env=_environment(),
                errors="replace",
                text=True,
                timeout=_LIMIT,
            )
        except subprocess.TimeoutExpired:
            why = f"no answer within {_LIMIT:.0f} s"
        except OSError as error:
            why = str(error.strerror)
        raise PairingError(
            "tmux-failed",
            f"{self._tmux}: {why}",
            "set [tmux] command in config.toml to a working tmux",
        )


def _tmux(daemons: str) -> str:
    """The tmux to run. The daemon's own where we would find it too, so that both run the same."""
    from pairingd import which

    found = which.tmuxes(_configured_tmux())
    if found and daemons:
        return daemons if daemons in found else found[0]
    install = "apt install tmux, or: brew install tmux"
    if not found:
        raise PairingError("no-tmux", "tmux is not installed", install)
    raise PairingError(
        "no-tmux",
        f"pairingd does not find tmux; this terminal finds {found[0]}",
        f"{install}; or set [tmux] command in config.toml, then: pairctl restart",
    )


def _configured_tmux() -> str:
    """`[tmux] command` of config.toml; the rest of the file the daemon has checked."""
    path = find_paths().config
    content = private.read_config(path)
    if content is None:
        return ""
    import tomllib

    try:
        command = tomllib.loads(content.decode("utf-8-sig")).get("tmux", {}).get("command", "")
        usable = not command or command.startswith("/")
    except (AttributeError, ValueError, RecursionError):
        usable = False
    if not usable:
        raise PairingError(
            "bad-config",
            f"{path}: [tmux] command cannot be read",
            "pairctl doctor prints the error",
        )
    return str(command)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OUR_SERVER}


def _is_within(tmux_socket: str) -> bool:
    """TMUX is socket,pid,session: tmux(1), ENVIRONMENT."""
    here = os.environ.get("TMUX", "").rsplit(",", 2)[0]
    return bool(here) and os.path.realpath(here) == os.path.realpath(tmux_socket)


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string is what tmux takes
    except FileNotFoundError:
        return os.path.expanduser("~")  # noqa: PTH111 - likewise


def _size() -> list[str]:
    """The terminal's, so that nothing is redrawn when the host attaches."""
    for descriptor in (0, 1, 2):
        try:
            columns, lines = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if columns > 0 and lines > 0:
            return ["-x", str(columns), "-y", str(lines)]
    return []


def _last_line(text: str) -> str:
    return one_line((text.strip().splitlines() or ["no reason given"])[-1], 200)
