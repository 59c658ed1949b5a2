"""The ports that routers forward, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.text.layout import ROOM, wrapped
from pairctl.text.times import clock
from pairingd import gateways
from pairingd.core.ports import at_port

if TYPE_CHECKING:
    from pairctl.text.output import View
    from pairingd.protocol.results import Endpoint, MappingInfo, Problem, Status

_NO_PORT = "no port opened"
_DISABLED = "disabled by [router] enabled = false"


def router(reply: Status, view: View) -> list[str]:
    if reply["mapping"]:
        second = reply.get("second_mapping")
        of_second = _second(second, view) if second else []
        return _mapping(reply["mapping"], reply["warnings"], view) + of_second
    states = {invitation["state"] for invitation in reply["invitations"]}
    if "live" not in states:
        scheduled = "scheduled" in states
        return ["not needed yet" if scheduled else "not needed (nobody is invited)"]
    # With an open door the router is asked, unless it is disabled.
    return forward(reply["endpoints"], _DISABLED if reply["door"]["open"] else _NO_PORT)


def forward(endpoints: list[Endpoint], none: str = _NO_PORT) -> list[str]:
    routers = [endpoint for endpoint in endpoints if endpoint["kind"] == "router"]
    return [
        f"{at_port(endpoint['host'], endpoint['port'])}, {_protocol(endpoint['protocol'])}"
        for endpoint in routers
    ] or [none]


def _protocol(protocol: str | None) -> str:
    return gateways.named(protocol).title if protocol else "by hand"


def _second(mapping: MappingInfo, view: View) -> list[str]:
    """Without the error, which is among the warnings."""
    match mapping["state"]:
        case "open":
            return _mapping(mapping, [], view, "of the first router")
        case "opening":
            return ["requesting a port of the second router"]
        case _:
            return [view.bad("no port opened on the second router")]


def _mapping(
    mapping: MappingInfo, warnings: list[Problem], view: View, where: str = "here"
) -> list[str]:
    """Omits the error if it is among the warnings."""
    if mapping["state"] == "opening":
        return ["requesting a port"]
    if mapping["state"] == "failed":
        error = mapping["error"]
        if error is None or error in warnings:
            return [view.bad(_NO_PORT)]
        return [
            *wrapped(view.bad("failed: "), error["message"], ROOM),
            view.dim("hint: ") + error["hint"],
        ]
    host, port = mapping["external_host"], mapping["external_port"] or 0
    place = at_port(host, port) if host else f"port {port} (no address)"
    line = f"{place} to port {mapping['internal_port']} {where}, {_protocol(mapping['protocol'])}"
    if mapping["expires_at"]:
        line += f", leased until {clock(mapping['expires_at'], view.now)}"
    return [line] if len(line) <= ROOM else wrapped("", line, ROOM)
