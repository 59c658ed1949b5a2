"""A hole in the provider's NAT: its conditions and its problems.

The router forwards a port of its external address, which is in the provider's network. An outgoing
connection from that port makes the provider's NAT allocate one of its public ports. If that NAT
maps and filters independently of the remote endpoint (RFC 4787 §4.1, §5), the port leads in. This
cannot be seen from inside, so the hole is unproven until somebody has connected through it.
"""

from __future__ import annotations

from pairingd.core.addresses import is_dialable, is_inside
from pairingd.core.model import HostPort, Problem

FIRST_PORT = 1024  # the lowest that a user may bind: Linux's ip_unprivileged_port_start


def source_port(forwarded: HostPort | None) -> int | None:
    """Return the source port for a hole: the forwarded one. None where a hole cannot help."""
    if forwarded is None or not is_inside(forwarded.host) or forwarded.port < FIRST_PORT:
        return None
    return forwarded.port


def unproven(address: HostPort) -> Problem:
    return Problem(
        "cgnat-unproven",
        f"the provider's NAT may lead {address.host}:{address.port} here; "
        "nobody has come by it yet",
        "many such NATs let nobody in; if the guest cannot enter: pairctl invite GUEST --from "
        "ADDRESS",
    )


def outside(seen: tuple[str, int] | None) -> HostPort | None:
    """Return the endpoint that a STUN server saw, if guests on the internet can connect to it."""
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
