"""Small values of the core's records, for tests that care about one field of them."""

from __future__ import annotations

from pairingd.core.events import Invite
from pairingd.core.model import Access, Conditions, Invitation, Key, Mapping, Standing
from pairingd.core.network import Network

START = 1_800_000_000
HOME = Network("eth0", "192.168.1.10", "192.168.1.1", "02:00:00:00:00:01")
UNCONDITIONAL = Conditions()
OFFICE = Network("eth0", "192.168.1.10", "192.168.1.1", "02:00:00:00:00:02")


# In front of HOME's router, which is at 192.168.0.7 outside.
BEYOND = Network("eth0", "192.168.1.10", "192.168.0.1", "02:00:00:00:00:01", "192.168.0.7")


def key(name: str) -> Key:
    return Key("ssh-ed25519", f"blob-{name}", 256, f"SHA256:{name}", name)


def invitation(
    guest: str = "github:octocat",
    *,
    id: str = "",  # noqa: A002 - the record's own word
    issued_at: int = START,
    ttl: int = 3600,
    access: Access = Access.WRITE,
    keys: tuple[Key, ...] = (),
    conditions: Conditions = UNCONDITIONAL,
) -> Invitation:
    return Invitation(
        id=id or f"id-{guest}",
        guest=guest,
        access=access,
        keys=keys or (key(guest),),
        issued_at=issued_at,
        expires_at=max(issued_at, conditions.opens_at or 0) + ttl,
        standing=Standing.LIVE,
        conditions=conditions,
    )


def invite(*invitations: Invitation, session: str = "s1", port: int = 22) -> Invite:
    return Invite(session, invitations or (invitation(),), port)


def mapping(
    *,
    id: str = "m1",  # noqa: A002 - the record's own word
    network: str = "home",
    internal_port: int = 40000,
    granted_until: float | None = START + 600.0,
    renew_at: float | None = START + 300.0,
) -> Mapping:
    return Mapping(
        id=id,
        protocol="upnp",
        network=network,
        gateway="192.168.1.1",
        external_host="5.5.5.1",
        external_port=22,
        internal_host="192.168.1.10",
        internal_port=internal_port,
        token="0123abcd",
        granted_until=granted_until,
        renew_at=renew_at,
    )
