"""What several verbs answer, made of the parts as they are now."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence

from pairingd import config, report
from pairingd.core import plan
from pairingd.core.addresses import is_public
from pairingd.core.double_nat import NotOpened
from pairingd.core.events import CommandPrinted
from pairingd.core.hostname import named
from pairingd.core.model import HostPort, Problem, Session
from pairingd.core.ways import (
    Endpoint,
    Place,
    Ways,
    endpoint_changed,
    leads_straight,
    router_slow,
    shared_address,
)
from pairingd.errors import GatewayError, PairingError, WorldError
from pairingd.parts import Parts
from pairingd.protocol import results
from pairingd.reconcile.mapping import MappingLane
from pairingd.reconcile.second import not_opened
from pairingd.store import KEPT_SESSIONS, Store
from pairingd.user import login_name
from pairingd.world.network import lan_address
from pairingd.world.sshd import HostKey


async def invited(
    parts: Parts, ids: Sequence[str], warned: list[results.Problem]
) -> results.Invited:
    """The invitations `ids`, and how these guests get in; the intent notes what they were told."""
    host_key = await parts.sshd.host_key()
    found = _endpoints(parts, ids)
    if not found:
        if plan.admits(parts.intent.state, parts.clock()):
            raise parts.access.error or door_shut()
        return _scheduled(parts, ids, host_key, warned)
    best, user = found[0], login_name(parts.intent.state.session)
    _note_printed(parts, ids, found)
    return {
        "invitations": invitations(parts, ids),
        "command": report.command(user, best, host_key),
        "pinned_command": report.pinned(user, best.host, best.port, host_key, best.via, best.proxy),
        "endpoints": [report.endpoint(user, one, host_key) for one in found],
        "host_key": {
            "type": host_key.type,
            "fingerprint": host_key.fingerprint,
            "known_hosts": report.known_hosts(
                best.host, best.port, host_key, best.via or best.proxy
            ),
        },
        "reachability": ways(parts, ids).reachability(parts.mapping.error),
        **report.box(parts.tmux.box),
        "warnings": [*warned, *warnings(parts)],
    }


async def sessions(store: Store) -> AsyncIterator[Session]:
    """Those kept, newest first, each read by itself: everything else goes on in between."""
    for session_id in reversed(store.session_ids(KEPT_SESSIONS)):
        if session := store.session(session_id):
            yield session
        await asyncio.sleep(0)


async def command(parts: Parts, invitation: str) -> str:
    """The command for its guest, "" where nothing is open; the intent notes what they were told.
    Raises Misconfigured `no-account`, WorldError.
    """
    found = _endpoints(parts, [invitation])
    if not found:
        return ""
    user = login_name(parts.intent.state.session)
    _note_printed(parts, [invitation], found)
    return report.command(user, found[0], await parts.sshd.host_key())


async def dial_command(parts: Parts, invitation: str) -> str:
    """The command for a guest who is dialed, "" where they are not. Raises as `command`."""
    host_key = await parts.sshd.host_key()
    found = parts.dial.endpoints.get(invitation)
    return report.command(login_name(parts.intent.state.session), found, host_key) if found else ""


def _note_printed(parts: Parts, ids: Sequence[str], found: Sequence[Endpoint]) -> None:
    parts.intent.apply(CommandPrinted(shared_address(found)))
    for one in ids:
        parts.dial.note_printed(one, HostPort(found[0].host, found[0].port))


def _scheduled(
    parts: Parts, ids: Sequence[str], host_key: HostKey, warned: list[results.Problem]
) -> results.Invited:
    """Nothing is open yet, so where the guests will get in is not known either."""
    return {
        "invitations": invitations(parts, ids),
        "command": "",
        "pinned_command": "",
        "endpoints": [],
        "host_key": {"type": host_key.type, "fingerprint": host_key.fingerprint, "known_hosts": ""},
        "reachability": "unverified",
        **report.box(parts.tmux.box),
        "warnings": [*warned, *warnings(parts)],
    }


def invitations(parts: Parts, ids: Sequence[str]) -> list[results.InvitationInfo]:
    """Those `ids` of this session, whether live or over."""
    session = parts.intent.state.session
    logins, asked = parts.access.logins, frozenset(ids)
    return [
        report.invitation(one, logins, parts.clock())
        for one in (session.invitations if session else ())
        if one.id in asked
    ]


def mapping(parts: Parts) -> results.MappingInfo | None:
    return _mapping(parts.mapping)


def second_mapping(parts: Parts) -> results.SecondMapping:
    """Left out where there is no need for one."""
    found = _mapping(parts.second)
    return {"second_mapping": found} if found else {}


def _mapping(lane: MappingLane) -> results.MappingInfo | None:
    gateway = lane.network.gateway if lane.network else ""
    return report.mapping(lane.current, lane.error, gateway, needed=lane.needed)


async def endpoints(parts: Parts) -> list[results.Endpoint]:
    """Best first; none while the door is shut. Raises Misconfigured `no-account`, WorldError."""
    found = _endpoints(parts)
    if not found:
        return []
    user = login_name(parts.intent.state.session)
    # Made by now, as somebody is invited; and no other endpoint needs it.
    aliased = any(one.pinned or one.proxy for one in found)
    host_key = await parts.sshd.host_key() if aliased else None
    return [report.endpoint(user, one, host_key) for one in found]


def _endpoints(parts: Parts, ids: Sequence[str] | None = None) -> list[Endpoint]:
    """For the guests of these invitations, or of all."""
    port = parts.door.port
    if port is None:
        return []
    own = own_host(parts.settings.config.door)
    return list(named(_ways(parts, own, ids).endpoints(own, port), parts.hostname.name))


def places(parts: Parts) -> list[Place]:
    """Where guests on the internet are to find the door, without a relay."""
    return [(one.host, one.port) for one in _endpoints(parts) if leads_straight(one.kind, one.host)]


def own_host(door: config.Door) -> str:
    """This machine's address at which a guest nearby finds the open door."""
    return door.address or lan_address() or "127.0.0.1"


