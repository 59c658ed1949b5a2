"""Whether our own host key is seen at an address: the way there leads to our door, and works."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from pairingd.process.programs import run


class Sight(Enum):
    """What was seen at an address."""

    OUR_DOOR = auto()
    UNSURE = auto()  # connections are taken there, or could not be tried; our key was not shown
    NOBODY = auto()  # connections are refused, or not answered


async def look(host: str, port: int, key_type: str, blob: str, *, seconds: int = 5) -> Sight:
    """By ssh-keyscan(1), which logs in nowhere. NOBODY is what two tries in a row have met."""
    kind = key_type.removeprefix("ssh-")
    scan = ("ssh-keyscan", "-T", str(seconds), "-p", str(port), "-t", kind, "--", host)
    try:
        found = await run(*scan, seconds=seconds + 1)
    except (OSError, TimeoutError):
        return Sight.UNSURE
    if f" {key_type} {blob}" in found.said:
        return Sight.OUR_DOOR
    return await _connected(host, port, seconds)


async def _connected(host: str, port: int, seconds: float) -> Sight:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except (ConnectionRefusedError, TimeoutError):
        return Sight.NOBODY
    except OSError:  # of this machine's network, as likely as not
        return Sight.UNSURE
    writer.close()
    return Sight.UNSURE
