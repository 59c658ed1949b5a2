"""Guest and host connect to each other at the same time: TCP's simultaneous open (RFC 9293 §3.5).

Both sides send a SYN, which opens their own NAT or firewall, so neither has to admit strangers.
Each needs the other's public address, and NATs that keep port numbers, or for the host's a STUN
server. The State has the dials; this module interprets them.
"""

from __future__ import annotations

from pairingd.core.addresses import ip_version, is_dialable
from pairingd.core.model import Dial, HostPort, Invitation, Problem, State
from pairingd.core.records import replace

# Above the ports that Linux gives to outgoing connections by default (ip_local_port_range).
PORTS = range(61000, 65536)


def refreshed(dial: Dial, number: int) -> Dial:
    """Return it with two other ports, chosen by the random `number`."""
    free = [port for port in PORTS if port not in {dial.host_port, dial.guest_port}]
    first = free.pop(number % len(free))
    second = free[number // (len(free) + 1) % len(free)]
    return replace(dial, host_port=first, guest_port=second)


def to_dial(state: State, now: float) -> dict[str, Invitation]:
    """Return the invitations whose guests to dial now, by id."""
    return {
        invitation.id: invitation
        for invitation in state.live
        if invitation.dial and invitation.is_open(now) and not invitation.rights.used
    }


def outside_host(peer: str, named: str, source: str, router: str) -> str:
    """Return the host by which the guest at `peer` reaches this network: the name that the user
    has `named`, else our own address `source` from which we dial, else the `router`'s. "" where
    none is on the internet and of the guest's family.
    """
    if named and (ip_version(named) or ip_version(peer)) == ip_version(peer):
        return named
    own = (host for host in (source, router) if is_dialable(host))
    return next((host for host in own if ip_version(host) == ip_version(peer)), "")


def proxy(dial: Dial, address: HostPort) -> str:
    """Return the ProxyCommand of the guest's ssh (ssh_config(5))."""
    return f"nc -p {dial.guest_port} {address.host} {address.port}"


def needs_announcing(dial: Dial, address: HostPort | None, *, inside: bool) -> bool:
    """Whether the guest's command leads elsewhere than `address`. False during a visit by this
    dial, and before the first command.
    """
    return (
        address is not None and dial.printed is not None and dial.printed != address and not inside
    )


def no_address(guest: str) -> Problem:
    return Problem(
        "dial-no-address",
        f"{guest} cannot be dialed: the public address of this network is not known",
        "set [router] hostname to a name for it, or [cgnat] stun to a STUN server",
    )
