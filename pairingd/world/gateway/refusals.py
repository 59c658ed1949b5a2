"""A gateway's refusals: their texts, and what may be tried after each of them."""

from __future__ import annotations

from collections.abc import Sequence

from pairingd.core.addresses import parse_address
from pairingd.core.network import Network
from pairingd.errors import GatewayError

NO_CODE = 1 << 40  # of a refusal without a code of its protocol; no router's has as many digits
SAME_PORT_HINT = (
    "forward the port there by hand; or set [door] port, and invite with the same --port"
)

# The adapters promise that these leave nothing on the router.
NOTHING_MADE = frozenset(
    {
        "double-nat",
        "no-gateway",
        "local-network-denied",
        "not-permitted",
        "permanent-only",
        "port-occupied",
        "port-taken",
        "same-port-only",
    }
)


def nothing_made(error: GatewayError) -> GatewayError:
    """Mark an error with any code: nothing of ours is on the router."""
    error.made = False
    return error


def may_be_made(error: GatewayError) -> GatewayError:
    """Mark an error with any code: a mapping of ours may be on the router."""
    error.made = True
    return error


def may_have_made(error: GatewayError) -> bool:
    return error.code not in NOTHING_MADE if error.made is None else error.made


# After these pairingd requests nothing more of the gateway until it answers again.
NO_ANSWER = frozenset({"router-silent", "local-network-denied"})

# After these another port may do; after the others this protocol is of no use here.
PORT_MATTERS = frozenset(
    {"port-taken", "port-occupied", "not-permitted", "same-port-only", "router-failed"}
)
_MOST_TELLING = (
    "local-network-denied",
    "double-nat",
    "router-lied",
    "permanent-only",
    "not-permitted",
    "same-port-only",
    "port-taken",
    "router-failed",
    "router-silent",
    "no-gateway",
    "port-occupied",  # our own, of one port: any answer for another port tells more
)


_NOBODY = "no router answered that could open a port"


def most_telling(refusals: Sequence[GatewayError]) -> GatewayError:
    def rank(refusal: GatewayError) -> tuple[int, bool]:
        known = refusal.code in _MOST_TELLING
        place = _MOST_TELLING.index(refusal.code) if known else len(_MOST_TELLING)
        return place, refusal.message == _NOBODY

    return min(refusals, key=rank, default=no_gateway())


def no_gateway() -> GatewayError:
    return GatewayError(
        "no-gateway",
        _NOBODY,
        "switch on UPnP (or PCP, NAT-PMP) in the router, forward the port there by hand, or set up "
        "a [relay]",
    )


def door_elsewhere(network: Network | None, door_address: str) -> GatewayError | None:
    """The problem if the door does not listen at our address in `network`."""
    if network is None or not network.gateway or not door_address:
        return None
    if parse_address(door_address) == parse_address(network.address):
        return None
    return GatewayError(
        "no-gateway",
        f"the router can forward to {network.address} only, and the door listens at {door_address}",
        'set [door] address = "" or that address in config.toml, then: pairctl restart',
    )


def search_unwanted() -> GatewayError:
    return GatewayError(
        "search-unwanted",
        "UPnP is not in use, so a search is of no use",
        'set [router] enabled = true, and add "upnp" to its protocols',
    )


def silent(gateway: str, protocol: str = "") -> GatewayError:
    to = f" to {protocol}" if protocol else ""
    return GatewayError(
        "router-silent",
        f"the router {gateway} does not answer{to}",
        "it may be restarting; guests may be unable to connect until it answers",
    )


def silent_upnp() -> GatewayError:
    return GatewayError(
        "router-silent",
        "the router stopped answering to UPnP",
        "while a guest is invited pairingd tries again by itself; restart the router if this lasts",
    )


def silently_replaced(port: int) -> GatewayError:
    return GatewayError(
        "port-taken",
        f"the router gave another port instead of {port}",
        "choose another port with --port",
    )


def dropped(remedy: str = "update the router's firmware") -> GatewayError:
    return GatewayError(
        "router-lied",
        "the router reports success and drops the mapping at once",
        f"{remedy}, or forward the port there by hand",
    )


def too_short(lifetime: int) -> GatewayError:
    return GatewayError(
        "router-lied",
        f"the router grants a mapping for {lifetime} s, too short to renew it",
        "update the router's firmware, or forward the port there by hand",
    )


def occupied(port: int) -> GatewayError:
    return GatewayError(
        "port-occupied",
        f"another server of this machine listens at port {port}, and a router that ignores the "
        "internal port would expose it",
        "choose another port with --port",
    )


def lied_before(gateway: str) -> GatewayError:
    return GatewayError(
        "router-lied",
        f"the router {gateway} was seen to forward to another port than requested, so pairingd "
        "requests no port of it",
        SAME_PORT_HINT,
    )


def port_taken(port: int, reason: str) -> GatewayError:
    return GatewayError(
        "port-taken",
        f"the router cannot give external port {port} ({reason})",
        "choose another port with --port",
    )


def not_permitted(port: int, reason: str) -> GatewayError:
    return GatewayError(
        "not-permitted",
        f"the router does not let this machine open or close port {port} ({reason})",
        "allow this device to open ports in the router's settings, or choose a high --port",
    )


def failed(port: int, reason: str) -> GatewayError:
    return GatewayError(
        "router-failed",
        f"the router failed to change port {port} ({reason})",
        "restart the router, or forward the port there by hand",
    )


def not_spoken(protocol: str) -> GatewayError:
    return GatewayError(
        "no-gateway",
        f"the router does not speak {protocol}",
        "switch on UPnP (or PCP, NAT-PMP) in the router, or forward the port there by hand",
    )


def still_there(port: int) -> GatewayError:
    return GatewayError(
        "router-lied",
        f"the router keeps the mapping of port {port} after a request to delete it",
        "delete it in the router's settings",
    )


def unreadable() -> GatewayError:
    return GatewayError(
        "router-failed",
        "the router's answer could not be read",
        "restart the router; if that does not help, forward the port there by hand",
    )
