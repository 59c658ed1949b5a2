"""Opens a test port on the router as an invitation would, checks it, and closes it again.

Does the same on the second router, if an invitation would.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from pairingd import gateways
from pairingd.core.addresses import is_inside
from pairingd.core.advice import Routers
from pairingd.core.durations import format_duration
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.ports import DYNAMIC_PORTS
from pairingd.core.records import replace
from pairingd.doctor.finding import Finding, State
from pairingd.errors import GatewayError
from pairingd.home import config, values
from pairingd.reconcile.mapping.second import gateway_of, not_opened
from pairingd.world import network
from pairingd.world.gateway.router import Router

NextHop = Callable[[str], Awaitable[str]]

_LEASE = values.Duration(120)  # if this process is killed in between, the port expires


class _Journal:
    """A journal in memory. This process closes all its entries before it ends."""

    def __init__(self) -> None:
        self.entries: dict[str, Mapping] = {}
        self.verdict: bool | None = None

    def record(self, mapping: Mapping) -> None:
        self.entries[mapping.id] = mapping

    def honours(self, network: str) -> bool | None:  # noqa: ARG002 - requests no port of a server
        return self.verdict

    def judge(self, network: str, *, honours: bool) -> None:  # noqa: ARG002 - this run has one
        self.verdict = honours

    def erase(self, mapping_id: str) -> None:
        self.entries.pop(mapping_id, None)


class DryRun(Struct, frozen=True):
    """The finding, and the outcome for each router."""

    finding: Finding
    routers: Routers


async def check(
    where: Network, router_config: config.Router, next_hop: NextHop = network.second_hop
) -> DryRun:
    """Nothing listens behind the port. Never requests a mapping without an end."""
    settings = replace(router_config, lease=_LEASE, allow_permanent=False)
    first, second = _Asking(settings), _Asking(settings.of_second())
    # Bound but not listening, so that no other program gets the port.
    with socket.socket() as inside:
        inside.bind((where.address, 0))
        try:
            done = await _opened(first.router, where, inside.getsockname()[1])
            first_mapping = done.routers.first
            if (
                first_mapping
                and is_inside(first_mapping.external_host)
                and router_config.asks_second
            ):
                done = await _opened_beyond(
                    second.router, where, first_mapping, settings, next_hop, done
                )
        finally:
            left = [*await second.closed(), *await first.closed()]
    kept = next((error for error in left if error), None)
    return replace(done, finding=Finding.of("dry-run", kept, State.FAIL)) if kept else done


class _Asking:
    """One router, and the ports opened on it."""

    def __init__(self, settings: config.Router) -> None:
        self._journal = _Journal()
        self.router = Router(
            settings, self._journal, time.time, high_port=lambda _network: _any_port()
        )

    async def closed(self) -> list[GatewayError | None]:
        entries = list(self._journal.entries.values())
        return [await _closed(self.router, entry) for entry in entries]


async def _opened(router: Router, where: Network, inside: int) -> DryRun:
    try:
        began = time.monotonic()
        mapping = await router.open(where, internal_port=inside, external_port=_any_port())
        seconds = time.monotonic() - began
        seen = await router.check(mapping)
    except GatewayError as error:
        return DryRun(Finding.of("dry-run", error, State.WARN), Routers(error=error))
    lease = format_duration((mapping.granted_until or 0) - time.time())
    title = gateways.named(mapping.protocol).title
    opened = f"{title} opened port {mapping.external_port} in {seconds:.1f} s"
    if seen is Presence.ABSENT:
        lost = f"{opened}, and the mapping was gone at once"
        remedy = "update the router's firmware, or forward by hand"
        lied = GatewayError("router-lied", lost, remedy)
        return DryRun(Finding.of("dry-run", lied, State.WARN), Routers(error=lied))
    finding = Finding.ok("dry-run", f"{opened} (lease {lease}), and closed it")
    return DryRun(finding, Routers(first=mapping))


async def _opened_beyond(
    router: Router,
    where: Network,
    first_mapping: Mapping,
    settings: config.Router,
    next_hop: NextHop,
    done: DryRun,
) -> DryRun:
    """`done`, with the outcome for the second router."""
    beyond, gateway = replace(where, behind=first_mapping.external_host), ""
    try:
        gateway = await gateway_of(beyond, settings.second, next_hop)
        second = await router.open(
            replace(beyond, gateway=gateway),
            internal_port=first_mapping.external_port,
            external_port=_any_port(),
        )
    except GatewayError as error:
        failed = not_opened(gateway, [error])
        return replace(done, routers=replace(done.routers, second_failed=failed))
    return replace(done, routers=replace(done.routers, second=second))


async def _closed(router: Router, mapping: Mapping) -> GatewayError | None:
    try:
        await router.close(mapping)
    except GatewayError as error:
        return error
    return None


def _any_port() -> int:
    return secrets.choice(DYNAMIC_PORTS)
