"""A guest who connects at the same time as the host does: TCP's simultaneous open (RFC 9293 §3.5).

Both sides send a SYN, which opens the way through their own NAT or firewall, so neither has to let
a stranger in. Each needs the other's public address, and NATs that keep port numbers, or a STUN
server's word for the host's. What is dialed for whom is in the State; this is what it means.
"""

from __future__ import annotations

import ipaddress

from pairingd.core.addresses import ip_version, is_dialable
from pairingd.core.model import Dial, HostPort, Invitation, Problem, State
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.text import quoted

# Above the ports that Linux gives to outgoing connections by default (ip_local_port_range).
PORTS = range(61000, 65536)


def guest_address(text: str) -> str:
    """The public address that a guest has named, as it is usually written. Raises Refused."""
    try:
        address = str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise Refused(
            "bad-address",
            f"not an IP address: {quoted(text)}",
            "--from takes the guest's public address, such as 198.51.100.1",
        ) from None
    if not is_dialable(address):
        raise Refused(
            "bad-address",
            f"{address} is not an address on the internet",
            "--from takes the guest's public address; their router's status page shows it",
        )
    return address


def refreshed(dial: Dial, number: int) -> Dial:
    """With two ports that it does not have now; `number` is a random one."""
    free = [port for port in PORTS if port not in {dial.host_port, dial.guest_port}]
    first = free.pop(number % len(free))
    second = free[number // (len(free) + 1) % len(free)]
    return replace(dial, host_port=first, guest_port=second)


def to_dial(state: State, now: float) -> dict[str, Invitation]:
    """The invitations whose guests are to be dialed now, by their ids."""
    return {
        one.id: one for one in state.live if one.dial and one.is_open(now) and not one.rights.used
    }


def outside_host(peer: str, named: str, source: str, router: str) -> str:
    """Where the guest at `peer` finds this network: where the user has `named` it, else at the
    address of our own from which we dial, else at the `router`'s. "" where none is on the internet,
    or of the guest's family.
    """
    if named and (ip_version(named) or ip_version(peer)) == ip_version(peer):
        return named
    found = (one for one in (source, router) if is_dialable(one))
    return next((one for one in found if ip_version(one) == ip_version(peer)), "")


def proxy(dial: Dial, way: HostPort) -> str:
    """What the guest's ssh connects with: ssh_config(5), ProxyCommand."""
    return f"nc -p {dial.guest_port} {way.host} {way.port}"


def needs_announcing(dial: Dial, way: HostPort | None, *, inside: bool) -> bool:
    """Whether the guest holds a command that leads elsewhere than `way`. Not while a visit by
    these means is under way, nor before they were told anything.
    """
    return way is not None and dial.printed is not None and dial.printed != way and not inside


def no_address(guest: str) -> Problem:
    return Problem(
        "dial-no-address",
        f"{guest} cannot be dialed: the public address of this network is not known",
        "set [router] hostname to a name for it, or [cgnat] stun to a STUN server",
    )
