"""Each way by which guests on the internet could enter: whether it works, or why not, and what the
host could do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from pairingd.core.addresses import is_inside, is_public, is_shared
from pairingd.core.double_nat import NotOpened, double_nat
from pairingd.core.model import Mapping, Problem
from pairingd.core.ports import at_port
from pairingd.core.refusal import PairingError


class Outcome(StrEnum):
    WORKS = "works"  # as far as can be known from here
    UNPROVEN = "unproven"
    FAILED = "failed"
    UNTRIED = "not tried"


class Attempt(Struct, frozen=True):
    """`reason` is a fact in one line. `remedy` is what the host could do, "" if nothing helps."""

    way: str
    outcome: Outcome
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.way}: {self.outcome}: {self.reason}"


class Routers(Struct, frozen=True):
    """The routers' replies. `used`: pairingd asks routers; `asks_second`: the second one, too.
    `warning`: why the first mapping may not work, though it is on the internet.
    """

    used: bool = True
    first: Mapping | None = None
    error: PairingError | None = None
    warning: Problem | None = None
    asks_second: bool = True
    second: Mapping | None = None
    second_failed: NotOpened | None = None


def own_address(address: str) -> Attempt:
    """`address` is this machine's own, as source to the internet; "" if it has none."""
    way = "own address"
    if is_public(address):
        return Attempt(way, Outcome.WORKS, f"{address} is public")
    reason = f"{address} is not public" if address else "this machine has no IPv4 address"
    return Attempt(way, Outcome.UNTRIED, reason)


def by_hand(host: str, port: int, *, proven: bool) -> Attempt:
    """A port that the user has forwarded."""
    endpoint = at_port(host, port)
    if proven:
        return Attempt("by hand", Outcome.WORKS, f"somebody has reached the door by {endpoint}")
    return Attempt(
        "by hand",
        Outcome.UNPROVEN,
        f"nobody on the internet has reached the door by {endpoint}",
        f"check in the router that it forwards port {port} to the door's port of this machine",
    )


def of_routers(routers: Routers) -> tuple[Attempt, Attempt]:
    """The first router, and the second or the provider's server."""
    return _first(routers), _second(routers)


def _first(routers: Routers) -> Attempt:
    way = "router"
    if not routers.used:
        return Attempt(way, Outcome.UNTRIED, "[router] enabled = false")
    if routers.first is None:
        if routers.error is None:
            return Attempt(way, Outcome.UNTRIED, "it has not answered yet")
        return Attempt(way, Outcome.FAILED, routers.error.message, routers.error.hint)
    held = routers.first
    opened = f"{held.gateway} forwards its port {held.external_port}"
    if routers.warning:
        return Attempt(way, Outcome.UNPROVEN, routers.warning.message, routers.warning.hint)
    if double_nat(held):
        inside = f"{opened}, but its address {held.external_host} is not on the internet"
        return Attempt(way, Outcome.UNPROVEN, inside)
    return Attempt(way, Outcome.WORKS, f"{opened}, at {held.external_host}")


def _second(routers: Routers) -> Attempt:
    first, second = routers.first, routers.second
    shared = first is not None and is_shared(first.external_host)
    way = "provider's PCP server" if shared else "second router"
    if first is None:
        return Attempt(way, Outcome.UNTRIED, "the first router has opened no port to forward to")
    problem = double_nat(first, second, routers.second_failed)
    if problem is None:
        if second is None:
            return Attempt(way, Outcome.UNTRIED, "not needed")
        opened = f"{second.gateway} forwards its port {second.external_port}"
        return Attempt(way, Outcome.WORKS, f"{opened}, at {second.external_host}")
    if second is None and routers.second_failed is None:
        if not routers.asks_second:
            reason = '[router] second_gateway = "off", or a [router.command] opens the port'
            return Attempt(way, Outcome.UNTRIED, reason, problem.hint)
        return Attempt(way, Outcome.UNTRIED, "it has not answered yet", problem.hint)
    return Attempt(way, Outcome.FAILED, problem.message, problem.hint)


def pinhole(
    held: Mapping | None, error: PairingError | None, *, enabled: bool, address: str = ""
) -> Attempt:
    """A port of this machine's stable IPv6 `address`, opened in the router's firewall."""
    way = "IPv6"
    if held:
        where = f"port {held.external_port} of {held.external_host}"
        return Attempt(way, Outcome.WORKS, f"the router lets {where} through, for guests with IPv6")
    if error:
        return Attempt(way, Outcome.FAILED, error.message)
    if not enabled:
        return Attempt(way, Outcome.UNTRIED, "[router] names a router for IPv4, or none")
    reason = "it has not answered yet" if address else "this machine has no lasting IPv6 address"
    return Attempt(way, Outcome.UNTRIED, reason)


def relay(error: PairingError | None, *, configured: bool, proven: bool | None) -> Attempt:
    """`proven` None: it is not connected."""
    if not configured:
        remedy = 'an account with ssh somewhere will do: [relay] ssh = "me@host", join = "auto"'
        return Attempt("relay", Outcome.UNTRIED, "none is configured", remedy)
    if error:
        return Attempt("relay", Outcome.FAILED, error.message, error.hint)
    if proven is None:
        return Attempt("relay", Outcome.UNTRIED, "it is asked while somebody is invited")
    if not proven:
        return Attempt("relay", Outcome.UNPROVEN, "it stands, and the door was not seen there")
    return Attempt("relay", Outcome.WORKS, "the door was seen there")


def hole(server: str, first: Mapping | None, *, proven: bool | None) -> Attempt:
    """In the provider's NAT, kept open by a connection to the STUN `server`, "" for none.

    `first` is the first router's mapping; `proven` None: there is no hole.
    """
    way = "hole in the provider's NAT"
    if proven:
        return Attempt(way, Outcome.WORKS, "somebody on the internet has reached the door by it")
    if proven is not None:
        return Attempt(way, Outcome.UNPROVEN, "nobody has come by it yet")
    if first is None or not is_inside(first.external_host):
        return Attempt(way, Outcome.UNTRIED, "no router forwards a port behind another NAT")
    if server:
        return Attempt(way, Outcome.UNTRIED, f"the STUN server {server} has not answered yet")
    return Attempt(way, Outcome.UNTRIED, "no [cgnat] stun server is configured")


def dial(*, proven: bool | None) -> Attempt:
    """`proven` None: no guest is invited `--from` an address."""
    way = "dial"
    if proven is None:
        remedy = "pairctl invite GUEST --from ADDRESS, which the guest enters with nc"
        return Attempt(way, Outcome.UNTRIED, "no guest is invited --from an address", remedy)
    if not proven:
        reason = "no guest who is dialed has come yet"
        return Attempt(way, Outcome.UNPROVEN, reason, "have the guest connect")
    return Attempt(way, Outcome.WORKS, "a guest who is dialed has come")


def next_step(attempts: Iterable[Attempt]) -> str:
    """Return what the host could do next: first what fixes a way that was tried."""
    helpful = [attempt for attempt in attempts if attempt.remedy]
    tried = [attempt for attempt in helpful if attempt.outcome is not Outcome.UNTRIED]
    return (tried or helpful)[0].remedy if helpful else ""


def unverified(attempts: Sequence[Attempt]) -> Problem:
    """The warning while nothing shows that guests on the internet can get in."""
    return Problem(
        "unverified",
        "nothing shows yet that guests on the internet can connect",
        f"to try next: {next_step(attempts) or 'have the guest connect'}",
    )
