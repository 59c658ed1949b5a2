"""Makes and enters the tmux session, from the user's own terminal.

It is made here and not by the daemon: its programs get the environment, the directory and, on
macOS, the privacy permissions of the process that starts the tmux server.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING

from pairctl.tmux import birth, foreground, terminal_type, tmux_program
from pairctl.tmux.tmux_program import TMUX_TIMEOUT_S
from pairingd.core import shared_session
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell
from pairingd.machine import which
from pairingd.process import foreign, listeners
from pairingd.process.inherited import as_given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pairingd.box.place import Box
    from pairingd.protocol.confinement import AccountInfo, BoxInfo
    from pairingd.protocol.results import Hello

_MAX_TRIES, _RETRY_INTERVAL_S = 5, 0.1  # to make a session
_SERVER_EXITED = "server exited"  # tmux prints it if its server ends, as when killed
_POLL_INTERVAL_S = 0.02
# A dead pane's status follows its end; none does if the program closed its terminal.
_EXIT_STATUS_TIMEOUT_S = 3.0
_OUR_SERVER = ("TMUX", "TMUX_PANE")  # set inside any tmux; tmux refuses to nest by them


class Session:
    """The shared session of one daemon. Raises PairingError `no-tmux` if there is no tmux.

    `known` is the box, or account's place, that the daemon reports. `program` is the tmux to run.
    `made`: `create` has made the session, or was stopped while making it. `warnings` come from
    `settle`.
    """

    def __init__(self, hello: Hello) -> None:
        self._box: Box | None = None  # or an account's place; made for this session
        self._first: birth.First | None = None
        self._name = hello["session"]
        self._fresh: str | None = None  # made by `create`, not yet checked by `settle`
        self._made_at = 0.0
        self.made = False
        self.warnings: list[PairingError] = []
        self.look_again(hello)

    def look_again(self, hello: Hello) -> None:
        """See what another pairctl has made meanwhile; without effect once this one has made it."""
        if self._box:
            return
        self._boxed = hello.get("boxed")
        self._as_account = hello.get("as_account")
        self.known = self._boxed or self._as_account
        if self.known:
            _keep_out(self.known["id"])
        # In a box or an account use no other tmux: as the host, it would obey the server.
        self._programs = [hello["tmux"]] if self.known else tmux_program.find(hello["tmux"])
        self.program = self._programs[0]
        self.box_settings = hello.get("box")  # of config.toml; None: the daemon is older
        self._socket = hello["tmux_socket"]

    def exists(self) -> bool:
        """Does not start a server. Raises PairingError `tmux-socket-gone`."""
        return self._target() is not None

    def require_box(self, directory: str | None, waiting: Callable[[str], None]) -> str:
        """The id of the session's box. Makes one for `directory` (None: the current one) unless it
        exists. Raises PairingError `not-boxed`, `other-box`; as `create`; and as box.make.
        """
        from pairctl.tmux import box  # late: it loads more than other commands need
        from pairingd.box.shares import resolved

        if self._box:  # made by an earlier try
            self.create(waiting)
            return self._box.id
        if self._as_account:
            raise _other_kind(f"runs as the user {self._as_account['name']}, in no box")
        if self._boxed:
            if directory is not None and resolved(directory) != self._boxed["directory"]:
                raise PairingError(
                    "other-box",
                    f"the session runs in a box that shares {self._boxed['directory']}",
                    "leave DIR out, or end that session: exit its shells",
                )
            return self._boxed["id"]
        if target := self._target():
            raise PairingError(
                "not-boxed",
                "the tmux session that runs is in no box, and cannot be put into one",
                "leave --box out; or end it: "
                + shell("tmux", "-S", self._socket, "kill-session", "-t", target),
            )
        if self.box_settings is None:
            raise PairingError(
                "no-box", "the daemon that runs is older and knows no boxes", "pairctl restart"
            )
        program = tmux_program.usable(self._programs)
        place, first, warnings = box.make(directory, program, self.box_settings)
        self.warnings += warnings
        return self._begin(place, first, waiting)

    def require_account(self, name: str, waiting: Callable[[str], None]) -> str:
        """The id of the place of a session that runs as the account `name`. Makes one unless it
        exists. Raises PairingError `other-session`; as `create`; and as account_session.make.
        """
        from pairctl.tmux import account_session

        if self._box:  # made by an earlier try
            self.create(waiting)
            return self._box.id
        if self._as_account:
            if self._as_account["name"] != name:
                raise _other_kind(f"runs as the user {self._as_account['name']}")
            return self._as_account["id"]
        if self._boxed or self.exists():
            raise _other_kind("runs in a box" if self._boxed else "runs as you")
        return self._begin(*account_session.make(name), waiting)

    def _begin(self, place: Box, first: birth.First, waiting: Callable[[str], None]) -> str:
        """The id of `place`, once its session exists."""
        self._box, self._first = place, first
        self._programs, self._socket = [place.tmux], place.socket
        try:
            self.create(waiting)
        except BaseException:
            self.kill()
            raise
        return place.id

    def create(self, waiting: Callable[[str], None]) -> None:
        """Make it in the user's directory and environment, unless it exists.

        Calls `waiting` once, with a line for people, if tmux takes long to start. Raises
        PairingError `tmux-failed`, `tmux-hangs`, `tmux-too-old`, `shell-ended`.
        """
        if self.exists():
            return
        self.program = tmux_program.usable(self._programs)
        self.made = True
        tries, deadline = 0, time.monotonic() + TMUX_TIMEOUT_S
        while True:
            arguments = birth.commands(self._name, self._first)
            command = [self.program, "-u", "-S", self._socket, *arguments]
            environment = _environment(os.environ if self._box else as_given())
            try:
                status, message = birth.run(command, self._socket, environment, waiting)
            except PairingError:
                self.made = False
                raise
            target = self._target()
            if target:  # tmux 3.3a exits with 0 if it could not make its socket
                self.made = status == 0  # else another pairctl made it first
                if self.made:
                    self._fresh, self._made_at = target, time.monotonic()
                    self._require_alive(self._first_pane())
                return
            tries += 1
            # A server that is being killed ends its last clients; on a busy machine that takes
            # longer than the tries.
            if tries >= _MAX_TRIES and (
                _SERVER_EXITED not in message or time.monotonic() > deadline
            ):
                break
            if _SERVER_EXITED in message:
                birth.end_watchers(self._socket)
            time.sleep(_RETRY_INTERVAL_S)
        self.made = False
        cause, hint = _why_not_made(status, message, self.program)
        raise PairingError("tmux-failed", cause, way_out(self.known or self._box, hint))

    def settle(self) -> bool:
        """Wait for the first program of a session just made, then restore the user's options.
        False if the session is gone. Raises PairingError `shell-ended` if that program has ended.
        """
        if not self._fresh:
            return self.exists()
        pane = self._first_pane()
        while pane and not pane.dead and not self._lives(pane):
            time.sleep(_POLL_INTERVAL_S)
            pane = self._first_pane()
        if pane and not pane.dead:
            if problem := pane.errors(self.program, "-S", self._socket):
                self._run("send-keys", "-X", "-t", f"{self._fresh}:", "cancel")
                self.warnings.append(problem)
            pane = self._first_pane(*birth.released(self._fresh), ";")  # it may have just ended
        self._require_alive(pane)
        self._fresh = None
        return pane is not None

    def kill(self) -> None:
        """Undo `create`."""
        if self._box:
            self._box.end()
        elif target := self._target():
            self._run("kill-session", "-t", target)

    def attach(self) -> int:
        """Run tmux in this terminal until it detaches or the session ends; tmux's exit status.

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
        argv = [self.program, "-S", self._socket, "attach-session", "-t", target]
        return foreground.run(argv, environment)

    def is_here(self) -> bool:
        """Whether this terminal is in the session already."""
        return _is_within(self._socket)

    def _target(self) -> str | None:
        if not listeners.may_exist(self._socket) and not self._rebound():
            return None
        listed = self._run("list-sessions", "-F", shared_session.FORM)
        session = shared_session.find(listed, self._name)
        return session.id if session else None

    def _rebound(self) -> bool:
        """Whether a server that lost its socket has bound it again; its programs keep running."""
        if self.known or self._box:
            return False  # a program in a box could pretend to be the server
        pid = listeners.tmux_server(self._socket)
        if pid is None:
            return False
        if not listeners.rebound(self._socket, pid):
            raise listeners.socket_gone(self._socket, pid)
        return True

    def _first_pane(self, *before: str) -> birth.Pane | None:
        """The pane after the commands `before`."""
        output = self._run(*before, "display-message", "-p", "-t", f"{self._fresh}:", birth.PANE)
        return birth.Pane.read(output)

    def _lives(self, pane: birth.Pane) -> bool:
        return pane.lives(time.monotonic() - self._made_at, confined=self._box is not None)

    def _require_alive(self, pane: birth.Pane | None) -> None:
        deadline = time.monotonic() + _EXIT_STATUS_TIMEOUT_S
        while pane and pane.dead and not pane.explained and time.monotonic() < deadline:
            # libutempter drops a SIGCHLD that comes while its helper runs (tmux 3.3a on Debian:
            # one exit in four, on a busy machine); another one makes tmux check again.
            self._run("run-shell", ":")
            time.sleep(_POLL_INTERVAL_S)
            pane = self._first_pane()
        if pane and pane.dead:
            screen = self._run("capture-pane", "-p", "-S", "-", "-t", f"{self._fresh}:")
            raise pane.failure(screen)

    def _run(self, *arguments: str) -> str:
        """What tmux prints, whether it succeeds or not."""
        try:
            argv = (self.program, "-u", "-S", self._socket, *arguments)  # -u: it prints tabs
            return foreign.run(argv, TMUX_TIMEOUT_S, _environment())
        except TimeoutError:
            raise PairingError(
                "tmux-hangs",
                f"tmux has not answered within {TMUX_TIMEOUT_S:.0f} s",
                way_out(
                    self.known or self._box, f"try: {shell(self.program, '-S', self._socket, 'ls')}"
                ),
            ) from None
        except OSError as error:
            raise PairingError(
                "tmux-failed",
                f"{self.program}: {error.strerror}",
                which.ANOTHER_TMUX,
            ) from None


