"""The shared tmux session, observed and steered, never started and never killed.

`pairctl` makes it, in the host's own terminal; it holds the host's work.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from pairingd.errors import WorldError
from pairingd.programs import run

_PLACES = "/opt/homebrew/bin:/usr/local/bin:/opt/local/bin:/usr/bin:/bin"
_ABSENT = (
    *("no server running", "can't find session", "no sessions"),
    *("(No such file or directory)", "(Connection refused)"),  # error connecting to its socket
    "no current target",  # while the last session is being taken down
)
_CLIENT = re.compile(r"(\d+)\t(\d)\t0\t(.+)", re.ASCII)  # of _FORM, without control mode
_PATIENCE = 2.0  # seconds that tmux has to answer
_FORM = "#{client_pid}\t#{client_readonly}\t#{client_control_mode}\t#{client_name}"


class Running(Enum):
    """Whether the session is there. UNKNOWN: tmux could not be asked."""

    YES = auto()
    NO = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class TmuxClient:
    """A terminal in the session: its process is a descendant of a guest's sshd, or the host's."""

    name: str
    pid: int
    read_only: bool


class Tmux:
    """One session on a server of its own, at `socket`."""

    def __init__(self, command: str, socket: Path, session: str) -> None:
        self._command = command
        self.socket = socket
        self.session = session

    @property
    def command(self) -> str:
        """The absolute path of tmux, "" where there is none."""
        return self._command or shutil.which("tmux") or shutil.which("tmux", path=_PLACES) or ""

    async def running(self) -> Running:
        if not self.socket.exists():
            return Running.NO
        try:
            await self._ask("has-session", "-t", f"={self.session}")
        except WorldError as error:
            absent = any(text in error.message for text in _ABSENT)
            return Running.NO if absent else Running.UNKNOWN
        return Running.YES

    def unknown(self) -> WorldError:
        """What Running.UNKNOWN is told as."""
        return WorldError(
            "tmux-unknown",
            "tmux does not say whether the session runs",
            f"try: tmux -S {self.socket} ls",
        )

    async def clients(self) -> list[TmuxClient]:
        """Terminals attached to the session, without our own observer. Raises WorldError."""
        said = await self._ask("list-clients", "-t", f"={self.session}", "-F", _FORM)
        found = []
        for line in said.splitlines():
            if listed := _CLIENT.fullmatch(line):
                pid, read_only, name = listed.groups()
                found.append(TmuxClient(name, int(pid), read_only == "1"))
        return found

    async def detach(self, client: str) -> None:
        """The guest's screen is restored, the forced command ends, and with it the connection.

        Without -P: its hang-up races with the restoring, and mostly wins (measured, tmux 3.3a).
        """
        await self._ask("detach-client", "-t", client)

    async def toggle_read_only(self, client: str) -> None:
        await self._ask("switch-client", "-r", "-c", client)

    async def tell(self, client: str, text: str) -> None:
        """A line on the status line of one terminal, for a moment."""
        # display-message expands formats (#), so those of the text are doubled: tmux(1), FORMATS.
        # A terminal stands still while it shows a message (measured, tmux 3.3a), so not for long.
        await self._ask("display-message", "-d", "750", "-c", client, text.replace("#", "##"))

    async def confine(self) -> None:
        """Have tmux turn a guest back who turns to another session of this server, undrawn.

        The host may have made one, and tmux's keys for it work in a read-only terminal too. Guests
        are known by `ignore-size` (join.sh). The hook stands beside the host's own, by its number.
        Detaching them instead would draw first (measured, tmux 3.3a).
        """
        guest = "#{m:*ignore-size*,#{client_flags}}"
        elsewhere = f"#{{!=:#{{session_name}},{self.session}}}"
        back = f"switch-client -E -t ={self.session}:"
        turned = f"if-shell -F '#{{&&:{guest},{elsewhere}}}' '{back}'"
        await self._ask("set-hook", "-g", "client-session-changed[22022]", turned)

    async def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` on every coming and going of clients, until the session or tmux ends.

        A control-mode client (tmux(1), CONTROL MODE): no polling, and it ends with us, since its
        standard input does.
        """
        process = await asyncio.create_subprocess_exec(
            *(self.command, "-N", "-S", str(self.socket), "-C", "attach-session", "-E"),
            *("-f", "no-output,read-only,ignore-size", "-t", f"={self.session}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while chunk := await process.stdout.read(4096):
                if b"%" in chunk:
                    changed()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def _ask(self, *words: str) -> str:
        if not self.command:
            raise WorldError(
                "no-tmux", "there is no tmux", "install it: apt install tmux, brew install tmux"
            )
        try:
            done = await run(
                self.command, "-N", "-u", "-S", str(self.socket), *words, seconds=_PATIENCE
            )
        except OSError as error:
            raise WorldError(
                "no-tmux",
                f"{self.command}: {error.strerror}",
                "install tmux, or set [tmux] command",
            ) from None
        except TimeoutError:
            raise WorldError(
                "tmux-hangs", "tmux does not answer", f"try: tmux -S {self.socket} ls"
            ) from None
        if done.status:
            raise WorldError(
                "tmux-failed",
                f"tmux {words[0]}: {done.last_words}",
                "pairctl status shows whether the session runs",
            )
        return done.said


def owners(clients: list[TmuxClient], connections: Mapping[int, str]) -> dict[str, int]:
    """By client name, the pid of the connection it came through; host's clients are left out.

    `connections` maps the pid of each guest's `sshd -i` to anything; a client belongs to the one
    among its ancestors.
    """
    if not clients or not connections:
        return {}
    import psutil

    found: dict[str, int] = {}
    for client in clients:
        with contextlib.suppress(psutil.Error):
            for ancestor in psutil.Process(client.pid).parents():
                if ancestor.pid in connections:
                    found[client.name] = ancestor.pid
                    break
    return found
