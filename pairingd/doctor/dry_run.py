"""A test port on the router, opened as an invitation would open it, seen, and closed again."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import replace

from pairingd import config, values
from pairingd.core.durations import format_duration
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.doctor.finding import Finding, State
from pairingd.errors import GatewayError
from pairingd.world.gateway.router import Router

_LEASE = values.Duration(120)  # should this process be killed in between, the router forgets
_PORTS = range(49152, 65536)  # RFC 6335 §6


class _Journal:
    """For as long as this process lives, which closes all that is in it."""

    def __init__(self) -> None:
        self.entries: dict[str, Mapping] = {}
        self.verdict: bool | None = None

    def record(self, mapping: Mapping) -> None:
        self.entries[mapping.id] = mapping

    def honours(self, network: str) -> bool | None:  # noqa: ARG002 - no port of a server is asked for
        return self.verdict

    def judge(self, network: str, *, honours: bool) -> None:  # noqa: ARG002 - this run has one
        self.verdict = honours

    def erase(self, mapping_id: str) -> None:
        self.entries.pop(mapping_id, None)


async def check(where: Network, wanted: config.Router) -> Finding:
    """Nothing listens behind the port, and a mapping without an end is never asked for."""
    settings = replace(wanted, lease=_LEASE, allow_permanent=False)
    journal = _Journal()
    router = Router(settings, journal, time.time, high_port=lambda _network: _any_port())
    # Bound and not listening: no other program gets the port meanwhile.
    with socket.socket() as inside:
        inside.bind((where.address, 0))
        try:
            finding = await _opened(router, where, inside.getsockname()[1])
        finally:
            left = [await _closed(router, mapping) for mapping in list(journal.entries.values())]
    kept = next((error for error in left if error), None)
    return Finding.of("dry-run", kept, State.FAIL) if kept else finding


async def _opened(router: Router, where: Network, inside: int) -> Finding:
    try:
        began = time.monotonic()
        mapping = await router.open(where, internal_port=inside, external_port=_any_port())
        seconds = time.monotonic() - began
        seen = await router.check(mapping)
    except GatewayError as error:
        return Finding.of("dry-run", error, State.WARN)
    lease = format_duration((mapping.granted_until or 0) - time.time())
    opened = f"{mapping.protocol} opened port {mapping.external_port} in {seconds:.1f} s"
    if seen is Presence.ABSENT:
        lost = f"{opened}, and the mapping was gone at once"
        return Finding.warn("dry-run", lost, "update the router's firmware, or forward by hand")
    return Finding.ok("dry-run", f"{opened} (lease {lease}), and closed it")


async def _closed(router: Router, mapping: Mapping) -> GatewayError | None:
    try:
        await router.close(mapping)
    except GatewayError as error:
        return error
    return None


def _any_port() -> int:
    return secrets.choice(_PORTS)
