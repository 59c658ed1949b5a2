"""What the daemon answers: the outward JSON, as `--json` prints it.

Times are RFC 3339 in UTC with `Z`, durations seconds, ports integers. Keys are never given in
full outside `known_hosts`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class KeyInfo(TypedDict):
    type: str
    bits: int
    fingerprint: str
    comment: str


class Connection(TypedDict):
    peer: str
    since: str
    pid: int


class Conditions(TypedDict, total=False):
    """What the invitation is not bound to is left out: `ask` (the host approves each visit), `once`
    (one visit), `opens_at`, `join_by` (when the guest must have come), `idle_seconds`. `waiting` is
    there, and true, while somebody waits for approval.
    """

    ask: bool
    waiting: bool
    once: bool
    opens_at: str
    join_by: str
    idle_seconds: int


class InvitationInfo(Conditions):
    """`scheduled` until `opens_at`."""

    id: str
    guest: str
    access: Literal["write", "read"]
    issued_at: str
    expires_at: str
    keys: list[KeyInfo]
    state: Literal["scheduled", "live", "expired", "revoked", "ended"]
    connections: list[Connection]


class Endpoint(TypedDict):
    kind: Literal["direct", "router", "ipv6", "lan", "relay"]
    host: str
    port: int
    command: str
    protocol: str | None
    verified: Literal["readback", "hairpin", "guest"] | None


class HostKey(TypedDict):
    type: str
    fingerprint: str
    known_hosts: str


class Problem(TypedDict):
    """A warning, or the error of a mapping: one line of cause, one of remedy."""

    code: str
    message: str
    hint: str


class Invited(TypedDict):
    invitations: list[InvitationInfo]
    command: str
    pinned_command: str
    endpoints: list[Endpoint]
    host_key: HostKey
    reachability: Literal["internet", "unverified", "lan"]
    warnings: list[Problem]


class DaemonInfo(TypedDict):
    version: str
    pid: int
    started_at: str


class SessionInfo(TypedDict):
    """`running` is true only if tmux has reported it; `clients` counts the attached terminals."""

    name: str
    socket: str
    running: bool
    clients: int


class DoorInfo(TypedDict):
    open: bool
    port: int | None


class MappingInfo(TypedDict):
    state: Literal["open", "opening", "failed"]
    protocol: str | None
    gateway: str | None
    external_host: str | None
    external_port: int | None
    internal_port: int | None
    expires_at: str | None
    error: Problem | None


class Gateway(TypedDict):
    """The state of the mapping; null if none is needed."""

    mapping: MappingInfo | None


class Reach(TypedDict):
    """`gateway` is null without a router, or where pairing does not use one. `errno` is the name of
    the system's refusal, such as EHOSTUNREACH, and `error` its meaning. Both are null if the
    datagram was sent, whether or not the router has received it.
    """

    gateway: str | None
    errno: str | None
    error: Problem | None


class Status(TypedDict):
    daemon: DaemonInfo
    session: SessionInfo
    invitations: list[InvitationInfo]
    door: DoorInfo
    mapping: MappingInfo | None
    endpoints: list[Endpoint]
    warnings: list[Problem]


class Changed(TypedDict):
    """The changed invitations. `warnings` has what could not be done yet and will be retried.
    If a connected guest can still use what `revoke`, `end` or `role` took away, the reply is an
    error instead; the change holds all the same.
    """

    invitations: list[InvitationInfo]
    warnings: list[Problem]


class Visitor(TypedDict):
    """A connection that waits for approval. `pid` is its sshd's; no answer `until` then is a no."""

    guest: str
    fingerprint: str
    peer: str
    pid: int
    until: str


class Waiting(TypedDict):
    visitors: list[Visitor]


class Answer(TypedDict):
    """`text` is for the guest who was not let in."""

    approved: bool
    text: str


class Hello(TypedDict):
    version: str
    protocol: int
    pid: int
    session: str
    tmux: str
    tmux_socket: str


class Event(TypedDict):
    """One line of the history. `kind` is stable; `text` is for people, with controls escaped."""

    id: int
    at: str
    session: str | None
    kind: str
    text: str
    data: dict[str, Any]


class Log(TypedDict):
    events: list[Event]


class Visit(TypedDict):
    """One authenticated connection, from `since` to `until`."""

    guest: str
    peer: str
    fingerprint: str
    since: str
    until: str | None
    why: str | None


class Receipt(TypedDict):
    session: str
    started_at: str
    ended_at: str | None
    invitations: list[InvitationInfo]
    visits: list[Visit]
    refused: int


class Setting(TypedDict):
    key: str
    value: Any
    source: str


class Settings(TypedDict):
    file: str
    settings: list[Setting]


class Stopping(TypedDict):
    pid: int


class Progress(TypedDict):
    """Sent as notification `progress` during a request."""

    step: Literal["keys", "session", "door", "router"]
    state: Literal["begun", "done", "failed"]
    text: str
