"""Replies that several verbs share, built from the current state of the parts."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar

from pairingd.core.addresses import is_public
from pairingd.core.double_nat import NotOpened
from pairingd.core.events import CommandPrinted
from pairingd.core.hostname import named
from pairingd.core.model import HostPort, Problem, Session
from pairingd.core.records import replace
from pairingd.core.ways import (
    LOOPBACK,
    Endpoint,
    Place,
    Ways,
    endpoint_changed,
    leads_straight,
    other_port,
    relay_slow,
    router_slow,
    shared_address,
    unclosed,
)
from pairingd.errors import GatewayError, PairingError, WorldError
from pairingd.home import config
from pairingd.machine.user import login_name
from pairingd.protocol import results
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.reconcile.mapping.second import not_opened
from pairingd.replies import report
from pairingd.replies.parts import Parts
from pairingd.state.store import KEPT_SESSIONS, Store
from pairingd.world.network import ipv6_address, lan_address
from pairingd.world.sshd import HostKey

T = TypeVar("T")

_BATCH_SIZE = 50


async def invited(
    parts: Parts, ids: Sequence[str], problems: list[results.Problem]
) -> results.Invited:
    """Return the invitations `ids` and their endpoints; scheduled ones have none, whoever else may
    enter. The intent records the printed address.
    """
    host_key = await parts.sshd().host_key()
    if not admits(parts, ids):
        return _scheduled(parts, ids, host_key, problems)
    open_endpoints = _endpoints(parts, ids)
    if not open_endpoints:
        raise parts.access.error or door_shut()
    best, user = open_endpoints[0], login_name(parts.intent.state.session)
    _note_printed(parts, ids, open_endpoints)
    return {
        "invitations": invitations(parts, ids),
        "command": report.command(user, best, host_key),
        "pinned_command": report.pinned(user, best, host_key),
        "endpoints": [report.endpoint(user, endpoint, host_key) for endpoint in open_endpoints],
        "host_key": {
            "type": host_key.type,
            "fingerprint": host_key.fingerprint,
            "known_hosts": report.known_hosts(best, host_key),
        },
        "reachability": ways(parts, ids).reachability(parts.mapping.error),
        **report.box(parts.tmux.box),
        "warnings": [*problems, *warnings(parts)],
    }


def admits(parts: Parts, ids: Sequence[str]) -> bool:
    """Whether a guest of one of these invitations may enter now."""
    now = parts.clock()
    return any(live.is_open(now) for live in parts.intent.state.live if live.id in ids)


async def sessions(store: Store) -> AsyncIterator[Session]:
    """Yield the kept sessions, newest first. Other tasks run meanwhile."""
    for session_id in reversed(store.session_ids(KEPT_SESSIONS)):
        if session := await stored_session(store, session_id):
            yield session
        await asyncio.sleep(0)


async def stored_session(store: Store, session_id: str) -> Session | None:
    """As `Store.session`. Other tasks run meanwhile."""
    if (stored := store.unread_session(session_id)) is None:
        return None
    session, unread = stored
    return replace(session, invitations=tuple([invitation async for invitation in paced(unread)]))


async def paced(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let other tasks run between batches of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _BATCH_SIZE == 0:
            await asyncio.sleep(0)


async def command(parts: Parts, invitation: str) -> str:
    """Return the guest's command, "" if nothing is open. The intent records the printed address.
    Raises Misconfigured `no-account`, WorldError.
    """
    open_endpoints = _endpoints(parts, [invitation])
    if not open_endpoints:
        return ""
    user = login_name(parts.intent.state.session)
    _note_printed(parts, [invitation], open_endpoints)
    return report.command(user, open_endpoints[0], await parts.sshd().host_key())


async def dial_command(parts: Parts, invitation: str) -> str:
    """Return the command of a dialed guest, "" if they are not dialed. Raises as `command`."""
    host_key = await parts.sshd().host_key()
    endpoint = parts.dial.endpoints.get(invitation)
    return (
        report.command(login_name(parts.intent.state.session), endpoint, host_key)
        if endpoint
        else ""
    )


def _note_printed(parts: Parts, ids: Sequence[str], printed: Sequence[Endpoint]) -> None:
    parts.intent.apply(CommandPrinted(shared_address(printed)))
    for invitation in ids:
        parts.dial.note_printed(invitation, HostPort(printed[0].host, printed[0].port))


def _scheduled(
    parts: Parts, ids: Sequence[str], host_key: HostKey, problems: list[results.Problem]
) -> results.Invited:
    """Return the invitations without endpoints, because nothing is open for them yet."""
    return {
        "invitations": invitations(parts, ids),
        "command": "",
        "pinned_command": "",
        "endpoints": [],
        "host_key": {"type": host_key.type, "fingerprint": host_key.fingerprint, "known_hosts": ""},
        "reachability": "unverified",
        **report.box(parts.tmux.box),
        "warnings": [*problems, *warnings(parts)],
    }


def invitations(parts: Parts, ids: Sequence[str]) -> list[results.InvitationInfo]:
    """Return the invitations `ids` of this session, live or over."""
    session = parts.intent.state.session
    logins, requested = parts.access.logins, frozenset(ids)
    return [
        report.invitation(invitation, logins, parts.clock())
        for invitation in (session.invitations if session else ())
        if invitation.id in requested
    ]


def mapping(parts: Parts) -> results.MappingInfo | None:
    return _mapping(parts.mapping)


def second_mapping(parts: Parts) -> results.SecondMapping:
    """Empty if no second mapping is needed."""
    info = _mapping(parts.second)
    return {"second_mapping": info} if info else {}


def _mapping(lane: MappingLane) -> results.MappingInfo | None:
    gateway = lane.network.gateway if lane.network else ""
    return report.mapping(lane.current, lane.error, gateway, needed=lane.needed)


async def endpoints(parts: Parts) -> list[results.Endpoint]:
    """Best first; none while the door is closed. Raises Misconfigured `no-account`, WorldError."""
    open_endpoints = _endpoints(parts)
    if not open_endpoints:
        return []
    user = login_name(parts.intent.state.session)
    # The key exists by now, because somebody is invited; other endpoints do not need it.
    aliased = any(endpoint.pinned or endpoint.proxy for endpoint in open_endpoints)
    host_key = await parts.sshd().host_key() if aliased else None
    return [report.endpoint(user, endpoint, host_key) for endpoint in open_endpoints]


def _endpoints(parts: Parts, ids: Sequence[str] | None = None) -> list[Endpoint]:
    """Return the endpoints for the guests of `ids`, None for all guests."""
    port = parts.door.port
    if port is None:
        return []
    own = own_host(parts.settings.config.door)
    return list(named(_ways(parts, own, ids).endpoints(own, port), parts.hostname.name))


def shared_endpoints(parts: Parts) -> list[Endpoint]:
    """Best first, without those of single guests; none while the door is closed."""
    return [endpoint for endpoint in _endpoints(parts) if not endpoint.guest]


def places(parts: Parts) -> list[Place]:
    """Return the addresses at which guests on the internet reach the door without a relay."""
    return [
        (endpoint.host, endpoint.port)
        for endpoint in _endpoints(parts)
        if leads_straight(endpoint.kind, endpoint.host)
    ]


def own_host(door: config.Door) -> str:
    """Return this machine's address for guests on the local network."""
    return door.address or lan_address() or LOOPBACK


