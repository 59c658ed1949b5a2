"""An endpoint through a provider's NAT: a connection from a port of ours that is kept open.

The provider's NAT gives our port one of its own. A NAT with endpoint-independent mapping and
filtering (RFC 4787 §4, §5; RFC 5382 REQ-1, REQ-3) forwards everybody who connects there to us, as
long as that connection lasts. The STUN server at its other end reports which port it is, and
carries nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable

from pairingd.core.addresses import ip_version
from pairingd.machine.names import ipv4_addresses
from pairingd.world.outgoing import stun
from pairingd.world.outgoing.dialer import connect

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
_REQUEST_INTERVAL_S = 20.0  # RFC 5382 REQ-5 lets NATs forget a connection after minutes
_CLOSED_PAUSE_S = 10.0  # if the server closes after its answer, as some do
_FAILED_PAUSE_S = 15.0
# SO_LINGER. So that this end has no TIME_WAIT, and can connect again, also after a `kill -9`.
_RESET, _ORDERLY = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class Hole:
    """From `port`, while `run` runs. `outside` is where the server last saw us, `failure` why it
    does not; `changed` is called when either changes. `closed_pause_s` is for tests.
    """

    def __init__(
        self,
        server: tuple[str, int],
        port: int,
        changed: Callable[[], None],
        *,
        closed_pause_s: float = _CLOSED_PAUSE_S,
    ) -> None:
        self.port = port
        self.outside: tuple[str, int] | None = None
        self.failure = ""
        self.answered = asyncio.Event()  # or failed, once
        self._server = server
        self._changed = changed
        self._closed_pause_s = closed_pause_s
        self._is_seen = False  # by the present connection

    async def run(self) -> None:
        while True:
            pause = self._closed_pause_s
            self._is_seen = False
            try:
                await self._keep()
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                if not isinstance(error, ConnectionResetError | asyncio.IncompleteReadError):
                    pause = _FAILED_PAUSE_S
                    self._note(None, _reason(error))
                elif not self._is_seen:
                    pause = _FAILED_PAUSE_S
                    self._note(None, "it closes the connection without an answer")
            await asyncio.sleep(pause)

    async def _keep(self) -> None:
        """Keep it until the server closes. Raises OSError, ValueError, IncompleteReadError."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            sock = await self._connect()
        reader, writer = await asyncio.open_connection(sock=sock, limit=stun.MAX_BODY_BYTES)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            while True:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    outside = await _ask(reader, writer)
                self._is_seen = True
                self._note(outside)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_REQUEST_INTERVAL_S):
                        # Only the end comes by itself; anything else spoils the next answer.
                        await reader.readexactly(1)
        except asyncio.IncompleteReadError:
            # The NATs then keep our port longer than after a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ORDERLY)
            raise
        finally:
            writer.close()

    async def _connect(self) -> socket.socket:
        host, port = self._server
        return await connect(self.port, (await ipv4_addresses(host))[0], port)

    def _note(self, outside: tuple[str, int] | None, failure: str = "") -> None:
        self.answered.set()
        if (outside, failure) != (self.outside, self.failure):
            self.outside, self.failure = outside, failure
            log.debug("port %d is seen at %s %s", self.port, outside, failure)
            self._changed()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    transaction = os.urandom(stun.TRANSACTION_BYTES)
    writer.write(stun.request(transaction))
    length = stun.body_length(await reader.readexactly(stun.HEADER_BYTES), transaction)
    host, port = stun.mapped_address(await reader.readexactly(length), transaction)
    if ip_version(host) != 4:
        raise stun.BadAnswer("an address of another family")
    return host, port


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, stun.BadAnswer):
        return f"its answer is none: {error}"
    return getattr(error, "strerror", None) or str(error)


MakeHole = Callable[[int, Callable[[], None]], Hole | None]  # arguments: the port, and `changed`
