"""The outward JSON, made of what is wished and what is seen."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Literal

from pairingd.control import results
from pairingd.core.addresses import external_class
from pairingd.core.model import Invitation, Key, Mapping, Session
from pairingd.errors import PairingError
from pairingd.intent import utc
from pairingd.store import Happening
from pairingd.world.door import Connection
from pairingd.world.sshd import HostKey


def problem(error: PairingError) -> results.Problem:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def key(one: Key) -> results.KeyInfo:
    return {
        "type": one.type,
        "bits": one.bits,
        "fingerprint": one.fingerprint,
        "comment": one.comment,
    }


def invitation(one: Invitation, connections: Iterable[Connection] = ()) -> results.InvitationInfo:
    return {
        "id": one.id,
        "guest": one.guest,
        "access": one.access.value,
        "issued_at": utc(one.issued_at),
        "expires_at": utc(one.expires_at),
        "keys": [key(each) for each in one.keys],
        "state": one.standing.value,
        "connections": [
            {"peer": each.peer, "since": utc(each.since), "pid": each.pid}
            for each in connections
            if each.invitation == one.id
        ],
    }


def endpoint(
    kind: Literal["router", "lan"],
    user: str,
    host: str,
    port: int,
    protocol: str | None = None,
    verified: Literal["readback", "guest"] | None = None,
) -> results.Endpoint:
    return {
        "kind": kind,
        "host": host,
        "port": port,
        "command": f"ssh -p {port} {user}@{host}",
        "protocol": protocol,
        "verified": verified,
    }


def endpoints(
    user: str, held: Mapping | None, proven: str | None, lan_host: str, door_port: int | None
) -> list[results.Endpoint]:
    """Every address a guest can try, best first; none while the door is shut.

    `proven` is the id of the mapping through which somebody has come from the internet.
    """
    if door_port is None:
        return []
    found = []
    if held and held.external_host:
        found.append(
            endpoint(
                "router",
                user,
                held.external_host,
                held.external_port,
                held.protocol,
                _verified(held, proven),
            )
        )
    found.append(endpoint("lan", user, lan_host, door_port))
    return found


def _verified(held: Mapping, proven: str | None) -> Literal["readback", "guest"] | None:
    if held.id == proven:
        return "guest"
    return "readback" if held.protocol == "upnp" else None  # the others cannot be read back


def known_hosts(host: str, port: int, host_key: HostKey) -> str:
    """The line as OpenSSH writes it: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    name = host if port == 22 else f"[{host}]:{port}"
    return f"{name} {host_key.type} {host_key.blob}"


def pinned(command: str, host_key: HostKey) -> str:
    """`command`, checking the host key at first contact (ssh_config(5), KnownHostsCommand)."""
    printer = f"KnownHostsCommand=/bin/echo %H {host_key.type} {host_key.blob}"
    words = ["-o", printer, "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=/dev/null"]
    return command.replace("ssh ", f"ssh {shlex.join(words)} ", 1)


def reachability(
    held: Mapping | None, error: PairingError | None
) -> Literal["internet", "unverified", "lan"]:
    """What is known, not what is hoped: behind a second router nothing is known of the internet."""
    if held is None or not held.external_host:
        return "unverified" if error and error.code == "double-nat" else "lan"
    return "internet" if external_class(held.external_host) == "public" else "unverified"


def double_nat(held: Mapping | None) -> results.Problem | None:
    if held is None or reachability(held, None) != "unverified":
        return None
    return {
        "code": "double-nat",
        "message": f"the router's own address {held.external_host} is not on the internet",
        "hint": "forward the port on the router before it too, or ask the provider for a public "
        "address; guests out there may not reach you",
    }


def mapping(
    held: Mapping | None, error: PairingError | None, *, wanted: bool
) -> results.MappingInfo | None:
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
        "gateway": held.gateway if held else None,
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


def receipt(session: Session, history: Sequence[Happening]) -> results.Receipt:
    """Who came, from where and when: every visit, those under way with no `until`."""
    visits: dict[int, results.Visit] = {}
    done: list[results.Visit] = []
    refused = 0
    for one in history:
        if one.kind == "joined":
            visits[one.data["pid"]] = {
                "guest": one.data["guest"],
                "peer": one.data["peer"],
                "fingerprint": one.data["fingerprint"],
                "since": utc(one.at),
                "until": None,
                "why": None,
            }
            done.append(visits[one.data["pid"]])
        elif one.kind == "left" and one.data["pid"] in visits:
            visit = visits.pop(one.data["pid"])
            visit["until"], visit["why"] = utc(one.at), one.data["why"]
        elif one.kind == "refused":
            refused += 1
    return {
        "session": session.id,
        "started_at": utc(session.started_at),
        "ended_at": utc(session.ended_at) if session.ended_at else None,
        "invitations": [invitation(one) for one in session.invitations],
        "visits": done,
        "refused": refused,
    }