def _keep_out(box: str) -> None:
    """Run nothing that a guest in the box can have laid where our environment leads."""
    from pairingd.box.place import Box  # late, as a session in no box is the rule
    from pairingd.box.surroundings import keep_out
    from pairingd.home.paths import find_paths

    keep_out(Box(find_paths().boxes, box).shares.writable)


def _why_not_made(status: int, message: str, program: str) -> tuple[str, str]:
    """Cause and remedy."""
    hint = f"try: {shell(program, 'new-session')}"
    if os.strerror(errno.EISDIR) in message:  # of the socket's path
        hint = "move it out of the way"
    if status:
        return f"tmux could not make the session: {message}", hint
    return (  # by kill-session, or by a destroy-unattached that a hook sets
        "the tmux session ended as soon as it was made",
        f"see what hooks and commands of tmux.conf do to new sessions; {hint}",
    )


def way_out(place: Box | BoxInfo | AccountInfo | None, otherwise: str) -> str:
    """The hint if tmux fails: what ends the session in `place`."""
    from pairingd.box.place import Box  # late, as a tmux that works is the rule
    from pairingd.home.paths import find_paths

    if place and not isinstance(place, Box):
        place = Box(find_paths().boxes, place["id"])
    return (place and place.ended_by) or otherwise


def _other_kind(kind: str) -> PairingError:
    return PairingError(
        "other-session",
        f"the tmux session already {kind}",
        "leave that option out (for [guests] account: --account ''); or exit that session's shells",
    )


def require_terminal() -> None:
    """Raises PairingError `no-terminal`."""
    if not sys.stdin.isatty():
        raise PairingError("no-terminal", "stdin is not a terminal", "attach from a terminal")


def _environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in _OUR_SERVER}


def _is_within(tmux_socket: str) -> bool:
    """TMUX is socket,pid,session: tmux(1), ENVIRONMENT."""
    current = os.environ.get("TMUX", "").rsplit(",", 2)[0]
    return bool(current) and os.path.realpath(current) == os.path.realpath(tmux_socket)
