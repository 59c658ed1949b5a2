"""Advice for the host while no endpoint is proven to work from the internet."""

from __future__ import annotations

import logging

from pairingd.core import advice, plan
from pairingd.core.addresses import is_public
from pairingd.core.advice import Attempt
from pairingd.core.model import Problem
from pairingd.core.ways import Ways
from pairingd.reconcile.announce import announce_endpoint
from pairingd.replies import answers
from pairingd.replies.parts import Parts
from pairingd.signals import Signals

log = logging.getLogger(__name__)

_LATE = frozenset({"relay", "jump", "ipv6"})  # kinds that may open after `invite` has answered


def decision(parts: Parts, now: Ways) -> list[Attempt]:
    """List each kind of endpoint with its current result."""
    chosen = parts.settings.config
    attempts = [advice.own_address(answers.own_host(chosen.door))]
    if now.by_hand:
        attempts.append(advice.by_hand(*now.by_hand, proven=now.witnessed is not None))
    else:
        warnings = [problem for problem in now.problems() if problem.code != "double-nat"]
        attempts += advice.of_routers(
            advice.Routers(
                used=chosen.router.enabled,
                first=now.mapping,
                error=parts.mapping.error,
                warning=warnings[0] if warnings else None,
                asks_second=chosen.router.asks_second,
                second=now.second,
                second_failed=now.second_failed,
            )
        )
    network = parts.pinhole.network
    address = network.address if network else ""
    enabled = parts.pinhole.enabled
    attempts.append(
        advice.pinhole(now.pinhole, parts.pinhole.error, enabled=enabled, address=address)
    )
    through = now.through.verified is not None if now.through else None
    attempts.append(
        advice.relay(
            parts.relay.error,
            configured=bool(chosen.relay.ssh or chosen.relay.command.run),
            proven=True if now.relay else through,
        )
    )
    hole = now.hole.verified is not None if now.hole else None
    attempts.append(advice.hole(chosen.cgnat.stun, now.mapping, proven=hole))
    dialed = any(dial.verified for dial in now.dials) if now.dials else None
    attempts.append(advice.dial(proven=dialed))
    return attempts


def unverified(parts: Parts) -> Problem | None:
    """Return the warning while no endpoint is proven, after every lane has tried."""
    if not plan.admits(parts.intent.state, parts.clock()) or parts.door.port is None:
        return None
    if _is_opening(parts):
        return None
    now = answers.ways(parts)
    if now.reachability(parts.mapping.error) != "unverified":
        return None
    return advice.unverified(decision(parts, now))


def _is_opening(parts: Parts) -> bool:
    """Whether a lane has yet to try."""
    routers = parts.mapping, parts.second, parts.pinhole
    return any(lane.opening for lane in (*routers, parts.relay, parts.hole))


class Advisor:
    """Notifies the host once per session and network, also across restarts of the daemon."""

    def __init__(self, parts: Parts, signals: Signals) -> None:
        self._parts = parts
        self._endpoint_changed = signals.endpoint_changed
        self._reported: set[tuple[str, str]] = set()
        signals.door_changed.connect(self.look)
        routers = parts.mapping, parts.second, parts.pinhole
        for lane in (*routers, parts.relay, parts.hole, parts.dial, parts.lookout):
            lane.changed.connect(self.look)

    def look(self) -> None:
        self._announce_late()
        session, problem = self._parts.intent.state.session, unverified(self._parts)
        if problem is None or session is None:
            return
        network = self._parts.mapping.network
        key = session.id, network.identity if network else ""
        if key in self._reported or self._is_in_history(*key):
            return
        self._reported.add(key)
        text = f"{problem.message}; {problem.hint}"
        self._parts.intent.happened("unverified", text, network=key[1])
        self._endpoint_changed(text)

    def _announce_late(self) -> None:
        """Announce a relay or pinhole that opened after the host got the guests' command, or
        elsewhere than then. Routers' ports and holes announce themselves. After a start, what the
        guests have may still open.
        """
        if _is_opening(self._parts):
            return
        session, endpoints = self._parts.intent.state.session, answers.shared_endpoints(self._parts)
        if session is None or session.announced is None or not (session.live and endpoints):
            return
        kinds = {(endpoint.host, endpoint.port): endpoint.kind for endpoint in endpoints}
        known = kinds.get((session.announced.host, session.announced.port))
        by_router = any(
            kind in {"router", "cgnat"} and is_public(host) for (host, _), kind in kinds.items()
        )
        if endpoints[0].kind in _LATE and known not in _LATE and not by_router:
            announce_endpoint(self._parts.intent, self._endpoint_changed, endpoints[0])

    def _is_in_history(self, session: str, network: str) -> bool:
        try:
            history = self._parts.store.history_of(session)
        except ValueError:
            log.exception("the history cannot be read")
            return True
        return any(
            line.kind == "unverified" and line.data.get("network") == network for line in history
        )
