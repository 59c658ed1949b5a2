"""The outward JSON, made of what is wished and what is seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass, field
from typing import Literal

from pairingd.config import Duration, Settings, flat
from pairingd.core.addresses import external_class
from pairingd.core.durations import utc
from pairingd.core.model import Invitation, Key, Mapping, Problem, Session, WayIn
from pairingd.core.text import shell
from pairingd.errors import PairingError
from pairingd.protocol import results
from pairingd.store import Happening
from pairingd.world.door import Connection
from pairingd.world.sshd import HostKey

Verified = Literal["readback", "hairpin", "guest"]


def problem(error: PairingError | Problem) -> results.Problem:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def key(one: Key) -> results.KeyInfo:
    return {
        "type": one.type,
        "bits": one.bits,
        "fingerprint": one.fingerprint,
        "comment": one.comment,
    }


def invitation(one: Invitation, connections: Iterable[Connection]) -> results.InvitationInfo:
    return {
        "id": one.id,
        "guest": one.guest,
        "access": one.access.value,
        "issued_at": utc(one.issued_at),
        "expires_at": utc(one.expires_at),
        "keys": [key(each) for each in one.keys],
        "state": one.standing.value,
        "connections": [
            {"peer": each.peer, "since": utc(each.since), "pid": each.pid}
            for each in connections
            if each.invitation == one.id
        ],
    }


def ssh(user: str, host: str, port: int, *options: str) -> str:
    """What a guest types. ssh takes what is after the last @ for the host."""
    return shell("ssh", *options, "-p", str(port), f"{user}@{host}")


def endpoint(
    kind: Literal["router", "ipv6", "lan", "relay"],
    user: str,
    host: str,
    port: int,
    protocol: str | None = None,
    verified: Verified | None = None,
) -> results.Endpoint:
    return {
        "kind": kind,
        "host": host,
        "port": port,
        "command": ssh(user, host, port),
        "protocol": protocol,
        "verified": verified,
    }


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways in from outside, as far as they are there. At `relay` our host key was seen.

    `by_hand` is the host and port that the user has forwarded to the door. `seen` has what was seen
    of a mapping, by its id: somebody who came through it from the internet, our own host key, or
    its row in the router's table.
    """

    mapping: Mapping | None = None
    pinhole: Mapping | None = None
    by_hand: tuple[str, int] | None = None
    relay: tuple[str, int] | None = None
    seen: Map[str, Verified] = field(default_factory=dict)

    def unproven(self, held: Mapping) -> bool:
        """Whether nothing speaks for it but the word of a router that shows it to nobody."""
        return held.unshown and held.id not in self.seen

    @property
    def doubtful(self) -> bool:
        """Whether the router's own address is seen not to be on the internet."""
        return self.mapping is not None and double_nat(self.mapping) is not None


def endpoints(
    user: str,
    ways: Ways,
    lan_host: str,
    door_port: int,
) -> list[results.Endpoint]:
    """Every address a guest can try, best first."""
    found = []
    if ways.by_hand:
        found.append(endpoint("router", user, *ways.by_hand))
    found += _through("router", user, ways.mapping, ways)
    found += _through("ipv6", user, ways.pinhole, ways)
    if ways.relay:
        found.append(endpoint("relay", user, *ways.relay, "ssh", "hairpin"))
    # Behind a second router, or the provider's, only what leads around it may work.
    found.sort(key=lambda one: one["kind"] == "router" and ways.doubtful)
    found.append(endpoint("lan", user, lan_host, door_port))
    return found


def _through(
    kind: Literal["router", "ipv6"], user: str, held: Mapping | None, ways: Ways
) -> list[results.Endpoint]:
    if held is None or not held.external_host:
        return []
    where = held.external_host, held.external_port
    return [endpoint(kind, user, *where, held.protocol, ways.seen.get(held.id))]


def way_told(found: Sequence[results.Endpoint]) -> WayIn:
    """What guests hold when `found` was answered: the router's way, else the best there was."""
    best = next((one for one in found if one["kind"] == "router"), found[0])
    return WayIn(best["host"], best["port"])


