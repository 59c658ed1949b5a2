"""Whether an address shows our own host key: then it leads to our door."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from pairingd.process.programs import run

_KINDS = "ed25519,ecdsa,rsa"  # what servers have


class Sight(Enum):
    """What was seen at an address."""

    OUR_DOOR = auto()
    ANOTHER_SERVER = auto()  # shows another host key
    UNSURE = auto()  # accepts connections, or could not be tried; shows no key
    NOBODY = auto()  # refuses connections, or does not answer


async def look(
    host: str,
    port: int,
    key_type: str,
    blob: str,
    *,
    router: str = "",
    forwarded: bool = False,
    seconds: int = 5,
) -> Sight:
    """By ssh-keyscan(1), which does not log in. NOBODY after two tries in a row.

    UNSURE also if the server is that of the `router` itself, which answers at its external address
    what it does not turn around. `forwarded`: the near end of a forward always accepts, so NOBODY
    shows no host key, twice.
    """
    own_key = f"{key_type} {blob}"
    try:
        keys = await _keys(host, port, key_type.removeprefix("ssh-"), seconds)
        if own_key in keys:
            return Sight.OUR_DOOR
        if not keys:
            if not forwarded and await _connected(host, port, seconds) is Sight.NOBODY:
                return Sight.NOBODY
            keys = await _keys(host, port, _KINDS, seconds)
        if not keys and forwarded:
            return Sight.NOBODY
        if not keys or (router and keys & await _keys(router, port, _KINDS, seconds)):
            return Sight.UNSURE
    except (OSError, TimeoutError):
        return Sight.UNSURE
    return Sight.OUR_DOOR if own_key in keys else Sight.ANOTHER_SERVER


async def _keys(host: str, port: int, kinds: str, seconds: int) -> set[str]:
    """The host keys shown there, each as type and blob. Raises OSError."""
    scan = ("ssh-keyscan", "-T", str(seconds), "-p", str(port), "-t", kinds, "--", host)
    scanned = await run(*scan, seconds=2 * seconds)
    lines = [line.split() for line in scanned.stdout.splitlines() if not line.startswith("#")]
    return {f"{line[1]} {line[2]}" for line in lines if len(line) == 3}


async def _connected(host: str, port: int, seconds: float) -> Sight:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except (ConnectionRefusedError, TimeoutError):
        return Sight.NOBODY
    except OSError:  # perhaps of this machine's own network
        return Sight.UNSURE
    writer.close()
    return Sight.UNSURE
