"""The outward JSON, made of what is wished and what is seen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Literal

from pairingd.config import Duration, Settings, flat
from pairingd.core import ways
from pairingd.core.approval import Entry, Visitor
from pairingd.core.durations import utc
from pairingd.core.model import Conditions, Invitation, Key, Mapping, Problem, Session
from pairingd.errors import PairingError
from pairingd.protocol import results
from pairingd.reconcile.login import Login
from pairingd.store import Happening
from pairingd.visits import visits
from pairingd.world.sshd import HostKey


def problem(error: PairingError | Problem) -> results.Problem:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def key(one: Key) -> results.KeyInfo:
    return {
        "type": one.type,
        "bits": one.bits,
        "fingerprint": one.fingerprint,
        "comment": one.comment,
    }


def visitor(one: Visitor) -> results.Visitor:
    return {
        "guest": one.guest,
        "fingerprint": one.fingerprint,
        "peer": one.peer,
        "pid": one.pid,
        "until": utc(one.until),
    }


def invitation(one: Invitation, logins: Collection[Login], now: float) -> results.InvitationInfo:
    info: results.InvitationInfo = {
        "id": one.id,
        "guest": one.guest,
        "access": one.access.value,
        "issued_at": utc(one.issued_at),
        "expires_at": utc(one.expires_at),
        "keys": [key(each) for each in one.keys],
        "state": "scheduled" if one.is_scheduled(now) else one.standing.value,
        "connections": [
            {"peer": each.peer, "since": utc(each.since), "pid": each.pid}
            for each in logins
            if each.invitation == one.id
        ],
    }
    _add_conditions(info, one.conditions)
    if any(each.invitation == one.id and each.entry is Entry.WAITS for each in logins):
        info["waiting"] = True
    return info


def _add_conditions(info: results.InvitationInfo, bound: Conditions) -> None:
    if bound.ask:
        info["ask"] = True
    if bound.once:
        info["once"] = True
    if bound.opens_at is not None:
        info["opens_at"] = utc(bound.opens_at)
    if bound.join_by is not None:
        info["join_by"] = utc(bound.join_by)
    if bound.idle_seconds is not None:
        info["idle_seconds"] = bound.idle_seconds


def endpoint(user: str, one: ways.Endpoint) -> results.Endpoint:
    return {
        "kind": one.kind,
        "host": one.host,
        "port": one.port,
        "command": ways.ssh_command(user, one.host, one.port),
        "protocol": one.protocol,
        "verified": one.verified,
    }


def known_hosts(host: str, port: int, host_key: HostKey) -> str:
    """The line as OpenSSH writes it: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    name = host if port == 22 else f"[{host}]:{port}"
    return f"{name} {host_key.type} {host_key.blob}"


def pinned(user: str, host: str, port: int, host_key: HostKey) -> str:
    """`ssh`, checking the host key at first contact (ssh_config(5), KnownHostsCommand)."""
    options = (
        f"KnownHostsCommand=/bin/echo %H {host_key.type} {host_key.blob}",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/dev/null",
    )
    return ways.ssh_command(user, host, port, *(word for one in options for word in ("-o", one)))


def mapping(
    held: Mapping | None, error: PairingError | None, gateway: str, *, wanted: bool
) -> results.MappingInfo | None:
    """`gateway` is that of the network we are in, "" where there is none."""
    if held is None and not wanted:
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


def event(one: Happening) -> results.Event:
    return {
        "id": one.id,
        "at": utc(one.at),
        "session": one.session,
        "kind": one.kind,
        "text": one.text,
        "data": one.data,
    }


def receipt(
    session: Session, history: Sequence[Happening], logins: Collection[Login], now: float
) -> results.Receipt:
    """Who came, from where and when: every visit, those under way with no `until`."""
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "invitations": [invitation(one, logins, now) for one in session.invitations],
        "visits": [
            {
                "guest": one.joined.guest,
                "peer": one.joined.peer,
                "fingerprint": one.joined.fingerprint,
                "since": utc(one.since),
                "until": utc(one.until) if one.until is not None else None,
                "why": one.why,
            }
            for one in visits(history)
        ],
        "refused": sum(one.kind == "refused" for one in history),
    }


def settings(in_force: Settings) -> results.Settings:
    """Every key in the form it has in config.toml, with where its value came from."""
    return {
        "file": in_force.file,
        "settings": [
            {
                "key": key,
                "value": _as_in_the_file(value),
                "source": in_force.file if key in in_force.given else "default",
            }
            for key, value in flat(asdict(in_force.config))
        ],
    }


def _as_in_the_file(value: object) -> object:
    if isinstance(value, Duration):
        return value.text
    return list(value) if isinstance(value, tuple) else value
