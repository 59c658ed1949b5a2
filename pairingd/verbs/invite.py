from __future__ import annotations

import asyncio
import secrets
from math import floor

from pairingd.box.surroundings import keep_out
from pairingd.core import events, rules
from pairingd.core.addresses import guest_address
from pairingd.core.dial import refreshed
from pairingd.core.durations import format_duration, require_ahead, utc
from pairingd.core.guest import Guest, expand, parse_guests
from pairingd.core.model import Access, Conditions, Dial, Invitation, Standing
from pairingd.core.refusal import Refused
from pairingd.errors import PairingError, WorldError
from pairingd.home.config import Guests
from pairingd.machine import which
from pairingd.protocol import params, results
from pairingd.replies import answers, report, waits
from pairingd.replies.parts import Notify, Parts
from pairingd.world.identity import Fetched
from pairingd.world.tmux import Running, Tmux


async def run(parts: Parts, given: params.Invite, notify: Notify) -> results.Invited:
    """Invite all the guests or none; return once they can enter, as far as pairingd can see.

    If it fails or is cancelled before that, nobody is invited.
    """
    ttl = given.ttl or parts.settings.config.guests.ttl
    _require_sense(given, ttl, parts.settings.config.guests)
    if not parts.intent.state.live:
        parts.clock.trust()
    config = parts.settings.config
    _opening(given, floor(parts.clock()), config.guests.max_ttl)
    address = guest_address(given.from_address) if given.from_address is not None else ""
    named = parse_guests(expand(given.guests, config.groups), config.providers)
    if address and len(named) > 1:
        raise Refused(
            "from-one-guest",
            "--from takes one guest: each who is dialed has a command of their own",
            "invite them one by one",
        )
    rules.require_new(parts.intent.state, map(str, named), parts.clock())
    box = parts.tmux.box
    if given.box is not None and given.box != (box.id if box else ""):
        raise rules.mixed_session()
    if box:
        keep_out(box.shares.writable)
    if given.tmux:
        parts.tmux.hand(given.tmux)
    warm_up = asyncio.create_task(parts.mapping.warm_up())
    try:
        await parts.sshd().prepare()
        fetched = await _fetch(parts, named, notify)
        await _require_session(parts.tmux, notify)
        ids = _record(parts, given, fetched, ttl, address, box.id if box else "")
    except BaseException:
        warm_up.cancel()
        raise
    try:
        if answers.admits(parts, ids):
            await _open_door(parts, ids, notify)
            await waits.wait_for_ways(parts, notify)
        key_warnings = (warning for result in fetched.values() for warning in result.warnings)
        warnings = [report.problem(warning) for warning in dict.fromkeys(key_warnings)]
        warnings += await answers.dead_pane(parts)
        _require_live(parts, ids)
        return await answers.invited(parts, ids, warnings)
    except BaseException:
        await _withdraw(parts, ids)
        raise


def _require_sense(given: params.Invite, ttl: int, guests: Guests) -> None:
    """Raises Refused."""
    if ttl > guests.max_ttl:
        raise rules.too_long(guests.max_ttl, scheduled=given.at is not None)
    if given.join_within and given.join_within > ttl:
        raise Refused(
            "join-within-too-long",
            f"{format_duration(given.join_within)} to join is more than the invitation's "
            f"{format_duration(ttl)}",
            "choose a shorter time to join, or a longer --ttl",
        )
    if given.wait and not (given.ask or guests.ask):
        raise Refused(
            "wait-without-ask",
            "--wait needs --ask: without it guests enter without your approval",
            "add --ask, or leave --wait out",
        )


async def _fetch(parts: Parts, guests: list[Guest], notify: Notify) -> dict[Guest, Fetched]:
    notify({"step": "keys", "state": "begun", "text": "fetching keys"})
    try:
        fetched = await parts.providers.fetch_all(guests)
    except PairingError:
        notify({"step": "keys", "state": "failed", "text": ""})  # the error follows
        raise
    count = sum(len(result.keys) for result in fetched.values())
    text = f"{count} key{'' if count == 1 else 's'}"
    notify({"step": "keys", "state": "done", "text": text})
    return fetched


