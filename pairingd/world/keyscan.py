"""Whether our own host key is seen at an address: the way there leads to our door, and works."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from pairingd.process.programs import run

_KINDS = "ed25519,ecdsa,rsa"  # what servers have


class Sight(Enum):
    """What was seen at an address."""

    OUR_DOOR = auto()
    ANOTHER_SERVER = auto()  # it shows a host key, and not ours
    UNSURE = auto()  # connections are taken there, or could not be tried; no key was shown
    NOBODY = auto()  # connections are refused, or not answered


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
    """By ssh-keyscan(1), which logs in nowhere. NOBODY is what two tries in a row have met.

    UNSURE also where it is the server of the `router` itself, which answers at its external address
    what it does not turn around. `forwarded`: at the near end of a forward connections are always
    taken, so NOBODY shows no host key, twice.
    """
    ours = f"{key_type} {blob}"
    try:
        keys = await _keys(host, port, key_type.removeprefix("ssh-"), seconds)
        if ours in keys:
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
    return Sight.OUR_DOOR if ours in keys else Sight.ANOTHER_SERVER


async def _keys(host: str, port: int, kinds: str, seconds: int) -> set[str]:
    """The host keys that are shown there, each as type and blob. Raises OSError."""
    scan = ("ssh-keyscan", "-T", str(seconds), "-p", str(port), "-t", kinds, "--", host)
    found = await run(*scan, seconds=2 * seconds)
    lines = [line.split() for line in found.stdout.splitlines() if not line.startswith("#")]
    return {f"{line[1]} {line[2]}" for line in lines if len(line) == 3}


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