def ways(parts: Parts, ids: Sequence[str] | None = None) -> Ways:
    own = own_host(parts.settings.config.door) if parts.door.port is not None else ""
    return _ways(parts, own, ids)


def _ways(parts: Parts, own: str, ids: Sequence[str] | None) -> Ways:
    """`own` is this machine's address, "" while the door is closed."""
    return Ways(
        mapping=parts.mapping.current,
        pinhole=parts.pinhole.current,
        by_hand=_by_hand(parts),
        relay=parts.relay.current,
        through=parts.relay.endpoint,
        seen=parts.mapping.seen | parts.second.seen | parts.pinhole.seen,
        unsteady=parts.mapping.unsteady or parts.second.unsteady,
        second=parts.second.current,
        second_failed=_second_failed(parts),
        direct=own if is_public(own) else None,
        witnessed=parts.witness.seen(own),
        hole=parts.hole.endpoint,
        dials=tuple(one for id_, one in parts.dial.endpoints.items() if ids is None or id_ in ids),
        outside=parts.lookout.outside,
    )


def _second_failed(parts: Parts) -> NotOpened | None:
    lane = parts.second
    failures = [one for one in lane.failures.values() if isinstance(one, GatewayError)]
    if not lane.needed or not failures:
        return None
    return not_opened(lane.network.gateway if lane.network else "", failures)


def _by_hand(parts: Parts) -> tuple[str, int] | None:
    router, session = parts.settings.config.router, parts.intent.state.session
    if router.enabled or not router.external_host or session is None:
        return None
    return router.external_host, session.external_port


def warnings(parts: Parts) -> list[results.Problem]:
    found: list[results.Problem] = []
    if os.getuid() == 0 and not parts.tmux.box:
        found.append(
            {
                "code": "running-as-root",
                "message": "pairingd runs as root: a write guest is root here",
                "hint": "run it as a normal user, unless this is a container made for it",
            }
        )
    if parts.store.set_aside:
        found.append(
            {
                "code": "state-unreadable",
                "message": "the stored state could not be read; everything was closed",
                "hint": f"it was set aside as {parts.store.set_aside}; invite the guests again",
            }
        )
    if changed := endpoint_changed(parts.intent.state.session):
        found.append(report.problem(changed))
    now = ways(parts)
    found += map(report.problem, (*now.problems(), *_of_the_outside(parts)))
    if problem := _of_the_router(parts, now):
        found.append(report.problem(problem))
    found += [
        report.problem(lane.error)
        for lane in (parts.relay, parts.lookout)
        if lane.error and lane.needed
    ]
    found += map(report.problem, parts.lookout.problems)
    troubles = (*parts.intent.withdrawn, parts.access.error, parts.intent.unsaved)
    found += [report.problem(one) for one in {one.code: one for one in troubles if one}.values()]
    return found


async def dead_pane(parts: Parts) -> list[results.Problem]:
    """A warning where the guests would see a program that has ended, and could only look."""
    tmux = parts.tmux
    with contextlib.suppress(WorldError):
        if await tmux.shows_dead_pane():
            respawn = tmux.by_hand("respawn-pane", "-t", f"{tmux.target}:")
            return [
                {
                    "code": "pane-dead",
                    "message": "the program in the shared pane has ended; remain-on-exit keeps it",
                    "hint": f"to start a shell in it: {respawn}",
                }
            ]
    return []


def _of_the_outside(parts: Parts) -> list[Problem]:
    """Each once: a guest who is dialed and the hole ask the same STUN server."""
    lanes = (parts.hostname, parts.hole, parts.dial)
    return list(dict.fromkeys(problem for lane in lanes for problem in lane.problems))


def _of_the_router(parts: Parts, now: Ways) -> PairingError | Problem | None:
    lane = parts.mapping
    if not lane.needed:
        return None
    if lane.error and not (lane.error.code == "no-gateway" and now.direct):
        return lane.error
    return router_slow() if lane.opening else None


def door_shut() -> WorldError:
    return WorldError("door-shut", "the door is not open", "pairctl status shows why")
