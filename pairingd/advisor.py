"""What the host could try while nothing shows that guests on the internet can get in."""

from __future__ import annotations

import logging

from pairingd import answers
from pairingd.core import advice, plan
from pairingd.core.advice import Attempt
from pairingd.core.model import Problem
from pairingd.core.ways import Ways
from pairingd.parts import Parts
from pairingd.signals import Signals

log = logging.getLogger(__name__)


def decision(parts: Parts, now: Ways) -> list[Attempt]:
    """Each way to the open door, as it is now."""
    chosen = parts.settings.config
    attempts = [advice.own_address(answers.own_host(chosen.door))]
    if now.by_hand:
        attempts.append(advice.by_hand(*now.by_hand, proven=now.witnessed is not None))
    else:
        doubts = [one for one in now.problems() if one.code != "double-nat"]
        attempts += advice.of_routers(
            advice.Routers(
                used=chosen.router.enabled,
                first=now.mapping,
                error=parts.mapping.error,
                doubt=doubts[0] if doubts else None,
                asks_second=chosen.router.asks_second,
                second=now.second,
                second_failed=now.second_failed,
            )
        )
    there = parts.pinhole.network
    address = there.address if there else ""
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
    dialed = any(one.verified for one in now.dials) if now.dials else None
    attempts.append(advice.dial(proven=dialed))
    return attempts


def unverified(parts: Parts) -> Problem | None:
    """The warning, once all has been tried and while it holds."""
    if not plan.admits(parts.intent.state, parts.clock()) or parts.door.port is None:
        return None
    if any(lane.opening for lane in (parts.mapping, parts.second, parts.pinhole)):
        return None
    now = answers.ways(parts)
    if now.reachability(parts.mapping.error) != "unverified":
        return None
    return advice.unverified(decision(parts, now))


class Advisor:
    """Tells the host once in each session and network, whatever restarts meanwhile."""

    def __init__(self, parts: Parts, signals: Signals) -> None:
        self._parts = parts
        self._tell = signals.endpoint_changed
        self._told: set[tuple[str, str]] = set()
        signals.door_changed.connect(self.look)
        routers = parts.mapping, parts.second, parts.pinhole
        for lane in (*routers, parts.relay, parts.hole, parts.dial, parts.lookout):
            lane.changed.connect(self.look)

    def look(self) -> None:
        session, problem = self._parts.intent.state.session, unverified(self._parts)
        if problem is None or session is None:
            return
        network = self._parts.mapping.network
        here = session.id, network.identity if network else ""
        if here in self._told or self._is_in_history(*here):
            return
        self._told.add(here)
        text = f"{problem.message}; {problem.hint}"
        self._parts.intent.happened("unverified", text, network=here[1])
        self._tell(text)

    def _is_in_history(self, session: str, network: str) -> bool:
        try:
            history = self._parts.store.history_of(session)
        except ValueError:
            log.exception("the history cannot be read")
            return True
        return any(
            line.kind == "unverified" and line.data.get("network") == network for line in history
        )
