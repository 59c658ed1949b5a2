"""A control-mode client of tmux (tmux(1), CONTROL MODE): reports what happens there without
polling, and gets answers without a tmux client for each command.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

from pairingd.core import shared_session
from pairingd.process.mortal import mortal
from pairingd.process.programs import UNENDED, end
from pairingd.world.tmux.clients import matches
from pairingd.world.tmux.control import Answers, Unsaid

log = logging.getLogger(__name__)

PING_EVERY_S = 1.0  # while guests are in, whatever else tmux sends meanwhile
REPLY_TIMEOUT_S = 1.0  # so that read guests are out two seconds after tmux's last message
_ATTACH_TIMEOUT_S = 10.0
_PING = (
    *("list-clients", "-F"),
    "#{client_name} #{session_id} #{client_created} #{client_activity}",
)
# A client is active from its start on. What is later was typed, because all else (a new size, its
# terminal's answers) leaves that time as it is.
_CLIENT = re.compile(r"(\S+) (\$\d+) (\d{1,18}) (\d{1,18})", re.ASCII)
_TURNED = re.compile(rb"%client-session-changed (\S+) (\$\d+)")
# About windows and their contents, not about where clients are: with automatic-rename each command
# of a shell renames its window twice. %layout-change may be a client's new size.
_OF_A_WINDOW = (
    *(b"%output ", b"%window-", b"%unlinked-window-", b"%session-window-changed "),
    *(b"%pane-mode-changed ", b"%paste-buffer-changed ", b"%paste-buffer-deleted "),
)
_MAX_LINE_BYTES = 1 << 18
_DRAIN_S = 0.2
_LINES_AT_A_TIME, _MAX_LINES = 64, 20_000


class Observer:
    """Attached to the shared session while `watch` runs; it ends with us, as its input does.

    It also weighs: a client whose size counts but which has none. So a guest's client that ignores
    sizes is never the only one, and the window keeps its size (measured, tmux 3.3a and 3.8).
    """

    def __init__(self, command: str, socket: Path, session: str) -> None:
        """`session` is a target of tmux's, `$3`."""
        self._loop = asyncio.get_running_loop()
        self._attached: asyncio.Future[bool] = self._loop.create_future()
        self._pinged = False  # and no reply since
        self._due = 0.0
        self._lines = 0  # since the last ping, or the answer to it
        self.pid: int | None = None
        self._input: asyncio.StreamWriter | None = None
        self._answers = Answers()
        self._guests: Callable[[], Collection[str]] = tuple
        self._typed: Callable[[str, int], None] = lambda *_: None
        self._command = command
        self.socket = socket
        self.session = session

    async def watch(
        self,
        guests: Callable[[], Collection[str]],
        changed: Callable[[], None],
        silent: Callable[[], None],
        typed: Callable[[str, int], None],
    ) -> None:
        """Call `changed` when a client comes, goes or switches session, and `silent` if tmux has
        not answered for REPLY_TIMEOUT_S while guests are in; until the session or tmux ends.

        `guests` has the names of their clients: one that switches to another session is led back
        before any other command. `typed` gets when a client's keys were pressed last, never which:
        as often as tmux is asked, so within 1 to 2 s.
        """
        self._guests, self._typed = guests, typed
        if UNENDED.are_many(self._command):
            self._is_attached(now=False)
            return
        try:
            # A server that waits for its output to be read would keep it for ever: SIGKILL.
            argv, inherited = await mortal(
                *(self._command, *shared_session.watching(str(self.socket))),
                *("attach-session", "-E", "-f", "no-output", "-t", self.session),
                signal="KILL",
            )
            process = await asyncio.create_subprocess_exec(
                *argv,
                pass_fds=inherited,
                process_group=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                limit=_MAX_LINE_BYTES,
            )
        except OSError as error:
            log.warning("tmux cannot be watched: %s", error)
            self._is_attached(now=False)
            return
        self.pid, self._input = process.pid, process.stdin
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        self._next_ping(pinged=False)
        try:
            while line := await self._line(process.stdout, silent):
                if not await self._keeps_pace():
                    return
                self._is_attached(now=True)
                if self._answers.take(line):
                    continue
                if turned := _TURNED.match(line):
                    self._lead_back(turned[1].decode(errors="replace"), turned[2].decode())
                if line.startswith(b"%") and not line.startswith(_OF_A_WINDOW):
                    changed()
        finally:
            process.stdin.close()
            self._input = None
            self._answers.close()
            self._is_attached(now=False)
            try:
                if not await end(process, REPLY_TIMEOUT_S):
                    UNENDED.add(self._command, lambda: process.returncode is not None)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                if process.stdin.transport.get_write_buffer_size():
                    process.stdin.transport.abort()  # nobody has read it, nor will
                await _drained(process.stdout)

    async def _keeps_pace(self) -> bool:
        """Let other tasks run between lines. False after more lines than any tmux has to send: a
        guest in a box can make it send anything.
        """
        self._lines += 1
        if self._lines % _LINES_AT_A_TIME == 0:
            await asyncio.sleep(0)
        return self._lines < _MAX_LINES

    async def _line(self, output: asyncio.StreamReader, silent: Callable[[], None]) -> bytes:
        """The next line, or b"" at the end. Pings tmux while it waits."""
        while True:
            if self._guests() and not self._pinged and self._loop.time() >= self._due:
                self.ping()
                self._next_ping(pinged=True)
            try:
                async with asyncio.timeout_at(self._due if self._guests() else None):
                    line = await output.readline()
            except TimeoutError:
                if self._pinged:
                    silent()
                    self._next_ping(pinged=False)
                continue
            except ValueError:  # a line beyond the limit: something happened all the same
                self._answers.close()  # it may have held the end of one
                line = b"%"
            if self._pinged:
                self._next_ping(pinged=False)
            return line

    def _next_ping(self, *, pinged: bool) -> None:
        self._pinged, self._lines = pinged, 0
        self._due = self._loop.time() + (REPLY_TIMEOUT_S if pinged else PING_EVERY_S)

    async def is_attached(self) -> bool:
        """Whether tmux has attached it; False also after _ATTACH_TIMEOUT_S."""
        done, _ = await asyncio.wait([self._attached], timeout=_ATTACH_TIMEOUT_S)
        return bool(done) and self._attached.result()

    @property
    def has_ended(self) -> bool:
        """Whether it has been attached, or could not be, and is no more."""
        return self._attached.done() and self._input is None

    def _is_attached(self, *, now: bool) -> None:
        if not self._attached.done():
            self._attached.set_result(now)

    async def ask(self, *argv: str) -> str | None:
        """What these commands print; None if they cannot be sent, or tmux ends meanwhile. Raises
        Failed. `argv` is as tmux's arguments: a `;` at the end of a word ends the command.
        """
        answer = self._send(*argv) if self._attached.done() else None
        try:
            return await answer if answer else None
        except Unsaid:
            return None

    def ping(self) -> None:
        """Ask tmux where each client is: it does not notify of what a hook did, and its silence
        matters while guests are in.
        """
        if answer := self._send(*_PING):
            answer.add_done_callback(self._take_ping)

    def _take_ping(self, answer: asyncio.Future[str]) -> None:
        if answer.cancelled() or answer.exception():
            return
        for client in matches(_CLIENT, answer.result()):
            name, session, created, active = client.groups()
            self._lead_back(name, session)
            if int(active) > int(created):
                self._typed(name, int(active))

    def _lead_back(self, client: str, session: str) -> None:
        if client in self._guests() and session != self.session:
            self._send("switch-client", "-E", "-c", client, "-t", f"{self.session}:")

    def _send(self, *argv: str) -> asyncio.Future[str] | None:
        """The future of the answer; None if they cannot be sent."""
        if self._input is None or self._input.is_closing():
            return None
        if (asked := self._answers.ask(argv)) is None:
            return None
        line, answer = asked
        self._input.write(line.encode())
        return answer


async def _drained(output: asyncio.StreamReader) -> None:
    """Read to its end, so that nothing of it is left; a stopped server keeps it open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while await output.read(_MAX_LINE_BYTES):
                pass
