"""Where the second router is, where the first one's outside address is inside a home.

Nothing beyond the home is asked: the second router is the next hop of our own traffic after the
first, at a private address of the block that the first one's is in; or the configuration names it.
Where the provider shares its addresses (RFC 6598) its own server is asked, at the anycast address.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from pairingd import config, gateways, interfaces
from pairingd.core.addresses import home_block, is_inside, is_shared
from pairingd.core.double_nat import NotOpened
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.errors import GatewayError
from pairingd.world.gateway.refusals import NO_ANSWER, most_telling

_HOP_HOLDS_S = 600.0


class Second:
    """`locate` says where we are, and has `first` know it: what the first router forwards to the
    door. `journaled` is what may be on any router. `next_hop` is the address of the hop after that
    gateway; "" where it does not show itself.
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
        self._known: tuple[Network, Network, float] | None = None  # found there, and until when

    def port(self) -> int | None:
        """What a second router is to forward to: the first one's port."""
        held = self._inside()
        return held.external_port if held else None

    async def locate(self) -> Network | None:
        """The second router, as the gateway of a network of its own; None where none is needed.

        Raises GatewayError `no-gateway`, and as `locate` does.
        """
        here = await self._locate()
        if here is None or not here.gateway:
            return None
        held = self._inside()
        if held is None:
            return self._left(here)
        there = replace(here, behind=held.external_host)
        if self._known and self._known[0] == there and self._steady() < self._known[2]:
            return self._known[1]
        found = replace(there, gateway=await gateway_of(there, self._named, self._next_hop))
        self._known = there, found, self._steady() + _HOP_HOLDS_S
        return found

    def _inside(self) -> Mapping | None:
        """What the first router forwards, where another one is in front of it."""
        held = self._first()
        return held if held and is_inside(held.external_host) else None

    def _left(self, here: Network) -> Network | None:
        """Where there is something to close in front of this network's router."""
        for entry in self._journaled():
            there = Network.of(entry.network)
            if there.behind and replace(there, gateway=here.gateway, behind="") == here:
                return there
        return None


def not_opened(gateway: str, failures: Sequence[GatewayError]) -> NotOpened:
    """Why there is no port on the second router. One that has refused may be too busy with that to
    answer to the next request.
    """
    error = most_telling(failures)
    return NotOpened(gateway, error.code in NO_ANSWER | {"no-gateway"}, error)


async def gateway_of(there: Network, named: str, next_hop: Callable[[str], Awaitable[str]]) -> str:
    """The second router in front of `there.gateway`, whose outside address is `there.behind`.

    Raises GatewayError `no-gateway`.
    """
    if is_shared(there.behind) and not named:
        return gateways.ANYCAST[0]
    found = named or await next_hop(there.gateway)
    if not found:
        raise _nobody(f"the router in front of {there.gateway} does not show its address")
    # By a forged answer a neighbour could pose as the hop after our gateway.
    near = found == there.gateway or (not named and interfaces.on_link(found, there.address))
    if near or not (named or home_block(found) == home_block(there.behind)):
        raise _nobody(f"{found} is not a router of your home in front of {there.gateway}")
    return found


def _nobody(what: str) -> GatewayError:
    return GatewayError("no-gateway", what, "if it is yours, name it: [router] second_gateway")
