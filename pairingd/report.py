"""The outward JSON, made of what is wished and what is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from pairingd import config
from pairingd.box.place import Box
from pairingd.config import Settings, flat
from pairingd.core import ways
from pairingd.core.approval import Entry, Visitor
from pairingd.core.durations import utc
from pairingd.core.model import Conditions, Invitation, Key, Mapping, Problem, Session
from pairingd.core.penalties import Ban
from pairingd.errors import PairingError
from pairingd.protocol import results
from pairingd.protocol.confinement import AccountInfo, Boxed, BoxSettings
from pairingd.reconcile.knocks import Knock
from pairingd.reconcile.login import Login
from pairingd.store import Happening
from pairingd.values import Duration, Size
from pairingd.visits import Visit, visits
from pairingd.world.sshd import HostKey

# For a proxy: OpenBSD's nc does not tell ssh that the connection is over until something is sent.
# NATs keep theirs by it, too.
_ALIVE = ("-o", "ServerAliveInterval=15")


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
            {
                "peer": each.peer,
                "since": utc(each.since),
                "pid": each.pid,
                "typed_at": _typed(each),
            }
            for each in logins
            if each.invitation == one.id
        ],
    }
    if one.over_at is not None:
        info["over_at"] = utc(one.over_at)
    if one.cause:
        info["cause"] = one.cause.value
    _add_conditions(info, one.conditions)
    if one.dial:
        info["from_address"] = one.dial.address
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


def endpoint(user: str, one: ways.Endpoint, host_key: HostKey | None) -> results.Endpoint:
    info: results.Endpoint = {
        "kind": one.kind,
        "host": one.host,
        "port": one.port,
        "command": command(user, one, host_key),
        "protocol": one.protocol,
        "verified": one.verified,
    }
    if one.via:
        info["via"] = one.via
    if one.proxy:
        info["proxy"] = one.proxy
    if one.guest:
        info["guest"] = one.guest
    return info


def command(user: str, one: ways.Endpoint, host_key: HostKey | None) -> str:
    """What a guest types. It checks the host key through a stranger's machine, and by a jump:
    `localhost` may be known to the guest's ssh by another key.
    """
    if one.pinned and host_key:
        return pinned(user, one.host, one.port, host_key, one.via)
    options = (*_alias_option(host_key), *_ALIVE) if one.proxy and host_key else ()
    return ways.ssh_command(user, one.host, one.port, *options, proxy=one.proxy)


def known_hosts(host: str, port: int, host_key: HostKey, by: str = "") -> str:
    """The line as OpenSSH writes it: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. `by` a jump or a proxy
    the name is another.
    """
    name = host if port == 22 else f"[{host}]:{port}"
    return f"{_alias(host_key) if by else name} {host_key.type} {host_key.blob}"


def pinned(
    user: str, host: str, port: int, host_key: HostKey, via: str = "", proxy: str = ""
) -> str:
    """`ssh`, by a jump where there is a `via`, checking the host key at first contact
    (ssh_config(5), KnownHostsCommand).
    """
    checks = (
        f"KnownHostsCommand=/bin/echo %H {host_key.type} {host_key.blob}",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/dev/null",
    )
    jump = ("-J", via) if via else ()
    alias = _alias_option(host_key) if via or proxy else ()
    alive = _ALIVE if proxy else ()
    pin = (word for check in checks for word in ("-o", check))
    return ways.ssh_command(user, host, port, *jump, *alias, *alive, *pin, proxy=proxy)


def _alias_option(host_key: HostKey) -> tuple[str, str]:
    return "-o", f"HostKeyAlias={_alias(host_key)}"


def _alias(host_key: HostKey) -> str:
    """One for each host, whichever relay or port it is behind."""
    return f"pairing-{hashlib.sha256(host_key.blob.encode()).hexdigest()[:8]}"


def mapping(
    held: Mapping | None, error: PairingError | None, gateway: str, *, needed: bool
) -> results.MappingInfo | None:
    """`gateway` is that of the network we are in, "" where there is none."""
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


def knock(one: Knock, ban: Ban | None) -> results.Knock:
    return {
        "peer": one.peer,
        "fingerprints": list(one.offered),
        "times": one.times,
        "first_at": utc(one.first_at),
        "last_at": utc(one.last_at),
        "banned_until": utc(ban.until) if ban else None,
        "message": one.meaning.text,
        "hint": one.meaning.hint,
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
    session: Session,
    history: Sequence[Happening],
    knocks: Iterable[Knock],
    logins: Collection[Login],
    now: float,
) -> results.Receipt:
    """Who came, from where and when: every visit, those under way with no `until`. `knocks` are
    refused logins that are not in the history yet.
    """
    refusals = [refusal(one) for one in history if one.kind == "refused"]
    refusals += [
        {
            "at": utc(one.last_at),
            "peer": one.peer,
            "fingerprints": list(one.offered),
            "times": one.times - one.written,
            "message": one.meaning.text,
        }
        for one in knocks
    ]
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "invitations": [invitation(one, logins, now) for one in session.invitations],
        "changes": [change for one in history for change in changes(one)],
        "visits": [visit(one, logins) for one in visits(history)],
        "refused": sum(one["times"] for one in refusals),
        "refusals": refusals,
    }


def receipt_line(session: Session) -> results.ReceiptLine:
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "guests": list(dict.fromkeys(one.guest for one in session.invitations)),
    }


def visit(one: Visit, logins: Iterable[Login]) -> results.Visit:
    """What is not in the history yet, the login knows."""
    typed_at = one.typed_at
    if one.until is None:
        typed_at = next((_typed(each) for each in logins if each.pid == one.joined.pid), None)
    return {
        "guest": one.joined.guest,
        "peer": one.joined.peer,
        "fingerprint": one.joined.fingerprint,
        "since": utc(one.since),
        "until": utc(one.until) if one.until is not None else None,
        "why": one.why.value if one.why else None,
        "about": one.about,
        "typed_at": typed_at,
    }


def changes(line: Happening) -> list[results.Change]:
    """Of the terms of an invitation; lines of former versions do not have them."""
    return [
        {
            "at": utc(line.at),
            "guest": line.data["guest"],
            "what": one["what"],
            "from": one["from"],
            "to": one["to"],
            "by": one["by"],
        }
        for one in line.data.get("changes", ())
    ]


def refusal(line: Happening) -> results.Refusal:
    """Lines of former versions are of one login each, and have no keys."""
    return {
        "at": utc(line.at),
        "peer": line.data.get("peer", ""),
        "fingerprints": line.data.get("fingerprints", []),
        "times": line.data.get("times", 1),
        "message": line.text,
    }


def _typed(login: Login) -> str | None:
    return utc(login.typed_at) if login.typed_at else None


def box(one: Box | None) -> Boxed:
    """Empty where the session runs in none."""
    if one is None or not one.lives:
        return {}
    if one.account:
        return {"account": one.account.name}
    shares = one.shares
    return {"box": {"id": one.id, "directory": shares.directory, "network": shares.network}}


def confinement(one: Box | None) -> Literal["plain", "box", "account"]:
    if one is None:
        return "plain"
    return "account" if one.account else "box"


def as_account(one: Box | None) -> AccountInfo | None:
    """None where the session runs as the host."""
    if one is None or not one.lives or not one.account:
        return None
    return {"id": one.id, "name": one.account.name}


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
    """Every key in the form it has in config.toml, with where its value came from."""
    return {
        "file": in_force.file,
        "settings": [
            {
                "key": key,
                "value": _as_in_the_file(value),
                "source": in_force.file if key in in_force.given else "default",
            }
            for key, value in flat(in_force.config)
        ],
    }


def _as_in_the_file(value: object) -> object:
    if isinstance(value, Duration | Size):
        return value.text
    return list(value) if isinstance(value, tuple) else value
