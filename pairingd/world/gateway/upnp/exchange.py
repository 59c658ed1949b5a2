"""A Call over HTTP, by asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pairingd.core.addresses import ip_version
from pairingd.machine.names import ipv4_addresses
from pairingd.world.gateway.upnp.http1 import Http
from pairingd.world.gateway.upnp.location import location_host, repointed
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Call, Fault, Result

# For one whole answer. Some routers need one or two seconds for each (measured by their owners).
ANSWER_TIMEOUT_S = 5.0
_REFUSAL_TIMEOUT_S = 1.0  # for the rest of a refusal; many have no body
_READ_SIZE = 65536

# All errors of a call. OSError, which includes TimeoutError, means silence.
FAILURES = (BadAnswer, Fault, OSError)

# Gets each message: ">" and what is sent, "<" and what has come.
Record = Callable[[str, str], None]


async def ask(
    call: Call[Result],
    source: str,
    record: Record | None = None,
    *,
    timeout_s: float = ANSWER_TIMEOUT_S,
) -> Result:
    """The answer to `call`, sent from our address `source`. Raises one of FAILURES."""
    http = Http(call)
    if record:
        record(">", f"{call.method} {call.url} {call.headers.get('SOAPAction', '')}".rstrip())
        record(">", call.body)
    try:
        text = await _exchanged(http, source, timeout_s)
    except OSError:  # silence, or a reset after an answer: some routers do not read the request
        if not http.answered:
            raise
        text = ""
    if record:
        record("<", str(http.status))
        record("<", text)
    return call.read(text)


async def by_address(url: str) -> str:
    """The URL with its host's address in place of a name, as routers name themselves. Raises
    OSError.
    """
    host = location_host(url)
    if host is None or ip_version(host):
        return url
    return repointed(url, (await ipv4_addresses(host))[0])


async def _exchanged(http: Http, source: str, timeout_s: float) -> str:
    now = asyncio.get_running_loop().time
    async with asyncio.timeout(timeout_s) as limit:  # a router may send slowly forever
        reader, writer = await asyncio.open_connection(*http.address, local_addr=(source, 0))
        try:
            writer.write(http.request)
            while (text := http.receive(await reader.read(_READ_SIZE))) is None:
                if http.refuses:
                    limit.reschedule(min(limit.when() or 0.0, now() + _REFUSAL_TIMEOUT_S))
            return text
        finally:
            writer.transport.abort()
