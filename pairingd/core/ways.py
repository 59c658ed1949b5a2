"""How a guest can get in: the endpoints, how far they can be trusted, and what to warn of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Map
from typing import Literal

from msgspec import Struct, field

from pairingd.core import cgnat
from pairingd.core.addresses import is_public, may_be_public
from pairingd.core.double_nat import NotOpened, double_nat, outermost
from pairingd.core.model import HostPort, Mapping, Problem, Session
from pairingd.core.records import replace
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell

_SSH_PORT = 22  # ssh's own default (ssh_config(5), Port)

Kind = Literal["direct", "router", "ipv6", "lan", "relay", "jump", "dial", "cgnat"]
Verified = Literal["readback", "hairpin", "stranger", "outside", "guest"]
Reachability = Literal["internet", "unverified", "lan"]
Place = tuple[str, int]  # a host and a port
# At these the door is not reached from everywhere, or not by its own address.
_NOT_STRAIGHT = frozenset({"lan", "relay", "jump", "dial"})


class Endpoint(Struct, frozen=True):
    """One address a guest can try. `protocol` is how the router or relay was asked for it;
    `verified` is what was seen of it beyond the router's word. `via` is the machine that the
    guest's ssh must log in to before, `proxy` the program that it connects with, of which one
    `guest` alone makes use. `pinned`: guests are given no command that does not check the host key.
    """

    kind: Kind
    host: str
    port: int
    protocol: str | None = None
    verified: Verified | None = None
    via: str = ""
    pinned: bool = False
    proxy: str = ""
    guest: str = ""


class Ways(Struct, frozen=True):
    """What leads to the door from outside at present. At `relay` our host key was seen;
    `through` is a relay with a command of its own: a jump, or a stranger's.

    `by_hand` is the host and port that the user has forwarded to the door. `seen` is what was seen
    of a mapping, by its id: a guest who came through it from the internet, our own host key, or
    its row in the router's table. `unsteady`: the mapping keeps being lost. `second` is the mapping
    on the router in front of the first, `second_failed` why there is none.
    `dials` are of single guests, `hole` is in the provider's NAT.
    `direct` is this machine's own address where that is a public one. `witnessed`: who has come
    over the internet by it, or else by hand. `outside`: what a machine elsewhere has seen, true for
    our door, false for nobody of ours, where nobody has come over the internet since.
    """

    mapping: Mapping | None = None
    pinhole: Mapping | None = None
    by_hand: tuple[str, int] | None = None
    relay: tuple[str, int] | None = None
    seen: Map[str, Verified] = field(default_factory=dict)
    unsteady: bool = False
    direct: str | None = None
    witnessed: Verified | None = None
    through: Endpoint | None = None
    second: Mapping | None = None
    second_failed: NotOpened | None = None
    dials: tuple[Endpoint, ...] = ()
    hole: Endpoint | None = None
    outside: Map[Place, bool] = field(default_factory=dict)

    def endpoints(self, lan_host: str, door_port: int) -> list[Endpoint]:
        """Every address a guest can try, best first."""
        found: list[Endpoint] = [*self.dials]
        if self.direct:
            found.append(Endpoint("direct", self.direct, door_port, verified=self.witnessed))
        if self.by_hand:
            witnessed = None if self.direct else self.witnessed
            found.append(Endpoint("router", *self.by_hand, verified=witnessed))
        found += self._through("router", self._outermost)
        proven = self.hole is not None and self.hole.verified is not None
        if self.hole and proven:
            found.append(self.hole)
        found += self._through("ipv6", self.pinhole)
        if self.relay:
            found.append(Endpoint("relay", *self.relay, "ssh", "hairpin"))
        if self.through:
            found.append(self.through)
        if self.hole and not proven:
            found.append(self.hole)
        found = [self._as_seen_outside(one) for one in found]
        found.sort(key=self._is_doubtful)
        return found if lan_host == self.direct else [*found, Endpoint("lan", lan_host, door_port)]

    @property
    def _others(self) -> list[Endpoint]:
        """Those that count for the internet once somebody has been seen to come by them."""
        return [one for one in (self.through, self.hole, *self.dials) if one]

    def _is_doubtful(self, one: Endpoint) -> bool:
        """Behind a second router, or the provider's, only what leads around it may work; and where
        a look from outside has met nobody, anything else.
        """
        if self.outside.get((one.host, one.port)) is False:
            return True
        return one.kind == "router" and self._double_nat is not None

    @property
    def _outermost(self) -> Mapping | None:
        return outermost(self.mapping, self.second)

    @property
    def _double_nat(self) -> Problem | None:
        return double_nat(self.mapping, self.second, self.second_failed)

    def _through(self, kind: Kind, held: Mapping | None) -> Iterator[Endpoint]:
        if held and held.external_host:
            seen = self.seen.get(held.id)
            yield Endpoint(kind, held.external_host, held.external_port, held.protocol, seen)

    def _as_seen_outside(self, one: Endpoint) -> Endpoint:
        seen = self.outside.get((one.host, one.port))
        if seen is False:
            return replace(one, verified=None)
        return replace(one, verified="outside") if seen and one.verified != "guest" else one

    def reachability(self, error: PairingError | None) -> Reachability:
        """From where a guest can certainly get in. `error` is the mapping's.

        Behind a second router nothing is known of the internet.
        """
        held = [one for one in (self._outermost, self.pinhole) if one and one.external_host]
        if (
            self.relay
            or (self.direct and not self._is_dark(self.direct))
            or any(self._as_seen_outside(one).verified for one in self._others)
            or (self.by_hand and self.outside.get(self.by_hand, self.witnessed is not None))
            or any(is_public(one.external_host) and not self._is_unproven(one) for one in held)
        ):
            return "internet"
        behind_another = error is not None and error.code == "double-nat"
        unproven = held or self.direct or self.by_hand or self._others or behind_another
        return "unverified" if unproven else "lan"

    def problems(self) -> list[Problem]:
        """What may keep guests from the internet out, though the router has said yes."""
        held = self._outermost
        unlisted = _unlisted(held) if held and held.unshown and self._is_unproven(held) else None
        unsteady = _unsteady(held) if held and self.unsteady else None
        behind = _behind_hole(self.hole) if self.hole else self._double_nat
        found = (behind, _no_external_address(held), unlisted, unsteady)
        return [one for one in found if one]

    def _is_unproven(self, held: Mapping) -> bool:
        """Whether nothing speaks for it but the word of a router that lists it nowhere, or that
        keeps losing it; or a look from outside has met nobody there.
        """
        place = (held.external_host, held.external_port)
        if place in self.outside:
            return not self.outside[place]
        kept_being_lost = self.unsteady and held == self._outermost
        return (held.unshown or kept_being_lost) and held.id not in self.seen

    def _is_dark(self, host: str) -> bool:
        """Whether a look from outside has met nobody of ours at this machine's own address."""
        return any(place[0] == host and not seen for place, seen in self.outside.items())


