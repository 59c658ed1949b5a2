"""Where a host's name leads, by the system's resolver."""

from __future__ import annotations

import asyncio
import socket

_TIMEOUT_S = 5.0


async def ipv4_addresses(hostname: str) -> list[str]:
    """At least one, in the system's order. Raises socket.gaierror if it has none, is no name, or no
    answer comes in time.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            records = await asyncio.get_running_loop().getaddrinfo(
                hostname, None, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
    except TimeoutError:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from None
    except UnicodeError as error:  # "a..b", or a label of more than 63 bytes: RFC 1035 §2.3.4
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
    return [str(record[4][0]) for record in records]
