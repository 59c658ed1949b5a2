"""The whole decision: each way for guests on the internet, tried, or why not."""

from __future__ import annotations

import time

from pairingd.core import advice
from pairingd.core.advice import Attempt, Outcome, Routers
from pairingd.core.network import Network
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import Finding
from pairingd.errors import GatewayError, PairingError
from pairingd.home import config
from pairingd.world import network
from pairingd.world.gateway.adapter import Tools, pinhole_adapters
from pairingd.world.gateway.pxp.datagrams import Datagrams


async def check(chosen: config.Config, asked: Routers, daemon: Daemon) -> Finding:
    """`asked` is the outcome of the test port; the `daemon` tries the rest for guests only."""
    router = chosen.router
    attempts = [advice.own_address(network.lan_address() or "")]
    if not router.enabled and router.external_host:
        port = router.external_port
        attempts.append(advice.by_hand(router.external_host, port, proven=False))
    else:
        attempts += advice.of_routers(asked)
    attempts.append(await _ipv6(router))
    configured = bool(chosen.relay.ssh or chosen.relay.command.run)
    failure = _failure(daemon, "relay-")
    through = _proven(daemon, "relay", "jump")
    attempts.append(advice.relay(failure, configured=configured, proven=through))
    attempts.append(advice.hole(chosen.cgnat.stun, asked.first, proven=_proven(daemon, "cgnat")))
    attempts.append(advice.dial(proven=_proven(daemon, "dial")))
    lines = [str(attempt) for attempt in attempts]
    works = [attempt.way for attempt in attempts if attempt.outcome is Outcome.WORKS]
    if works:
        return Finding.ok(
            "ways", f"guests on the internet can get in by: {', '.join(works)}", *lines
        )
    problem = "no way is known to work for guests on the internet"
    return Finding.warn("ways", problem, advice.next_step(attempts), *lines)


def _proven(daemon: Daemon, *kinds: str) -> bool | None:
    """Whether there is evidence for an endpoint of one of these kinds; None if there is none."""
    endpoints = daemon.status.get("endpoints", ())
    evidence = [endpoint["verified"] for endpoint in endpoints if endpoint["kind"] in kinds]
    return any(evidence) if evidence else None


def _failure(daemon: Daemon, code: str) -> PairingError | None:
    """The first of the daemon's problems whose code begins like this."""
    for problem in daemon.problems:
        if problem["code"].startswith(code):
            return PairingError(problem["code"], problem["message"], problem["hint"])
    return None


async def _ipv6(router: config.Router) -> Attempt:
    enabled = router.enabled and not (router.gateway or router.description_url)
    location = await network.current_ipv6() if enabled else None
    if location is None or not location.gateway:
        return advice.pinhole(None, None, enabled=enabled)
    spoken = await _spoken(router, location)
    if spoken:
        reason = (
            f"the router answers to {' and '.join(spoken)}; a port is requested for guests only"
        )
        return Attempt("IPv6", Outcome.UNTRIED, reason)
    silent = f"the router {location.gateway} answers neither to PCP nor to UPnP over IPv6"
    return Attempt("IPv6", Outcome.FAILED, silent)


async def _spoken(router: config.Router, location: Network) -> list[str]:
    spoken = []
    for adapter in pinhole_adapters(Tools(router, time.time, Datagrams())):
        try:
            if adapter.protocol in router.protocols and await adapter.probe(location):
                spoken.append(adapter.protocol)
        except GatewayError:
            continue
    return spoken