def leads_straight(kind: str, host: str) -> bool:
    """Whether anybody on the internet may come to the door itself by such an endpoint."""
    return kind not in _NOT_STRAIGHT and may_be_public(host)


def shared_address(endpoints: Sequence[Endpoint]) -> HostPort:
    """What guests hold when `endpoints` were answered: that of the hole before the router, or the
    router's, else the best for all.
    """
    common = [one for one in endpoints if not one.guest]
    kinds = ("cgnat", "router")
    ranked = (one for kind in kinds for one in common if one.kind == kind)
    best = next(ranked, common[0])
    return HostPort(best.host, best.port)


def ssh_command(user: str, host: str, port: int, *options: str, proxy: str = "") -> str:
    """What a guest types. ssh takes what is after the last @ for the host. A `proxy` connects to
    host and port by itself.
    """
    where = () if port == _SSH_PORT or proxy else ("-p", str(port))
    by = f" -o ProxyCommand={shell(proxy)}" if proxy else ""
    return f"{shell('ssh', *options)}{by} {shell(*where, f'{user}@{host}')}"


def endpoint_changed(session: Session | None) -> Problem | None:
    if session is None or session.announced == session.printed:
        return None
    return Problem(
        "endpoint-changed",
        "the endpoint has changed since the guests got their command",
        "pairctl invite --show GUEST prints the new command",
    )


def unclosed(held: Mapping) -> Problem:
    return Problem(
        "mapping-unclosed",
        f"the router's port {held.external_port} is not confirmed closed yet",
        "it leads to a closed door; pairingd keeps trying, see: pairctl log",
    )


def _behind_hole(hole: Endpoint) -> Problem | None:
    return None if hole.verified else cgnat.unproven(HostPort(hole.host, hole.port))


def _no_external_address(held: Mapping | None) -> Problem | None:
    if held is None or held.external_host:
        return None
    return Problem(
        "no-external-address",
        f"the router forwards port {held.external_port}, but has no external address",
        "check the router's own connection to the internet; or set up a [relay]",
    )


def _unsteady(held: Mapping) -> Problem:
    return Problem(
        "mapping-unsteady",
        f"the router keeps losing the forward of port {held.external_port}; pairingd restores it",
        "guests may be unable to connect for seconds; update the router's firmware, or forward "
        "the port there by hand",
    )


def router_slow() -> Problem:
    return Problem(
        "router-slow",
        "the router has not opened a port yet; pairingd keeps asking",
        "pairingd announces the command when the port is open; see: pairctl status",
    )


def _unlisted(held: Mapping) -> Problem:
    return Problem(
        "mapping-unshown",
        f"the router reports that it forwards port {held.external_port}, but does not list it",
        "if the guest cannot enter, forward the port in the router by hand, or set "
        "[router] allow_permanent = true",
    )