def known_hosts(host: str, port: int, host_key: HostKey) -> str:
    """The line as OpenSSH writes it: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    name = host if port == 22 else f"[{host}]:{port}"
    return f"{name} {host_key.type} {host_key.blob}"


def pinned(user: str, host: str, port: int, host_key: HostKey) -> str:
    """`ssh`, checking the host key at first contact (ssh_config(5), KnownHostsCommand)."""
    options = (
        f"KnownHostsCommand=/bin/echo %H {host_key.type} {host_key.blob}",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/dev/null",
    )
    return ssh(user, host, port, *(word for one in options for word in ("-o", one)))


def reachability(
    ways: Ways, error: PairingError | None
) -> Literal["internet", "unverified", "lan"]:
    """What is known, not what is hoped: behind a second router nothing is known of the internet."""
    held = [one for one in (ways.mapping, ways.pinhole) if one and one.external_host]
    if ways.relay or any(
        external_class(one.external_host) == "public" and not ways.unproven(one) for one in held
    ):
        return "internet"
    behind_another = error is not None and error.code == "double-nat"
    return "unverified" if held or ways.by_hand or behind_another else "lan"


def endpoint_changed(session: Session | None) -> results.Problem | None:
    if session is None or session.announced == session.told:
        return None
    return {
        "code": "endpoint-changed",
        "message": "the way in has changed since the guests were told of it",
        "hint": "pairctl invite --show GUEST prints the new command",
    }


def double_nat(held: Mapping | None) -> results.Problem | None:
    if held is None or external_class(held.external_host) not in {"private", "cgnat"}:
        return None
    return {
        "code": "double-nat",
        "message": f"the router's own address {held.external_host} is not on the internet",
        "hint": "forward the port on the router before it too, ask the provider for a public "
        "address, or set up a [relay]; guests out there may not reach you",
    }


def no_external_address(held: Mapping | None) -> results.Problem | None:
    if held is None or held.external_host:
        return None
    return {
        "code": "no-external-address",
        "message": f"the router forwards port {held.external_port}, but has no address outside",
        "hint": "check the router's own connection to the internet; a [relay] leads around it",
    }


def unshown(ways: Ways) -> results.Problem | None:
    held = ways.mapping
    if held is None or not ways.unproven(held):
        return None
    return {
        "code": "mapping-unshown",
        "message": f"the router says it forwards port {held.external_port}, but does not show it",
        "hint": "if the guest cannot enter, forward the port in the router by hand, or set "
        "[router] allow_permanent = true",
    }


def unclosed(held: Mapping) -> results.Problem:
    return {
        "code": "mapping-unclosed",
        "message": f"the router's port {held.external_port} is not seen to be closed yet",
        "hint": "it leads to a shut door; pairingd goes on trying, pairctl log will tell",
    }


def mapping(
    held: Mapping | None, error: PairingError | None, gateway: str, *, wanted: bool
) -> results.MappingInfo | None:
    """`gateway` is that of the network we are in, "" where there is none."""
    if held is None and not wanted:
        return None
    state: Literal["open", "opening", "failed"] = "opening"
    if held:
        state = "open"
    elif error:
        state = "failed"
    return {
        "state": state,
        "protocol": held.protocol if held else None,
        "gateway": (held.gateway if held else gateway) or None,
        "external_host": (held.external_host or None) if held else None,
        "external_port": held.external_port if held else None,
        "internal_port": held.internal_port if held else None,
        "expires_at": utc(held.granted_until) if held and held.granted_until else None,
        "error": problem(error) if error else None,
    }


def event(one: Happening) -> results.Event:
    return {
        "id": one.id,
        "at": utc(one.at),
        "session": one.session,
        "kind": one.kind,
        "text": one.text,
        "data": one.data,
    }


def visits(history: Iterable[Happening]) -> list[tuple[Happening, Happening | None]]:
    """Each coming with its going, None for who has not gone, in the order in which they came."""
    found: list[tuple[Happening, Happening | None]] = []
    under_way: dict[int, int] = {}  # by pid, the place in `found`
    for one in history:
        if one.kind == "joined":
            under_way[one.data["pid"]] = len(found)
            found.append((one, None))
        elif one.kind == "left" and one.data["pid"] in under_way:
            place = under_way.pop(one.data["pid"])
            found[place] = (found[place][0], one)
    return found


def receipt(
    session: Session, history: Sequence[Happening], connections: Collection[Connection]
) -> results.Receipt:
    """Who came, from where and when: every visit, those under way with no `until`."""
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "invitations": [invitation(one, connections) for one in session.invitations],
        "visits": [
            {
                "guest": joined.data["guest"],
                "peer": joined.data["peer"],
                "fingerprint": joined.data["fingerprint"],
                "since": utc(joined.at),
                "until": utc(left.at) if left else None,
                "why": left.data["why"] if left else None,
            }
            for joined, left in visits(history)
        ],
        "refused": sum(one.kind == "refused" for one in history),
    }


def settings(in_force: Settings) -> results.Settings:
    """Every key in the form it has in config.toml, with where its value came from."""
    return {
        "file": in_force.file,
        "settings": [
            {
                "key": key,
                "value": _as_in_the_file(value),
                "source": in_force.file if key in in_force.given else "default",
            }
            for key, value in flat(asdict(in_force.config))
        ],
    }


def _as_in_the_file(value: object) -> object:
    if isinstance(value, Duration):
        return value.text
    return list(value) if isinstance(value, tuple) else value
