"""A control-mode client of tmux (tmux(1), CONTROL MODE): what happens there, without polling."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from pairingd.process.programs import end

PING_AFTER_S = 1.0  # of silence, while guests are in
REPLY_TIMEOUT_S = 1.0  # so that read guests are out two seconds after tmux's last word
_ATTACH_TIMEOUT_S = 2.0
_PING = (
    'list-clients -F "pairing-client #{client_name} #{session_id}'
    ' #{client_created} #{client_activity}"'
)
# A client is active from its start on: what is later was typed, for all else (a new size, what its
# terminal answers) leaves that time as it is.
_TIMES = re.compile(rb"pairing-client (\S+) \$\d+ (\d{1,18}) (\d{1,18})\s*", re.ASCII)
# Where a client is: by tmux's own word, or in the answer to _PING.
_PLACE = re.compile(rb"(?:%client-session-changed|pairing-client) (\S+) (\$\d+)")
_OF_A_REPLY = (b"%begin ", b"%end ", b"%error ", b"%output ")
_PLAIN = re.compile(r"[\w/.,:=$ -]+", re.ASCII)  # no word here needs quotes
_LONGEST_LINE = 1 << 16


class Observer:
    """Attached to the shared session while `watch` runs; it ends with us, as its input does.

    It also weighs: a client whose size counts but which has none. So a guest's client that ignores
    sizes is never the only one, and the window keeps its size (measured, tmux 3.3a and 3.8).
    """

    def __init__(self, command: str, socket: Path, session: str) -> None:
        """`session` is a target of tmux's, `$3`."""
        self._attached: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.pid: int | None = None
        self._input: asyncio.StreamWriter | None = None
        self._command = command
        self._socket = socket
        self._session = session

    async def watch(
        self,
        guests: Callable[[], Collection[str]],
        changed: Callable[[], None],
        silent: Callable[[], None],
        typed: Callable[[str, int], None],
    ) -> None:
        """Call `changed` on every coming, going and turning of clients, and `silent` where tmux has
        not answered for REPLY_TIMEOUT_S while guests are in; until the session or tmux ends.

        `guests` has the names of their clients: one that turns to another session is led back at
        once, before anything else is asked. `typed` has when a client's keys were pressed last,
        never which: as often as tmux is asked, so within a second or two.
        """
        process = await asyncio.create_subprocess_exec(
            *(self._command, "-N", "-S", str(self._socket), "-C", "attach-session", "-E"),
            *("-f", "no-output", "-t", self._session),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            limit=_LONGEST_LINE,
        )
        self.pid, self._input = process.pid, process.stdin
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        asked = False
        try:
            while True:
                limit = (REPLY_TIMEOUT_S if asked else PING_AFTER_S) if guests() else None
                try:
                    async with asyncio.timeout(limit):
                        line = await process.stdout.readline()
                except TimeoutError:
                    if asked:
                        silent()
                    else:
                        self.ping()
                    asked = not asked
                    continue
                except ValueError:  # a line beyond the limit: something happened all the same
                    line = b"%"
                if not line:
                    return
                asked = False
                self._is_attached(now=True)
                if place := _PLACE.match(line):
                    self._lead_back(place[1], place[2], guests())
                if (times := _TIMES.fullmatch(line)) and int(times[3]) > int(times[2]):
                    typed(times[1].decode(errors="replace"), int(times[3]))
                if line.startswith(b"%") and not line.startswith(_OF_A_REPLY):
                    changed()
        finally:
            self._input = None
            self._is_attached(now=False)
            await end(process, REPLY_TIMEOUT_S)

    async def is_attached(self) -> bool:
        """Whether tmux has let it in; False too where tmux takes longer than two seconds."""
        done, _ = await asyncio.wait([self._attached], timeout=_ATTACH_TIMEOUT_S)
        return bool(done) and self._attached.result()

    def _is_attached(self, *, now: bool) -> None:
        if not self._attached.done():
            self._attached.set_result(now)

    def ping(self) -> None:
        """Have tmux say who is where: what a hook did it does not notify of, and its silence
        matters while guests are in.
        """
        self._write(_PING)

    def detach(self, clients: Iterable[str]) -> None:
        """Their screens are restored, their forced commands end, and with them the connections.

        Without -P: its hang-up races with the restoring, and mostly wins (measured, tmux 3.3a).
        Nothing tells whether tmux does it, or is there at all.
        """
        for name in clients:
            self._send(f"detach-client -t {name}")

    def _lead_back(self, client: bytes, session: bytes, guests: Collection[str]) -> None:
        name = client.decode(errors="replace")
        if name in guests and session != self._session.encode():
            self._send(f"switch-client -E -c {name} -t {self._session}:")

    def _send(self, command: str) -> None:
        """One command is one line; a name that could hold another is not sent."""
        if _PLAIN.fullmatch(command):
            self._write(command)

    def _write(self, line: str) -> None:
        if self._input and not self._input.is_closing():
            self._input.write(f"{line}\n".encode())
