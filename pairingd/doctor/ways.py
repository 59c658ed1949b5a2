"""The whole decision: each way by which guests on the internet could get in, tried or why not."""

from __future__ import annotations

import time

from pairingd import config
from pairingd.core import advice
from pairingd.core.advice import Attempt, Outcome, Routers
from pairingd.core.network import Network
from pairingd.doctor.finding import Finding
from pairingd.errors import GatewayError
from pairingd.world import network
from pairingd.world.gateway.adapter import Tools, pinhole_adapters
from pairingd.world.gateway.pxp.datagrams import Datagrams


async def check(chosen: config.Config, asked: Routers) -> Finding:
    """`asked` is what came of a test port."""
    router = chosen.router
    attempts = [advice.own_address(network.lan_address() or "")]
    if not router.enabled and router.external_host:
        port = router.external_port
        attempts.append(advice.by_hand(router.external_host, port, proven=False))
    else:
        attempts += advice.of_routers(asked)
    attempts.append(await _ipv6(router))
    configured = bool(chosen.relay.ssh or chosen.relay.command.run)
    attempts.append(advice.relay(None, configured=configured, proven=None))
    attempts.append(advice.hole(chosen.cgnat.stun, asked.first, proven=None))
    attempts.append(advice.dial(proven=None))
    lines = [str(one) for one in attempts]
    works = [one.way for one in attempts if one.outcome is Outcome.WORKS]
    if works:
        return Finding.ok(
            "ways", f"guests on the internet can get in by: {', '.join(works)}", *lines
        )
    what = "no way is known to work for guests on the internet"
    return Finding.warn("ways", what, advice.next_step(attempts), *lines)


async def _ipv6(router: config.Router) -> Attempt:
    enabled = router.enabled and not (router.gateway or router.description_url)
    here = await network.current_ipv6() if enabled else None
    if here is None or not here.gateway:
        return advice.pinhole(None, None, enabled=enabled)
    spoken = await _spoken(router, here)
    if spoken:
        why = f"the router answers to {' and '.join(spoken)}; a port is requested for guests only"
        return Attempt("IPv6", Outcome.UNTRIED, why)
    silent = f"the router {here.gateway} answers neither to PCP nor to UPnP over IPv6"
    return Attempt("IPv6", Outcome.FAILED, silent)


async def _spoken(router: config.Router, here: Network) -> list[str]:
    spoken = []
    for adapter in pinhole_adapters(Tools(router, time.time, Datagrams())):
        try:
            if adapter.protocol in router.protocols and await adapter.probe(here):
                spoken.append(adapter.protocol)
        except GatewayError:
            continue
    return spoken
