"""A relay by a program of the user's choice, which makes a tunnel and prints its endpoint.

The relay may be a stranger's: it sees only ciphertext, and the guests check the door's host key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from pairingd.core.ports import at_port, parse_port
from pairingd.core.text import one_line, shell
from pairingd.errors import WorldError
from pairingd.home import config, values
from pairingd.process.programs import last_words
from pairingd.process.tunnel import Tunnel, how_it_ended, start, wait_for

# HOST:PORT at a line's end. Tried once for each word: a stranger chooses how long the words are.
USUAL = r"(?<![A-Za-z0-9.-])[.-]*\b(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<port>[0-9]{1,5})\s*$"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?", re.ASCII)  # printed in ssh's


class RelayCommand:
    def __init__(self, settings: config.RelayCommand) -> None:
        self._argv = values.argv(settings.run)
        self._says = re.compile((settings.says or USUAL).encode())

    async def open(self, door_port: int) -> Tunnel:
        """A tunnel to the endpoint that is printed. Raises WorldError `relay-unreachable`."""
        try:
            program = await start(*self._at(door_port), together=True)
        except OSError as error:
            raise self._failure(error.strerror or "it cannot be run", door_port) from None
        tunnel = Tunnel("", 0, door_port, program, strangers=True)
        match = await wait_for(tunnel, self._says, partial(self._failed, tunnel))
        host, port = ((match[name] or b"").decode(errors="replace") for name in ("host", "port"))
        number = parse_port(port)
        if not _HOST.fullmatch(host) or number is None:
            await tunnel.close()
            named = one_line(f"{host}:{port}", 100)
            raise self._failure(f"it names no host and port: {named}", door_port)
        tunnel.host, tunnel.port = host, number
        return tunnel

    def _at(self, door_port: int) -> list[str]:
        return [word.replace("{port}", str(door_port)) for word in self._argv]

    async def open_jump(self, door_port: int) -> Tunnel:
        """The same: it is unknown what its relay is, and whether ssh -J works through it."""
        return await self.open(door_port)

    @asynccontextmanager
    async def inside(self, _port: int) -> AsyncIterator[None]:
        """Nobody can look from inside it."""
        yield None

    def lost(self, tunnel: Tunnel) -> WorldError:
        """The error for a program that has ended by itself: its last output and its status."""
        reason = last_words(tunnel.output) or "it says nothing"
        status = tunnel.status
        if status is not None:
            reason += f" (it {how_it_ended(status)})"
        return self._failure(reason, tunnel.door_port)

    def unseen(self, tunnel: Tunnel, *, inside: bool) -> WorldError:  # noqa: ARG002 - as Relay's
        """The error if nobody outside finds the door."""
        endpoint = at_port(tunnel.host, tunnel.port)
        return WorldError(
            "relay-forward-refused",
            f"the door is not seen at {endpoint}, which the relay's program named",
            "see whether [relay.command] says takes the right words of its output",
        )

    def _failed(self, tunnel: Tunnel, reason: str) -> WorldError:
        if not reason:
            return self.lost(tunnel)
        output = last_words(tunnel.output)
        if output:
            reason += f"; its last output: {output}"
        return self._failure(reason, tunnel.door_port)

    def _failure(self, reason: str, door_port: int) -> WorldError:
        return WorldError(
            "relay-unreachable",
            f"the relay's program {self._argv[0]} made no tunnel: {reason}",
            f"try it by hand: {shell(*self._at(door_port))}",
        )
