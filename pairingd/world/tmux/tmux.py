"""Commands to the tmux server of the shared session.

`pairctl` creates it, in the host's own terminal; it holds the host's work.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, auto
from pathlib import Path

from pairingd.box.place import Box
from pairingd.core import shared_session
from pairingd.core.confine import Steering, TmuxClient
from pairingd.core.text import one_line, shell
from pairingd.core.tmux_words import argument, drawn, keys_that_detach
from pairingd.errors import WorldError
from pairingd.machine import which
from pairingd.process import listeners
from pairingd.process.programs import last_words, run
from pairingd.world.tmux import clients, commands
from pairingd.world.tmux.control import Failed
from pairingd.world.tmux.observer import Observer
from pairingd.world.tmux.status_right import StatusRight

_ABSENT = (
    *("no server running", "can't find session", "no sessions"),
    *("(No such file or directory)", "(Connection refused)"),  # error connecting to its socket
    "no current target",  # while the last session is being taken down
)
REPLY_TIMEOUT_S = 10.0  # tmux is local: on a busy machine it is slow, not gone
_MAX_KEY_CHARS = 20  # of its name
_CLIENT_SIZE = "#{client_width} #{client_height}"
_POPUP_SIZE = 60, 14  # columns, rows
_POPUP_LEAST = 46, 12  # to show the whole question; tmux refuses one larger than the terminal


class Running(Enum):
    """Whether the session is there. UNKNOWN: tmux could not be asked."""

    YES = auto()
    NO = auto()
    UNKNOWN = auto()


class Tmux:
    """One session on a server of its own, at `socket`.

    `session` is its configured name, with which it is created; `name` its current one, since the
    host may rename it, and `target` the one that tmux knows it by.
    """

    def __init__(
        self,
        command: str,
        socket: Path,
        session: str,
        *,
        box: Callable[[], Box | None] = lambda: None,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
    ) -> None:
        """`box` is where the server is, alive or not; with none, `socket` is where it listens."""
        self._command = command
        self._reply_timeout_s = reply_timeout_s
        self._handed = ""
        self._box = box
        self._socket = socket
        self.session = session
        self.name = session
        self.target = f"={session}"
        self._known_command = ""  # the tmux to which the next two belong
        self._hooks: frozenset[str] = frozenset()
        self._messages_stop: bool | None = None
        self._last_seen: shared_session.TmuxSession | None = None
        self._kept: shared_session.TmuxSession | None = None
        self._lost: WorldError | None = None
        self._observer: Observer | None = None

    @property
    def box(self) -> Box | None:
        """Where the server is, alive or not; None if it is in none."""
        return self._box()

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        box = self._box()
        return Path(box.socket) if box else self._socket

    @property
    def command(self) -> str:
        """The absolute path of tmux, "" if there is none. With a box, what runs tmux in it."""
        if box := self._box():
            return box.tmux
        if self._handed and not self._command and os.access(self._handed, os.X_OK):
            return self._handed
        return which.tmux(self._command)

    def hand(self, program: str) -> None:
        """Run this tmux, with which a client created the session, unless the configuration names
        another.
        """
        self._handed = program if program.startswith("/") else ""

    async def running(self) -> Running:
        """Look for the session, whatever its name is now. While `confine` keeps guests in one, no
        other takes its place.
        """
        if (box := self._box()) and not box.lives:
            return Running.NO
        if not await self._is_bound():
            return Running.UNKNOWN if self._lost else Running.NO
        try:
            listed = await self._ask("list-sessions", "-F", shared_session.FORM)
        except WorldError as error:
            absent = any(text in error.message for text in _ABSENT)
            return Running.NO if absent else Running.UNKNOWN
        seen = shared_session.find(listed, self.session)
        if seen is None or (self._kept and seen[:2] != self._kept[:2]):
            return Running.NO
        self._last_seen, self.target, self.name = seen, seen.id, seen.name
        return Running.YES

    def release(self) -> None:
        """No guest must be kept in the session any more; the next session may be another."""
        self._kept = None

    async def _is_bound(self) -> bool:
        """Whether there is a socket to ask at. If it was removed while its server runs, the server
        creates it again, because the host's work is in that server.
        """
        self._lost = None
        if listeners.may_exist(str(self.socket)):
            return True
        if self._box():  # whatever is in it could pretend to be the server
            return False
        path = str(self.socket)
        server = await asyncio.to_thread(listeners.tmux_server, path)
        if server is None:
            return False
        if await asyncio.to_thread(listeners.rebound, path, server):
            return True
        self._lost = listeners.socket_gone(path, server)
        return False

    def silent(self) -> WorldError:
        """The error if tmux runs but does not answer."""
        return WorldError("tmux-hangs", "tmux does not answer", _way_out(self))

    def unwatched(self) -> WorldError:
        """The error if tmux lets nobody watch it, so that guests could not be kept in place."""
        return WorldError(
            "tmux-unwatched",
            "tmux does not let pairingd watch the session",
            "try: " + self.by_hand("-C", "attach-session", "-t", self.target),
        )

    def unknown(self) -> WorldError:
        """The error for Running.UNKNOWN."""
        return self._lost or WorldError(
            "tmux-unknown",
            "tmux does not say whether the session runs",
            _way_out(self),
        )

    async def clients(self, known: Collection[str] = ()) -> list[TmuxClient]:
        """Attached ones, our observer too; those in `known` also suspended. Raises WorldError."""
        return await clients.attached(self._ask, self.target, known)

    async def terminals(self) -> list[TmuxClient]:
        """The people in the shared session, not programs. Raises WorldError."""
        return [
            client
            for client in await self.clients()
            if client.session == self.target and not client.control
        ]

    async def typed_at(self) -> int | None:
        """When somebody at one of the session's terminals last pressed a key, or attached; in
        seconds since the epoch. None if nobody is there. Raises WorldError.
        """
        output = await self._ask(
            "list-clients",
            *("-t", self.target),
            *("-F", "#{client_control_mode} #{client_activity}"),
        )
        times = re.findall(r"^0 ([0-9]{1,15})$", output, re.MULTILINE)
        return max(map(int, times), default=None)

    async def shows_dead_pane(self) -> bool:
        """Whether what the session shows is a pane whose program has ended: remain-on-exit keeps
        it. Raises WorldError.
        """
        output = await self._ask("display-message", "-p", "-t", f"{self.target}:", "#{pane_dead}")
        return output.strip() == "1"

    async def steer(self, actions: Iterable[Steering]) -> None:
        """Check afterwards whether they are done: a client may go meanwhile. Raises WorldError if
        tmux does not answer.
        """
        for action in actions:
            try:
                await self._ask(*commands.steer(action, self.target))
            except WorldError as error:
                if error.code != "tmux-failed":
                    raise

    async def tell(self, client: str, text: str) -> None:
        """Show a line in the place of one terminal's status line."""
        # A terminal is frozen meanwhile, except with -C, which tmux 3.3a does not have.
        self._forget_another()
        if self._messages_stop is None:
            form = ("-F", "#{command_list_usage}")
            usage = await self._ask("list-commands", *form, "display-message")
            self._messages_stop = "C" not in usage.partition("]")[0]
        options = ("-d", "750") if self._messages_stop else ("-C", "-d", "3000")
        await self._ask("display-message", *options, "-c", client, argument(drawn(text)))

    async def popup(self, client: str, argv: Iterable[str]) -> None:
        """Run a program in a popup on one terminal until it ends; return at once if another popup
        or a menu is there. Raises WorldError if tmux shows none, or the program fails.
        """
        size = await self._ask("display-message", "-p", "-c", client, _CLIENT_SIZE)
        options = (*_popup_size(size), *map(argument, argv))
        await self._ask("display-popup", "-E", "-c", client, *options, lasts=True)

    async def confine(self, guests: Iterable[str] = ()) -> None:
        """Set what keeps guests in the session; `guests` are the names of their clients."""
        self._kept = self._last_seen
        hooks = await self._client_hooks()
        await self._ask(*commands.confine(self.target, self.session, hooks, guests))

    def _forget_another(self) -> None:
        """Another tmux may support less, and one in a box could report anything."""
        if self._known_command != self.command:
            self._known_command, self._hooks, self._messages_stop = self.command, frozenset(), None

    async def _client_hooks(self) -> frozenset[str]:
        """The hooks on clients that this tmux knows; each version has others."""
        self._forget_another()
        if not self._hooks:
            self._hooks = commands.client_hooks(await self._ask("show-hooks", "-g"))
        return self._hooks

    def observer(self) -> Observer:
        """One that has yet to `watch`. From then on commands go through it."""
        self._observer = Observer(self.command, self.socket, self.target)
        return self._observer

    def status_right(self) -> StatusRight:
        """For the session that was seen last."""
        return StatusRight(self._ask, self.target)

    async def keys_that_detach(self) -> str:
        """As people call them; "" if no key does. Raises WorldError, also without any bindings."""
        prefix = await self._ask("show-options", "-Av", "-t", f"{self.target}:", "prefix")
        bindings = await self._ask("list-keys", "-T", "prefix")
        return keys_that_detach(one_line(prefix, _MAX_KEY_CHARS), bindings)

    def by_hand(self, *words: str) -> str:
        """For the host's shell. A plain tmux would obey a server in a box, with their rights."""
        box = self._box()
        return shell(box.tmux if box else "tmux", "-S", str(self.socket), *words)

    async def _ask(self, *argv: str, lasts: bool = False) -> str:
        """What tmux prints. `lasts`: it prints once what it shows has ended."""
        if self._observer and self._observer.socket == self.socket and not lasts:
            try:
                async with asyncio.timeout(self._reply_timeout_s):
                    output = await self._observer.ask(*argv)
            except TimeoutError:
                raise self.silent() from None
            except Failed as failure:
                raise _failed(argv, last_words(str(failure))) from None
            if output is not None:
                return output
        command = self.command
        if not command:
            raise which.no_tmux()
        try:
            done = await run(
                *(command, "-N", "-u", "-S", str(self.socket), *argv),
                seconds=None if lasts else self._reply_timeout_s,
            )
        except OSError as error:
            raise WorldError(
                "no-tmux",
                f"{command}: {error.strerror}",
                "install tmux, or set [tmux] command",
            ) from None
        except TimeoutError:
            raise self.silent() from None
        if done.status:
            raise _failed(argv, done.last_words)
        return done.stdout


def _popup_size(terminal: str) -> tuple[str, ...]:
    """Options of display-popup for a _CLIENT_SIZE, which is empty if the client has just gone."""
    size = [int(number) for number in terminal.split()] or _POPUP_SIZE
    columns, rows = map(max, _POPUP_LEAST, map(min, _POPUP_SIZE, size))
    return ("-w", str(columns), "-h", str(rows))


def _failed(argv: Sequence[str], reason: str) -> WorldError:
    return WorldError(
        "tmux-failed",
        f"tmux {argv[0]}: {reason}",
        "pairctl status shows whether the session runs",
    )


def _way_out(tmux: Tmux) -> str:
    """The hint if it does not answer, which a guest in a box can cause."""
    return (tmux.box and tmux.box.ended_by) or f"try: {tmux.by_hand('ls')}"
