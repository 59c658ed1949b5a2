"""Builds the protocol's JSON from the intent and what was observed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from pairingd.box.place import Box
from pairingd.core import ways
from pairingd.core.approval import Entry, Visitor
from pairingd.core.durations import utc
from pairingd.core.model import Conditions, Invitation, Key, Mapping, Problem, Session
from pairingd.core.penalties import Ban
from pairingd.errors import PairingError
from pairingd.home import config
from pairingd.home.config import Settings, flat
from pairingd.home.values import Duration, Size
from pairingd.protocol import results
from pairingd.protocol.confinement import AccountInfo, Boxed, BoxSettings
from pairingd.reconcile.access.knocks import Knock
from pairingd.reconcile.access.login import Login
from pairingd.state.history import Happening
from pairingd.state.visits import Visit, visits
from pairingd.world.sshd import HostKey

# For a proxy: OpenBSD's nc does not report the end of the connection until something is sent.
# It also keeps NAT entries alive.
_KEEPALIVE_OPTIONS = ("-o", "ServerAliveInterval=15")


def problem(error: PairingError | Problem) -> results.Problem:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def key(public_key: Key) -> results.KeyInfo:
    return {
        "type": public_key.type,
        "bits": public_key.bits,
        "fingerprint": public_key.fingerprint,
        "comment": public_key.comment,
    }


def visitor(waiting: Visitor, invited: Invitation) -> results.Visitor:
    return {
        "guest": waiting.guest,
        "access": invited.access.value,
        "fingerprint": waiting.fingerprint,
        "peer": waiting.peer,
        "pid": waiting.pid,
        "until": utc(waiting.until),
    }


def invitation(
    invited: Invitation, logins: Collection[Login], now: float
) -> results.InvitationInfo:
    info: results.InvitationInfo = {
        "id": invited.id,
        "guest": invited.guest,
        "access": invited.access.value,
        "issued_at": utc(invited.issued_at),
        "expires_at": utc(invited.expires_at),
        "keys": [key(public_key) for public_key in invited.keys],
        "state": "scheduled" if invited.is_scheduled(now) else invited.standing.value,
        "connections": [_connection(login) for login in logins if login.invitation == invited.id],
    }
    if invited.over_at is not None:
        info["over_at"] = utc(invited.over_at)
    if invited.cause:
        info["cause"] = invited.cause.value
    _add_conditions(info, invited.conditions)
    if "join_by" in info and invited.came_at is not None:
        info["came_at"] = utc(invited.came_at)
    if invited.dial:
        info["from_address"] = invited.dial.address
    if any(connection.get("waiting") for connection in info["connections"]):
        info["waiting"] = True
    return info


def _connection(login: Login) -> results.Connection:
    connection: results.Connection = {
        "peer": login.peer,
        "since": utc(login.since),
        "pid": login.pid,
        "typed_at": _typed_at(login),
    }
    if login.entry is Entry.WAITS:
        connection["waiting"] = True
    return connection


def _add_conditions(info: results.InvitationInfo, conditions: Conditions) -> None:
    if conditions.ask:
        info["ask"] = True
    if conditions.once:
        info["once"] = True
    if conditions.opens_at is not None:
        info["opens_at"] = utc(conditions.opens_at)
    if conditions.join_by is not None:
        info["join_by"] = utc(conditions.join_by)
    if conditions.idle_seconds is not None:
        info["idle_seconds"] = conditions.idle_seconds


def endpoint(user: str, target: ways.Endpoint, host_key: HostKey | None) -> results.Endpoint:
    info: results.Endpoint = {
        "kind": target.kind,
        "host": target.host,
        "port": target.port,
        "command": command(user, target, host_key),
        "protocol": target.protocol,
        "verified": target.verified,
    }
    if target.via:
        info["via"] = target.via
    if target.proxy:
        info["proxy"] = target.proxy
    if target.guest:
        info["guest"] = target.guest
    return info


def command(user: str, target: ways.Endpoint, host_key: HostKey | None) -> str:
    """Return the guest's command. It pins the host key behind a third party's machine and a jump,
    because the guest's ssh may know `localhost` by another key.
    """
    if target.pinned and host_key:
        return pinned(user, target, host_key)
    options = (*_alias_option(host_key), *_KEEPALIVE_OPTIONS) if target.proxy and host_key else ()
    return ways.ssh_command(user, target.host, target.port, *options, proxy=target.proxy)


def known_hosts(target: ways.Endpoint, host_key: HostKey) -> str:
    """Return the line as OpenSSH writes it: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Behind a jump or
    a proxy, the name is an alias.
    """
    if target.via or target.proxy:
        name = _alias(host_key)
    else:
        name = target.host if target.port == 22 else f"[{target.host}]:{target.port}"
    return f"{name} {host_key.type} {host_key.blob}"


def pinned(user: str, target: ways.Endpoint, host_key: HostKey) -> str:
    """Return an `ssh` command that checks the host key at first contact (ssh_config(5),
    KnownHostsCommand).
    """
    checks = (
        f"KnownHostsCommand=/bin/echo %H {host_key.type} {host_key.blob}",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/dev/null",
    )
    jump = ("-J", target.via) if target.via else ()
    alias = _alias_option(host_key) if target.via or target.proxy else ()
    alive = _KEEPALIVE_OPTIONS if target.proxy else ()
    options = (*jump, *alias, *alive, *(word for check in checks for word in ("-o", check)))
    return ways.ssh_command(user, target.host, target.port, *options, proxy=target.proxy)


def _alias_option(host_key: HostKey) -> tuple[str, str]:
    return "-o", f"HostKeyAlias={_alias(host_key)}"


def _alias(host_key: HostKey) -> str:
    """Return one alias for each host, the same behind every relay and port."""
    return f"pairing-{hashlib.sha256(host_key.blob.encode()).hexdigest()[:8]}"


def mapping(
    held: Mapping | None, error: PairingError | None, gateway: str, *, needed: bool
) -> results.MappingInfo | None:
    """`gateway` is that of the current network, "" if there is none."""
    if held is None and not needed:
        return None
    state: Literal["open", "opening", "failed"] = "opening"
    if held:
        state = "open"
    elif error:
        state = "failed"
    return {
        "state": state,
        "protocol": held.protocol if held else None,
        "gateway": (held.gateway if held else gateway) or None,
        "external_host": (held.external_host or None) if held else None,
        "external_port": held.external_port if held else None,
        "internal_port": held.internal_port if held else None,
        "expires_at": utc(held.granted_until) if held and held.granted_until else None,
        "error": problem(error) if error else None,
    }


def knock(refused: Knock, ban: Ban | None) -> results.Knock:
    return {
        "peer": refused.peer,
        "fingerprints": list(refused.meaning.keys),
        "times": refused.times,
        "first_at": utc(refused.first_at),
        "last_at": utc(refused.last_at),
        "banned_until": utc(ban.until) if ban else None,
        "message": refused.meaning.text,
        "hint": refused.meaning.hint,
    }


def event(line: Happening) -> results.Event:
    return {
        "id": line.id,
        "at": utc(line.at),
        "session": line.session,
        "kind": line.kind,
        "text": line.text,
        "data": line.data,
    }


def receipt(
    session: Session,
    history: Sequence[Happening],
    knocks: Iterable[Knock],
    logins: Collection[Login],
    now: float,
) -> results.Receipt:
    """Return every visit; one that still lasts has no `until`. `knocks` are refused logins that are
    not in the history yet.
    """
    counted = refusals(history, knocks)
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "invitations": [invitation(invited, logins, now) for invited in session.invitations],
        "changes": [change for line in history for change in changes(line)],
        "visits": [visit(stay, logins) for stay in visits(history)],
        "refused": sum(entry["times"] for entry in counted),
        "refusals": counted,
    }


def receipt_line(session: Session) -> results.ReceiptLine:
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "guests": list(dict.fromkeys(invited.guest for invited in session.invitations)),
    }


def visit(stay: Visit, logins: Iterable[Login]) -> results.Visit:
    """While a visit lasts, its `typed_at` is in the login and not yet in the history."""
    typed_at = stay.typed_at
    if stay.until is None:
        typed_at = next(
            (_typed_at(login) for login in logins if login.pid == stay.joined.pid), None
        )
    return {
        "guest": stay.joined.guest,
        "peer": stay.joined.peer,
        "fingerprint": stay.joined.fingerprint,
        "since": utc(stay.since),
        "until": utc(stay.until) if stay.until is not None else None,
        "why": stay.why.value if stay.why else None,
        "about": stay.about,
        "typed_at": typed_at,
    }


def changes(line: Happening) -> list[results.Change]:
    """Return the changed terms of an invitation; lines of older versions have none."""
    return [
        {
            "at": utc(line.at),
            "guest": line.data["guest"],
            "what": change["what"],
            "from": change["from"],
            "to": change["to"],
            "by": change["by"],
        }
        for change in line.data.get("changes", ())
    ]


def refusals(history: Iterable[Happening], knocks: Iterable[Knock]) -> list[results.Refusal]:
    """Return one entry for each address and reason, however many lines the history has of it."""
    entries = [refusal(line) for line in history if line.kind == "refused"]
    entries += [
        {
            "at": utc(refused.last_at),
            "peer": refused.peer,
            "fingerprints": list(refused.meaning.keys),
            "times": refused.times - refused.written,
            "message": refused.meaning.text,
        }
        for refused in knocks
    ]
    merged: dict[tuple[str, str], results.Refusal] = {}
    for entry in entries:
        key = (entry["peer"], entry["message"])
        if earlier := merged.pop(key, None):
            entry["times"] += earlier["times"]
        merged[key] = entry
    return list(merged.values())


def refusal(line: Happening) -> results.Refusal:
    """Lines of older versions are of one login each, and have no keys; or have no `message`."""
    return {
        "at": utc(line.at),
        "peer": line.data.get("peer", ""),
        "fingerprints": line.data.get("fingerprints", []),
        "times": line.data.get("times", 1),
        "message": line.data.get("message", line.text),
    }


def _typed_at(login: Login) -> str | None:
    return utc(login.typed_at) if login.typed_at else None


def box(place: Box | None) -> Boxed:
    """Empty if the session runs as the host, in no box."""
    if place is None or not place.lives:
        return {}
    if place.account:
        return {"account": place.account.name}
    shares = place.shares
    return {"box": {"id": place.id, "directory": shares.directory, "network": shares.network}}


def confinement(place: Box | None) -> Literal["plain", "box", "account"]:
    if place is None:
        return "plain"
    return "account" if place.account else "box"


def as_account(place: Box | None) -> AccountInfo | None:
    """None if the session runs as the host."""
    if place is None or not place.lives or not place.account:
        return None
    return {"id": place.id, "name": place.account.name}


def box_settings(chosen: config.Box) -> BoxSettings:
    return {
        "read": list(chosen.read),
        "write": list(chosen.write),
        "env": list(chosen.env),
        "network": chosen.network,
        "memory": int(chosen.memory),
        "processes": chosen.processes,
    }


def settings(in_force: Settings) -> results.Settings:
    """Return every key in the form it has in config.toml, with the source of its value."""
    return {
        "file": in_force.file,
        "settings": [
            {
                "key": key,
                "value": _as_written(value),
                "source": in_force.file if key in in_force.given else "default",
            }
            for key, value in flat(in_force.config)
        ],
    }


def _as_written(value: object) -> object:
    if isinstance(value, Duration | Size):
        return value.text
    return list(value) if isinstance(value, tuple) else value