def own_ipv6(door: config.Door, own: str) -> str:
    """This machine's own IPv6 address, of a server or a machine without IPv4, where guests may find
    the open door; or "". At home the router's firewall is before it, and opened by a pinhole. `own`
    is as `own_host` returns it.
    """
    if door.address or not (is_public(own) or own == LOOPBACK):
        return ""
    return ipv6_address() or ""


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
        own6=_own6(parts, own),
        dials=tuple(
            endpoint for id_, endpoint in parts.dial.endpoints.items() if ids is None or id_ in ids
        ),
        outside=parts.lookout.outside,
    )


def _own6(parts: Parts, own: str) -> Endpoint | None:
    """Only where no pinhole leads to it."""
    port = parts.door.port
    if port is None or parts.pinhole.current or parts.pinhole.opening:
        return None
    host = own_ipv6(parts.settings.config.door, own)
    return Endpoint("direct", host, port, verified=parts.witness6.seen(host)) if host else None


def _second_failed(parts: Parts) -> NotOpened | None:
    lane = parts.second
    failures = [failure for failure in lane.failures.values() if isinstance(failure, GatewayError)]
    if not lane.needed or not failures:
        return None
    return not_opened(lane.network.gateway if lane.network else "", failures)


def _by_hand(parts: Parts) -> tuple[str, int] | None:
    router, session = parts.settings.config.router, parts.intent.state.session
    if router.enabled or not router.external_host or session is None:
        return None
    return router.external_host, session.external_port


