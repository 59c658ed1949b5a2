"""Who owns a row of a router's table, and where it leads.

Some routers change what they show of a mapping: its description, its client (a host name, 0.0.0.0),
its ports. So a row is ours if its description has the token, if it is as shown when the mapping was
made, or if the port was free when it was requested for our internal port.
"""

from __future__ import annotations

import re

from pairingd.core.addresses import parse_address
from pairingd.core.model import Mapping
from pairingd.core.records import replace
from pairingd.world.gateway.upnp.actions import TCP, Forward

_DESCRIPTION = re.compile(r"pairingd[0-9a-f]{8}")


def requested(mapping: Mapping, lease: int) -> Forward:
    return Forward(
        external_port=mapping.external_port,
        protocol=TCP,
        client=mapping.internal_host,
        internal_port=mapping.internal_port,
        description=_token(mapping),
        lease=lease,
    )


def on_a_free_port(mapping: Mapping) -> Mapping:
    """Journal this before the request: a row there for our port afterwards is ours."""
    return _with(mapping, free="yes")


def never_read(mapping: Mapping) -> bool:
    """Whether it was requested on a free port, and its row was not seen since."""
    handle = dict(mapping.handle)
    return "free" in handle and "description" not in handle


def as_shown(mapping: Mapping, row: Forward) -> Mapping:
    """Journal this after the request, to recognise the row later."""
    return _with(
        mapping, client=row.client, port=str(row.internal_port), description=row.description
    )


def has_token(row: Forward, mapping: Mapping) -> bool:
    return row.description == _token(mapping)


def is_ours(row: Forward, mapping: Mapping) -> bool:
    handle = dict(mapping.handle)
    if has_token(row, mapping):
        return True
    if "description" in handle:
        client = handle.get("client", mapping.internal_host)
        port = handle.get("port", str(mapping.internal_port))
        if (client, port, handle["description"]) == (
            row.client,
            str(row.internal_port),
            row.description,
        ):
            return True
    to_our_port = "free" in handle and row.internal_port == mapping.internal_port
    return to_our_port and not _is_elsewhere(row, mapping)


def is_made(row: Forward, mapping: Mapping, *, granted: bool) -> bool:
    """Whether a row is the requested one, right after the request, on a port that was free.

    Another machine may have been quicker: then the router has not `granted` the request.
    """
    to_our_port = granted and row.internal_port == mapping.internal_port
    return to_our_port or is_ours(row, mapping) or not _is_elsewhere(row, mapping)


def is_right(row: Forward, mapping: Mapping) -> bool:
    """Whether it leads to the door, as far as the router shows."""
    return row.internal_port == mapping.internal_port and not _is_elsewhere(row, mapping)


def may_be_left_over(row: Forward, address: str) -> bool:
    """Whether a daemon of this machine made it, perhaps one that uses it now."""
    return row.client == address and _DESCRIPTION.fullmatch(row.description) is not None


def _is_elsewhere(row: Forward, mapping: Mapping) -> bool:
    """Whether the client is another machine; some routers show a host name, or 0.0.0.0."""
    client = parse_address(row.client)
    return client is not None and not client.is_unspecified and str(client) != mapping.internal_host


def _token(mapping: Mapping) -> str:
    return f"pairingd{mapping.token[:8]}"


def _with(mapping: Mapping, **more: str) -> Mapping:
    return replace(mapping, handle=tuple((dict(mapping.handle) | more).items()))
