"""The daemon's side of the guardian: one separate process, while somebody is connected."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

BEHIND_S = 0.5  # the guardian acts this much after the daemon should have
_LINGER_S = 5.0  # with nobody connected, before it ends
_MAX_SOCKETS = 64  # in one message: the guardian takes so many
_BUFFER_BYTES = 256 * 1024  # macOS gives a Unix stream socket 8 KiB
_PROGRAM = Path(__file__).with_name("guardian.py")


class Guard:
    """Keeps a guardian running and informed. Replaces one that dies by one with the same data."""

    def __init__(self, *, linger_s: float = _LINGER_S) -> None:
        self._linger_s = linger_s
        self._process: asyncio.subprocess.Process | None = None
        self._commands: socket.socket | None = None
        self._sockets: dict[int, socket.socket] = {}
        self._deadlines: dict[int, float] = {}  # by process group, on the event loop's clock
        self._following: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._starting = asyncio.Lock()  # or two connections at once would have one each
        self._expected = 0  # connections that are about to be taken

    @contextlib.asynccontextmanager
    async def commands(self) -> AsyncIterator[socket.socket]:
        """The socket for `Guard.line`, for a connection that calls `take` before this ends: until
        then its guardian stays. Raises OSError if there can be no guardian: then there must be no
        connection either.
        """
        self._expected += 1
        try:
            yield await self._present()
        finally:
            self._expected -= 1
            self._leave_later()

    async def _present(self) -> socket.socket:
        async with self._starting:
            return self._commands or await self._start()

    @staticmethod
    def line(group: int | str, seconds: float) -> str:
        """The guardian's command for a process group that may live for `seconds`."""
        return f"guard {group} {seconds + BEHIND_S:.3f}"

    def take(self, group: int, connection: socket.socket) -> None:
        """Pass on the connection of that process group, to be shut down with it."""
        self._sockets[group] = connection
        self._send_sockets([(group, connection)])

    def hold(self, group: int, seconds: float) -> bool:
        """The group must end in `seconds`, even if the daemon dies. Returns whether that is new."""
        deadline = asyncio.get_running_loop().time() + seconds
        if abs(self._deadlines.get(group, 0.0) - deadline) <= BEHIND_S:
            return False
        self._deadlines[group] = deadline
        self._write(self.line(group, seconds))
        return True

    def release(self, group: int) -> None:
        """The group is gone."""
        self._deadlines.pop(group, None)
        self._sockets.pop(group, None)
        self._write(f"release {group}")
        self._leave_later()

    def _leave_later(self) -> None:
        """Let the guardian end once nobody has been connected for `linger_s`."""
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None
        if self._commands and not self._sockets and not self._expected:
            self._leaving = asyncio.get_running_loop().call_later(self._linger_s, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        if self._commands and not self._sockets and not self._expected:
            self._commands.close()
            self._commands = None

    async def _start(self) -> socket.socket:
        commands, guardian_end = socket.socketpair()
        commands.setblocking(False)
        for end, buffer in ((commands, socket.SO_SNDBUF), (guardian_end, socket.SO_RCVBUF)):
            with contextlib.suppress(OSError):  # the system allows less
                end.setsockopt(socket.SOL_SOCKET, buffer, _BUFFER_BYTES)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_PROGRAM)),
                stdin=guardian_end.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            commands.close()
            raise
        finally:
            guardian_end.close()
        self._commands = commands
        now = asyncio.get_running_loop().time()
        # In few messages: Linux holds some hundred, however short.
        self._write(
            *(
                self.line(group, max(deadline - now, 0.0))
                for group, deadline in self._deadlines.items()
            )
        )
        sockets = [*self._sockets.items()]
        while sockets:
            self._send_sockets(sockets[:_MAX_SOCKETS])
            del sockets[:_MAX_SOCKETS]
        self._following = asyncio.create_task(self._follow(self._process, commands))
        return commands

    async def _follow(self, process: asyncio.subprocess.Process, commands: socket.socket) -> None:
        await process.wait()
        if self._commands is not commands:
            return  # `_leave` let it go
        log.warning("the guardian of the connections ended; another one takes over")
        commands.close()
        self._commands = None
        if self._sockets:
            with contextlib.suppress(OSError):  # then there is none until the next connection
                await self._present()

    def _send_sockets(self, sockets: Sequence[tuple[int, socket.socket]]) -> None:
        descriptors = [connection.fileno() for _, connection in sockets]
        self._write(*(f"socket {group}" for group, _ in sockets), descriptors=descriptors)

    def _write(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        if self._commands is None or not lines:
            return
        message = "".join(f"{line}\n" for line in lines).encode()
        try:
            sent = socket.send_fds(self._commands, [message], descriptors)
        except OSError as error:
            # unix(7): a guest in a box has passed all descriptors that our user may; nothing was
            # sent, and the guardian ends those groups without their sockets.
            if error.errno == errno.ETOOMANYREFS:
                return
            sent = 0
        if sent < len(message) and self._process and self._process.returncode is None:
            self._process.kill()  # it does not read: `_follow` replaces it