def warnings(parts: Parts) -> list[results.Problem]:
    problems: list[results.Problem] = []
    if os.getuid() == 0 and not parts.tmux.box:
        problems.append(
            {
                "code": "running-as-root",
                "message": "pairingd runs as root: a write guest is root here",
                "hint": "run it as a normal user, unless this is a container made for it",
            }
        )
    if parts.store.set_aside:
        problems.append(
            {
                "code": "state-unreadable",
                "message": "the stored state could not be read; everything was closed",
                "hint": f"it was set aside as {parts.store.set_aside}; invite the guests again",
            }
        )
    if parts.settings.is_outdated:
        problems.append(
            {
                "code": "config-changed",
                "message": f"{parts.settings.file} has changed since pairingd started",
                "hint": "pairctl restart; guests who are connected must connect again",
            }
        )
    session = parts.intent.state.session
    if changed := endpoint_changed(session):
        problems.append(report.problem(changed))
    now = ways(parts)
    problems += map(report.problem, (*now.problems(), *_outside_problems(parts)))
    ports = (_router_problem(parts, now), other_port(session, now.outermost))
    problems += [report.problem(problem) for problem in ports if problem]
    if parts.relay.opening:
        problems.append(report.problem(relay_slow()))
    problems += [
        report.problem(lane.error)
        for lane in (parts.relay, parts.lookout)
        if lane.error and lane.needed
    ]
    problems += map(report.problem, parts.lookout.problems)
    troubles = (*parts.intent.withdrawn, parts.access.error, parts.intent.unsaved)
    problems += [
        report.problem(trouble)
        for trouble in {trouble.code: trouble for trouble in troubles if trouble}.values()
    ]
    return problems


def unclosed_mappings(parts: Parts) -> list[results.Problem]:
    """Return a warning for each mapping that was not seen to be gone, an earlier daemon's too; for
    when the door is closed.
    """
    return [report.problem(unclosed(mapping)) for mapping in parts.store.mappings()]


async def dead_pane(parts: Parts) -> list[results.Problem]:
    """Return a warning if the program in the shared pane has ended: guests could only look."""
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


def _outside_problems(parts: Parts) -> list[Problem]:
    """Return each problem once: the hole and dial lanes ask the same STUN server."""
    lanes = (parts.hostname, parts.hole, parts.dial)
    return list(dict.fromkeys(problem for lane in lanes for problem in lane.problems))


def _router_problem(parts: Parts, now: Ways) -> PairingError | Problem | None:
    lane = parts.mapping
    if not lane.needed:
        return None
    without_router = now.direct or now.pinhole or now.own6
    if lane.error and not (lane.error.code == "no-gateway" and without_router):
        return lane.error
    return router_slow() if lane.opening else None


def door_shut() -> WorldError:
    return WorldError("door-shut", "the door is not open", "pairctl status shows why")
