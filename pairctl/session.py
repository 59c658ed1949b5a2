"""The tmux session, made and entered from the user's own terminal.

It is made here and not by the daemon: the environment, the directory and, on macOS, the
privacy permissions of the programs in it are those of whoever starts the tmux server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from pairctl import birth, foreground, terminal_type, tmux_program
from pairingd import shared_session
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell
from pairingd.process import listeners

if TYPE_CHECKING:
    from collections.abc import Callable

    from pairingd.protocol.results import Hello

_LIMIT = 10.0  # seconds
_TRIES, _PAUSE_S = 5, 0.1  # to make a session while another server is still ending
_LOOK_AGAIN_S = 0.02
_EXPLAINED_S = (
    3.0  # a dead pane's status follows its end; none does where a program closed its terminal
)
_OUR_SERVER = ("TMUX", "TMUX_PANE")  # set inside any tmux; tmux refuses to nest by them


class Session:
    """The shared session of one daemon. Raises PairingError `no-tmux` where there is no tmux.

    `program` is the tmux that is run. `made`: `create` has made the session, or was stopped
    while it made it. `warnings` are of what
    `settle` has seen.
    """

    def __init__(self, hello: Hello) -> None:
        self._programs = tmux_program.find(hello["tmux"])
        self.program = self._programs[0]
        self._socket = hello["tmux_socket"]
        self._name = hello["session"]
        self._fresh: str | None = None  # what `create` has made and `settle` has not seen yet
        self._made_at = 0.0
        self.made = False
        self.warnings: list[PairingError] = []

    def exists(self) -> bool:
        """Without starting a server. Raises PairingError `tmux-socket-gone`."""
        return self._target() is not None

    def create(self, waiting: Callable[[str], None]) -> None:
        """In the user's directory and environment, unless it is there.

        `waiting` is called once with a line for people, where tmux takes long to start. Raises
        PairingError `tmux-failed`, `tmux-too-old`, `shell-ended`.
        """
        if self.exists():
            return
        self.program = tmux_program.new_enough(self._programs)
        self.made = True
        for _ in range(_TRIES):
            command = [self.program, "-S", self._socket, *birth.commands(self._name)]
            try:
                status, said = birth.run(command, self._socket, _environment(), waiting)
            except PairingError:
                self.made = False
                raise
            made = self._target()
            if made:  # tmux 3.3a says 0 where it could not make its socket
                self.made = status == 0  # else another pairctl was quicker
                if self.made:
                    self._fresh, self._made_at = made, time.monotonic()
                    self._require_alive(self._first_pane())
                return
            time.sleep(_PAUSE_S)  # a server that is being killed takes its last clients with it
        self.made = False
        raise PairingError(
            "tmux-failed",
            f"tmux could not make the session: {said}",
            f"try it by hand: {shell(self.program, 'new-session')}",
        )

    def settle(self) -> bool:
        """Once its first program runs, leave a session just made to the user's own options. False
        where the session has gone. Raises PairingError `shell-ended` where that program has ended.
        """
        if not self._fresh:
            return self.exists()
        pane = self._first_pane()
        while pane and not pane.dead and not pane.lives(time.monotonic() - self._made_at):
            time.sleep(_LOOK_AGAIN_S)
            pane = self._first_pane()
        if pane and not pane.dead:
            if problem := pane.errors():
                self._run("send-keys", "-X", "-t", f"{self._fresh}:", "cancel")
                self.warnings.append(problem)
            self._run(*birth.released(self._fresh))
            pane = self._first_pane()  # it may have ended just before
        self._require_alive(pane)
        self._fresh = None
        return pane is not None

    def kill(self) -> None:
        """Undo `create`."""
        if target := self._target():
            self._run("kill-session", "-t", target)

    def attach(self) -> int:
        """Have tmux in this terminal until it is left, or the session ends; tmux's exit status.

        Raises `no-session`, `already-attached`, `no-terminal`, `bad-terminal`.
        """
        if self.is_here():
            raise PairingError(
                "already-attached",
                "this terminal is already in the session",
                "leave it with the tmux prefix and d; others join with: pairctl attach",
            )
        target = self._target()
        if target is None:
            raise PairingError(
                "no-session", "no session is running", "start one with: pairctl invite GUEST"
            )
        require_terminal()
        environment = {**_environment(), "TERM": terminal_type.usable(os.environ.get("TERM", ""))}
        words = [self.program, "-S", self._socket, "attach-session", "-t", target]
        return foreground.run(words, environment)

    def is_here(self) -> bool:
        """Whether this terminal is in the session already."""
        return _is_within(self._socket)

    def _target(self) -> str | None:
        if not os.path.lexists(self._socket) and not self._rebound():
            return None
        listed = self._run("list-sessions", "-F", shared_session.FORM).stdout
        found = shared_session.find(listed, self._name)
        return found.id if found else None

    def _rebound(self) -> bool:
        """Whether a server that has lost its socket has it again; the work in it lives on."""
        pid = listeners.tmux_server(self._socket)
        if pid is None:
            return False
        if not listeners.rebound(self._socket, pid):
            raise listeners.socket_gone(self._socket, pid)
        return True

    def _first_pane(self) -> birth.Pane | None:
        said = self._run("display-message", "-p", "-t", f"{self._fresh}:", birth.PANE).stdout
        return birth.Pane.read(said)

    def _require_alive(self, pane: birth.Pane | None) -> None:
        deadline = time.monotonic() + _EXPLAINED_S
        while pane and pane.dead and not pane.explained and time.monotonic() < deadline:
            # libutempter throws a SIGCHLD away that comes while its helper runs (tmux 3.3a on
            # Debian: one end in four, on a busy machine); with another one tmux looks again.
            self._run("run-shell", ":")
            time.sleep(_LOOK_AGAIN_S)
            pane = self._first_pane()
        if pane and pane.dead:
            screen = self._run("capture-pane", "-p", "-S", "-", "-t", f"{self._fresh}:").stdout
            raise pane.failure(screen)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self.program, "-S", self._socket, *words],
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
            f"{self.program}: {why}",
            "set [tmux] command in config.toml to a working tmux",
        )


def require_terminal() -> None:
    """Raises PairingError `no-terminal`."""
    if not sys.stdin.isatty():
        raise PairingError("no-terminal", "stdin is not a terminal", "attach from a terminal")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OUR_SERVER}


def _is_within(tmux_socket: str) -> bool:
    """TMUX is socket,pid,session: tmux(1), ENVIRONMENT."""
    here = os.environ.get("TMUX", "").rsplit(",", 2)[0]
    return bool(here) and os.path.realpath(here) == os.path.realpath(tmux_socket)
