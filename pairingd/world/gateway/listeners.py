"""Whether a server of this machine listens at a port, as seen from the router."""

from __future__ import annotations

import asyncio

_KNOCK_TIMEOUT_S = 0.5  # a firewall may drop what goes to our own address


async def listens(address: str, port: int) -> bool:
    """True also if unknown: only a refused connection shows that nobody listens."""
    try:
        async with asyncio.timeout(_KNOCK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    writer.transport.abort()
    return True
