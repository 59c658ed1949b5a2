"""Every parser of bytes that somebody else chose, with what it promises."""

from __future__ import annotations

from tests.fuzz.engine import Target
from tests.fuzz.targets import forge, gateway, guests, host, outgoing, upnp

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *forge.TARGETS,
        *guests.TARGETS,
        *host.TARGETS,
        *gateway.TARGETS,
        *outgoing.TARGETS,
        *upnp.TARGETS,
    )
}