async def _require_session(tmux: Tmux, notify: Notify) -> None:
    running = await tmux.running()
    if running is Running.YES:
        notify({"step": "session", "state": "done", "text": tmux.name})
        return
    notify({"step": "session", "state": "failed", "text": "no tmux session"})
    if not tmux.command:
        raise which.no_tmux()
    if running is Running.UNKNOWN:
        raise tmux.unknown()
    raise WorldError(
        "no-session",
        "the shared tmux session is not running",
        tmux.by_hand("new-session", "-d", "-s", tmux.session),
    )


def _record(
    parts: Parts,
    given: params.Invite,
    fetched: dict[Guest, Fetched],
    ttl: int,
    address: str,
    box: str,
) -> tuple[str, ...]:
    """Apply the event Invite; return the invitations' ids."""
    now = floor(parts.clock())
    session = parts.intent.state.session
    in_use = session.external_port if session and session.live else None
    config = parts.settings.config
    conditions = _conditions(given, now, config.guests.max_ttl, ask=given.ask or config.guests.ask)
    opens_at = conditions.opens_at or now
    invitations = tuple(
        Invitation(
            id=secrets.token_hex(4),
            guest=str(guest),
            access=Access(given.access or config.guests.access),
            keys=result.keys,
            issued_at=now,
            expires_at=opens_at + ttl,
            standing=Standing.LIVE,
            conditions=conditions,
            dial=refreshed(Dial(address, 0, 0), secrets.randbits(64)) if address else None,
        )
        for guest, result in fetched.items()
    )
    parts.intent.apply(
        events.Invite(
            session=secrets.token_hex(4),
            invitations=invitations,
            external_port=given.port or in_use or config.router.external_port,
            port_chosen=given.port is not None,
            max_ttl=config.guests.max_ttl,
            tmux=given.tmux or "",
            box=box,
        )
    )
    return tuple(invitation.id for invitation in invitations)


def _opening(given: params.Invite, now: int, max_ttl: int) -> int | None:
    """Raises Refused `time-past`, or `ttl-too-long` if it would open too late."""
    if given.at is None:
        return None
    opens_at = floor(given.at.timestamp())
    require_ahead(opens_at, now)
    if opens_at > now + max_ttl:
        raise Refused(
            "ttl-too-long",
            f"{utc(opens_at)} is more than {format_duration(max_ttl)} from now",
            "name an earlier time for --at, or raise [guests] max_ttl in config.toml, then: "
            "pairctl restart",
        )
    return opens_at


def _conditions(given: params.Invite, now: int, max_ttl: int, *, ask: bool) -> Conditions:
    """Raises Refused as `_opening`: time has passed since the request came."""
    opens_at = _opening(given, now, max_ttl)
    start = opens_at or now
    return Conditions(
        ask=ask,
        wait=given.wait,
        once=given.once,
        opens_at=opens_at,
        join_by=start + given.join_within if given.join_within else None,
        idle_seconds=given.idle,
    )


async def _open_door(parts: Parts, ids: tuple[str, ...], notify: Notify) -> None:
    notify({"step": "door", "state": "begun", "text": "opening the door"})
    await parts.access.settle()
    port = parts.door.port
    failure = _over(parts, ids) or parts.access.error
    # The pass can succeed with a closed door: pairingd stops.
    if failure := failure or (None if port else answers.door_shut()):
        notify({"step": "door", "state": "failed", "text": ""})
        raise failure
    notify({"step": "door", "state": "done", "text": f"open on port {port}"})


def _require_live(parts: Parts, ids: tuple[str, ...]) -> None:
    """Raises Refused."""
    if over := _over(parts, ids):
        raise over


def _over(parts: Parts, ids: tuple[str, ...]) -> Refused | None:
    """The error if another command, a short time or tmux's end has ended all of them."""
    parts.intent.apply(events.Tick())
    session = parts.intent.state.session
    invitations = [each for each in session.invitations if each.id in ids] if session else []
    if any(each.live for each in invitations):
        return None
    guests = ", ".join(each.guest for each in invitations)
    states = ", ".join(dict.fromkeys(each.standing.value for each in invitations))
    return Refused(
        "invitation-over",
        f"{guests}: the invitation was over before its command could be printed: {states}",
        "invite again, for longer if it had expired",
    )


async def _withdraw(parts: Parts, ids: tuple[str, ...]) -> None:
    """Revoke invitations that were not printed yet. A guest who entered is out when it returns."""
    live = {invitation.id for invitation in parts.intent.state.live}
    parts.intent.apply(events.Revoke(tuple(id_ for id_ in ids if id_ in live)))
    await parts.access.settle()
