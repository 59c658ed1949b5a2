"""The host's DNS: where a name leads, and the user's command that changes it (dynamic DNS)."""

from __future__ import annotations

import logging

from pairingd.home import values
from pairingd.machine.names import ipv4_addresses
from pairingd.process.programs import run

log = logging.getLogger(__name__)

_UPDATE_TIMEOUT_S = 20.0


async def resolve(hostname: str) -> frozenset[str]:
    """Its IPv4 addresses; empty if `ipv4_addresses` raises."""
    try:
        return frozenset(await ipv4_addresses(hostname))
    except OSError as error:
        log.debug("%s is not resolved: %s", hostname, error)
        return frozenset()


async def update(
    command: str, hostname: str, address: str, *, seconds: float = _UPDATE_TIMEOUT_S
) -> str:
    """Run the command, without a shell; return why it failed, or "". If it does not end within
    `seconds`, it is ended with what it has started.
    """
    argv = (
        word.replace("{hostname}", hostname).replace("{address}", address)
        for word in values.argv(command)
    )
    try:
        done = await run(*argv, seconds=seconds, with_children=True)
    except TimeoutError:
        return f"it did not end within {seconds:g} s"
    except OSError as error:
        return f"it cannot be run: {error.strerror}"
    return f"{done.last_words} (status {done.status})" if done.status else ""
