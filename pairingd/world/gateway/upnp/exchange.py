"""A Call over HTTP: by asyncio in the daemon and in doctor, by a blocking socket in the child."""

from __future__ import annotations

import socket
from collections.abc import Callable

from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Call, Fault, Result

# For a whole answer by asyncio; for each read in the child, which is ended when it takes too long.
ANSWER_SECONDS = 4.0
_READ_SIZE = 65536

# Everything that a call can fail with.
FAILURES = (BadAnswer, Fault, OSError)

# Sees each message: ">" and what is sent, "<" and what has come.
Record = Callable[[str, str], None]


async def ask(call: Call[Result], source: str, record: Record | None = None) -> Result:
    """The answer to `call`, sent from our address `source`. Raises one of FAILURES."""
    import asyncio  # which the child does without

    from pairingd.world.gateway.upnp.http1 import Http  # h11, which the ordinary case does without

    http = Http(call)
    if record:
        record(">", f"{call.method} {call.url} {call.headers.get('SOAPAction', '')}".rstrip())
        record(">", call.body)
    async with asyncio.timeout(ANSWER_SECONDS):  # a router can drip for ever
        reader, writer = await asyncio.open_connection(*http.address, local_addr=(source, 0))
        try:
            writer.write(http.request)
            while (text := http.receive(await reader.read(_READ_SIZE))) is None:
                pass
        finally:
            writer.transport.abort()
    if record:
        record("<", str(http.status))
        record("<", text)
    return call.read(text)


def ask_blocking(call: Call[Result]) -> Result:
    """The answer to `call`. Raises one of FAILURES."""
    from pairingd.world.gateway.upnp.http1 import Http

    http = Http(call)
    with socket.create_connection(http.address, ANSWER_SECONDS) as connection:
        connection.sendall(http.request)
        while (text := http.receive(connection.recv(_READ_SIZE))) is None:
            pass
    return call.read(text)
