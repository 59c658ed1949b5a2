"""Finds the second router, if the first one's external address is not a public one.

pairingd asks nothing beyond the home: the second router is the next hop of our own traffic after
the first, at a private address of the block that the first one's is in; or the configuration names
it. If the provider shares its addresses (RFC 6598), pairingd asks its server at the anycast
address.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from pairingd import gateways
from pairingd.core.addresses import home_block, is_inside, is_shared
from pairingd.core.double_nat import NotOpened
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.machine import interfaces
from pairingd.world.gateway.refusals import NO_ANSWER, most_telling

_HOP_VALID_S = 600.0


class Second:
    """`locate` returns our network, and updates `first`: what the first router forwards to the
    door. `journaled` returns what may be on any router. `next_hop` returns the address of the hop
    after that gateway; "" if it does not answer.
    """

    def __init__(
        self,
        router: config.Router,
        locate: Callable[[], Awaitable[Network | None]],
        first: Callable[[], Mapping | None],
        journaled: Callable[[], Sequence[Mapping]],
        next_hop: Callable[[str], Awaitable[str]],
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._named = router.second
        self._locate = locate
        self._first = first
        self._journaled = journaled
        self._next_hop = next_hop
        self._steady = steady
        self._known: tuple[Network, Network, float] | None = None  # of the second, until when

    def port(self) -> int | None:
        """The first router's port, to which a second one is to forward."""
        held = self._inside()
        return held.external_port if held else None

    async def locate(self) -> Network | None:
        """The second router, as the gateway of a network of its own; None where none is needed.

        Raises GatewayError `no-gateway`, and as `locate` does.
        """
        network = await self._locate()
        if network is None or not network.gateway:
            return None
        held = self._inside()
        if held is None:
            return self._leftover(network)
        outer = replace(network, behind=held.external_host)
        if self._known and self._known[0] == outer and self._steady() < self._known[2]:
            return self._known[1]
        second = replace(outer, gateway=await gateway_of(outer, self._named, self._next_hop))
        self._known = outer, second, self._steady() + _HOP_VALID_S
        return second

    def _inside(self) -> Mapping | None:
        """What the first router forwards, if another one is in front of it."""
        held = self._first()
        return held if held and is_inside(held.external_host) else None

    def _leftover(self, network: Network) -> Network | None:
        """The network in front of this one's router, if there is something to close."""
        for entry in self._journaled():
            outer = Network.of(entry.network)
            if outer.behind and replace(outer, gateway=network.gateway, behind="") == network:
                return outer
        return None


def not_opened(gateway: str, failures: Sequence[GatewayError]) -> NotOpened:
    """Why there is no port on the second router. After a refusal it may be too busy to answer the
    next request.
    """
    error = most_telling(failures)
    return NotOpened(gateway, error.code in NO_ANSWER | {"no-gateway"}, error)


async def gateway_of(outer: Network, named: str, next_hop: Callable[[str], Awaitable[str]]) -> str:
    """The second router in front of `outer.gateway`, whose outside address is `outer.behind`.

    Raises GatewayError `no-gateway`.
    """
    if is_shared(outer.behind) and not named:
        return gateways.ANYCAST[0]
    gateway = named or await next_hop(outer.gateway)
    if not gateway:
        raise _no_gateway(f"the router in front of {outer.gateway} does not show its address")
    # With a forged answer a neighbour could pose as the hop after our gateway.
    near = gateway == outer.gateway or (not named and interfaces.on_link(gateway, outer.address))
    if near or not (named or home_block(gateway) == home_block(outer.behind)):
        raise _no_gateway(f"{gateway} is not a router of your home in front of {outer.gateway}")
    return gateway


def _no_gateway(message: str) -> GatewayError:
    return GatewayError("no-gateway", message, "if it is yours, name it: [router] second_gateway")
