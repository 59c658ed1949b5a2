"""The endpoints by which a guest can enter, the evidence for them, and warnings."""

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

LOOPBACK = "127.0.0.1"  # this machine's address nearby, where it has no IPv4 network
_SSH_PORT = 22  # ssh's own default (ssh_config(5), Port)

Kind = Literal["direct", "router", "ipv6", "lan", "relay", "jump", "dial", "cgnat"]
Verified = Literal["readback", "hairpin", "stranger", "outside", "guest"]
Reachability = Literal["internet", "unverified", "lan"]
Place = tuple[str, int]  # a host and a port
# Endpoints that are not reachable from everywhere, or have not the door's own address.
_NOT_STRAIGHT = frozenset({"lan", "relay", "jump", "dial"})


class Endpoint(Struct, frozen=True):
    """One address a guest can try. `protocol` is that of the request to the router or relay,
    `verified` the evidence beyond the router's word. `via` is the machine that the guest's ssh must
    log in to before, `proxy` its ProxyCommand. `guest`: only this one can use it. `pinned`: guests
    get only commands that check the host key.
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
    """What leads to the door from outside now. At `relay` our host key was seen;
    `through` is a relay with a command of its own: a jump, or a stranger's.

    `by_hand` is the host and port that the user has forwarded to the door. `seen` is the evidence
    of a mapping, by its id: a guest who came through it from the internet, our own host key, or
    its row in the router's table. `unsteady`: the router keeps losing the mapping. `second` is the
    mapping on the router in front of the first, `second_failed` the reason for none.
    `dials` are for single guests, `hole` is in the provider's NAT.
    `direct` is this machine's own address if it is public, `own6` its IPv6 address if that may be
    without a firewall, as on a server. `witnessed`: who has come over the
    internet by it, or else by hand. `outside`: what a machine elsewhere saw, true for our door,
    false for anything else; an endpoint is left out once somebody has come by it.
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
    own6: Endpoint | None = None
    outside: Map[Place, bool] = field(default_factory=dict)

    def endpoints(self, lan_host: str, door_port: int) -> list[Endpoint]:
        """Return every address a guest can try, best first."""
        endpoints: list[Endpoint] = []
        if self.direct:  # before a dial: where no NAT is in the way, both sides reset one
            endpoints.append(Endpoint("direct", self.direct, door_port, verified=self.witnessed))
        endpoints += self.dials
        if self.by_hand:
            witnessed = None if self.direct else self.witnessed
            endpoints.append(Endpoint("router", *self.by_hand, verified=witnessed))
        endpoints += self._through("router", self.outermost)
        proven = self.hole is not None and self.hole.verified is not None
        if self.hole and proven:
            endpoints.append(self.hole)
        endpoints += self._through("ipv6", self.pinhole)
        if self.relay:
            endpoints.append(Endpoint("relay", *self.relay, "ssh", "hairpin"))
        if self.through:
            endpoints.append(self.through)
        if self.hole and not proven:
            endpoints.append(self.hole)
        if self.own6:
            endpoints.append(self.own6)
        endpoints = [self._as_seen_outside(endpoint) for endpoint in endpoints]
        endpoints.sort(key=self._is_doubtful)
        if lan_host == self.direct or (lan_host == LOOPBACK and (self.own6 or self.pinhole)):
            return endpoints
        return [*endpoints, Endpoint("lan", lan_host, door_port)]

    @property
    def _others(self) -> list[Endpoint]:
        """Endpoints that count for the internet only once somebody has come by them."""
        others = (self.through, self.hole, self.own6, *self.dials)
        return [endpoint for endpoint in others if endpoint]

    def _is_doubtful(self, endpoint: Endpoint) -> bool:
        """Whether a look from outside failed there, or it is the router's and a second router, or
        the provider's, is in front of it.
        """
        if self.outside.get((endpoint.host, endpoint.port)) is False:
            return True
        return endpoint.kind == "router" and self._double_nat is not None

    @property
    def outermost(self) -> Mapping | None:
        return outermost(self.mapping, self.second)

    @property
    def _double_nat(self) -> Problem | None:
        return double_nat(self.mapping, self.second, self.second_failed)

    def _through(self, kind: Kind, held: Mapping | None) -> Iterator[Endpoint]:
        if held and held.external_host:
            seen = self.seen.get(held.id)
            yield Endpoint(kind, held.external_host, held.external_port, held.protocol, seen)

    def _as_seen_outside(self, endpoint: Endpoint) -> Endpoint:
        seen = self.outside.get((endpoint.host, endpoint.port))
        if seen is False:
            return replace(endpoint, verified=None)
        return (
            replace(endpoint, verified="outside")
            if seen and endpoint.verified != "guest"
            else endpoint
        )

    def reachability(self, error: PairingError | None) -> Reachability:
        """Return from where guests can certainly enter. `error` is the mapping's.

        Behind a second router the internet is unverified.
        """
        held = [
            mapping
            for mapping in (self.outermost, self.pinhole)
            if mapping and mapping.external_host
        ]
        if (
            self.relay
            or (self.direct and not self._is_dark(self.direct))
            or any(self._as_seen_outside(endpoint).verified for endpoint in self._others)
            or (self.by_hand and self.outside.get(self.by_hand, self.witnessed is not None))
            or any(
                is_public(mapping.external_host) and not self._is_unproven(mapping)
                for mapping in held
            )
        ):
            return "internet"
        behind_another = error is not None and error.code == "double-nat"
        unproven = held or self.direct or self.by_hand or self._others or behind_another
        return "unverified" if unproven else "lan"

    def problems(self) -> list[Problem]:
        """Return what may keep guests on the internet out although the router granted a mapping."""
        held = self.outermost
        unlisted = _unlisted(held) if held and held.unshown and self._is_unproven(held) else None
        unsteady = _unsteady(held) if held and self.unsteady else None
        behind = _behind_hole(self.hole) if self.hole else self._double_nat
        problems = (behind, _no_external_address(held), unlisted, unsteady)
        return [problem for problem in problems if problem]

    def _is_unproven(self, held: Mapping) -> bool:
        """Whether a look from outside failed there; or there is no evidence, and the router does
        not list it or keeps losing it.
        """
        place = (held.external_host, held.external_port)
        if place in self.outside:
            return not self.outside[place]
        kept_being_lost = self.unsteady and held == self.outermost
        return (held.unshown or kept_being_lost) and held.id not in self.seen

    def _is_dark(self, host: str) -> bool:
        """Whether a look from outside failed at this machine's own address."""
        return any(place[0] == host and not seen for place, seen in self.outside.items())


