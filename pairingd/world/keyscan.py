"""Whether our own host key is seen at an address: the way there leads to our door, and works."""

from __future__ import annotations

from pairingd.programs import run


async def shows(host: str, port: int, key_type: str, blob: str, *, seconds: int = 5) -> bool:
    """By ssh-keyscan(1), which logs in nowhere. False says nothing but that it was not seen."""
    kind = key_type.removeprefix("ssh-")
    scan = ("ssh-keyscan", "-T", str(seconds), "-p", str(port), "-t", kind, "--", host)
    try:
        found = await run(*scan, seconds=seconds + 1)
    except (OSError, TimeoutError):
        return False
    return f" {key_type} {blob}" in found.said
