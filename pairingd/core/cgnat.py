"""A hole in the provider's NAT: what it takes, and what to say of it.

The router forwards a port of its own address, which is the provider's network's. A connection that
goes out from that very port makes the provider's NAT keep one of its public ports for it; where
that NAT neither changes it with the destination nor filters who comes (RFC 4787 §4.1, §5), the port
leads in. Nobody can tell that from inside, so it counts for nothing until somebody has come.
"""

from __future__ import annotations

from pairingd.core.addresses import is_dialable, is_inside
from pairingd.core.model import HostPort, Problem

FIRST_PORT = 1024  # from which on a user may connect: Linux's ip_unprivileged_port_start


def source_port(forwarded: HostPort | None) -> int | None:
    """The port from which to go out, where that may help: the one that the router forwards."""
    if forwarded is None or not is_inside(forwarded.host) or forwarded.port < FIRST_PORT:
        return None
    return forwarded.port


def unproven(way: HostPort) -> Problem:
    return Problem(
        "cgnat-unproven",
        f"the provider's NAT may lead {way.host}:{way.port} here; nobody has come by it yet",
        "many such NATs let nobody in; if the guest cannot enter: pairctl invite GUEST --from "
        "ADDRESS",
    )


def outside(seen: tuple[str, int] | None) -> HostPort | None:
    """Where a STUN server saw us, if guests on the internet can connect to there."""
    return HostPort(*seen) if seen and is_dialable(seen[0]) else None


def stun_problem(server: str, seen: tuple[str, int] | None, failure: str) -> Problem | None:
    if not failure and seen and outside(seen) is None:
        failure = f"it saw this network at {seen[0]}, which is not on the internet"
    if not failure:
        return None
    return Problem(
        "stun-failed",
        f"the STUN server {server} does not help: {failure}",
        "try another [cgnat] stun, one on the internet that answers over TCP",
    )