def leads_straight(kind: str, host: str) -> bool:
    """Whether such an endpoint may lead from the whole internet to the door itself."""
    return kind not in _NOT_STRAIGHT and may_be_public(host)


def shared_address(endpoints: Sequence[Endpoint]) -> HostPort:
    """Return the address in the guests' command: the hole's before the router's, else that of the
    best endpoint for all.
    """
    common = [endpoint for endpoint in endpoints if not endpoint.guest]
    kinds = ("cgnat", "router")
    ranked = (endpoint for kind in kinds for endpoint in common if endpoint.kind == kind)
    best = next(ranked, common[0])
    return HostPort(best.host, best.port)


def ssh_command(user: str, host: str, port: int, *options: str, proxy: str = "") -> str:
    """Return the guest's command. ssh takes the text after the last @ as the host. A `proxy` has
    host and port in itself.
    """
    port_options = () if port == _SSH_PORT or proxy else ("-p", str(port))
    proxy_options = f" -o ProxyCommand={shell(proxy)}" if proxy else ""
    return f"{shell('ssh', *options)}{proxy_options} {shell(*port_options, f'{user}@{host}')}"


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


def other_port(session: Session | None, held: Mapping | None) -> Problem | None:
    """For a host who has chosen the external port."""
    if session is None or not session.port_chosen or held is None:
        return None
    if held.external_port == session.external_port:
        return None
    return Problem(
        "other-port",
        f"the router refuses port {session.external_port}; "
        f"guests connect to port {held.external_port}",
        "to use another port: pairctl end, then pairctl invite with another --port",
    )


def relay_slow() -> Problem:
    return Problem(
        "relay-slow",
        "the relay does not lead to the door yet; pairingd keeps trying",
        "pairingd announces the command when it does; see: pairctl status",
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
        f"the router reports that it forwards port {held.external_port}, but does not list it "
        "as enabled",
        "if the guest cannot enter, forward the port in the router by hand, or set "
        "[router] allow_permanent = true",
    )
