"""What the daemon answers: the outward JSON, as `--json` prints it.

Times are RFC 3339 in UTC with `Z`, durations seconds, ports integers. Keys are never given in
full outside `known_hosts`.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from pairingd.protocol.confinement import AccountInfo, Boxed, BoxInfo, BoxSettings


class KeyInfo(TypedDict):
    type: str
    bits: int
    fingerprint: str
    comment: str


class Connection(TypedDict):
    """`typed_at`: when its guest typed last, null before they do. `waiting` is there, and true,
    while its guest waits for approval.
    """

    peer: str
    since: str
    pid: int
    typed_at: str | None
    waiting: NotRequired[bool]


class Conditions(TypedDict, total=False):
    """What the invitation is not bound to is left out: `ask` (the host approves each visit), `once`
    (one visit), `opens_at`, `join_by` (when the guest must have come), `idle_seconds`. `waiting` is
    there, and true, while somebody waits for approval; `from_address`, where the guest is dialed.
    """

    ask: bool
    waiting: bool
    once: bool
    opens_at: str
    join_by: str
    idle_seconds: int
    from_address: str


class Ending(TypedDict, total=False):
    """Of an invitation that is over: when, and a cause as in Visit."""

    over_at: str
    cause: str


class InvitationInfo(Conditions, Ending):
    """`scheduled` until `opens_at`. `came_at`, beside `join_by`, is when the guest came."""

    id: str
    guest: str
    access: Literal["write", "read"]
    issued_at: str
    expires_at: str
    keys: list[KeyInfo]
    state: Literal["scheduled", "live", "expired", "revoked", "ended"]
    connections: list[Connection]
    came_at: NotRequired[str]


class Endpoint(TypedDict):
    kind: Literal["direct", "router", "ipv6", "lan", "relay", "jump", "dial", "cgnat"]
    host: str
    port: int
    command: str
    protocol: str | None
    verified: Literal["readback", "hairpin", "stranger", "outside", "guest"] | None
    via: NotRequired[str]  # of a jump: the machine that ssh -J logs in to
    proxy: NotRequired[str]  # of a dial: ssh's ProxyCommand
    guest: NotRequired[str]  # whose alone it is


class HostKey(TypedDict):
    type: str
    fingerprint: str
    known_hosts: str


class Problem(TypedDict):
    """A warning, or the error of a mapping: one line of cause, one of remedy."""

    code: str
    message: str
    hint: str


class Invited(Boxed):
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


class SessionInfo(Boxed):
    """`id` is that of the session under way, null where nobody is invited. `running` is true only
    if tmux has reported it; `clients` counts the attached terminals.
    """

    id: str | None
    name: str
    socket: str
    running: bool
    clients: int
    confinement: Literal["plain", "box", "account"]


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


class SecondMapping(TypedDict, total=False):
    """The mapping on a second router in front of the first, to the first one's external port; left
    out where none is needed.
    """

    second_mapping: MappingInfo


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


class Arrivals(TypedDict):
    """How many connections the door has accepted from the internet since pairingd started. Who they
    were, it does not say.
    """

    count: int


class Knock(TypedDict):
    """Logins that sshd refused, from one address for one reason; `peer` is "" for those of many
    addresses, counted together. The client chose which public keys it offered, so a fingerprint
    does not prove whose they are. `banned_until` is null unless the address is kept out now.
    """

    peer: str
    fingerprints: list[str]
    times: int
    first_at: str
    last_at: str
    banned_until: str | None
    message: str
    hint: str


class Knocking(TypedDict, total=False):
    """The refused logins of the session under way, the latest first; left out while there are none
    or nobody is invited.
    """

    knocking: list[Knock]


class Status(Knocking, SecondMapping):
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
    access: Literal["write", "read"]
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
    """`attach`: whether the host wants to be in the session after each invitation. `boxed`: null
    where the session is in no box, or does not run. `as_account`: the same of the user as whom it
    runs; `account` is the one that the configuration names, "" for none. `ask`: whether the
    configuration has the host approve each visit.
    """

    version: str
    protocol: int
    pid: int
    session: str
    tmux: str
    tmux_socket: str
    attach: bool
    ask: bool
    box: BoxSettings
    boxed: BoxInfo | None
    account: str
    as_account: AccountInfo | None


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
    """One terminal in the session, from `since` to `until`. A login without one is none.

    `why` it ended: the deadline (`expired`), the host's `revoke` or `end` (`ended`, also for what
    pairing does not let a guest do), the guest (`left`), the end of the tmux session or of
    pairingd, or a condition of the invitation. Only with `denied` the guest did not come in: the
    host said no, or nobody answered. `about` has it in words. `typed_at` is when the guest typed
    last, null if they did not; what they typed is not recorded.
    """

    guest: str
    peer: str
    fingerprint: str
    since: str
    until: str | None
    why: (
        Literal[
            "expired",
            "revoked",
            "ended",
            "left",
            "tmux-gone",
            "daemon-stopped",
            "denied",
            "idle",
            "used",
        ]
        | None
    )
    about: str | None
    typed_at: str | None


# `from` is a keyword of Python.
Change = TypedDict(
    "Change",
    {
        "at": str,
        "guest": str,
        "what": Literal["role", "deadline"],
        "from": str,
        "to": str,
        "by": Literal["host", "pairingd"],
    },
)


class Refusal(TypedDict):
    """Logins from one address that were refused for one reason, the last of them at that time."""

    at: str
    peer: str
    fingerprints: list[str]
    times: int
    message: str


class Receipt(TypedDict):
    """`changes` of a guest's role (`write`, `read`) or deadline; `by` `host` is a command of the
    host's account, which a write guest can run, too. `refused` counts the refused logins, of which
    `refusals` tells.
    """

    session: str
    started_at: str
    ended_at: str | None
    invitations: list[InvitationInfo]
    changes: list[Change]
    visits: list[Visit]
    refused: int
    refusals: list[Refusal]


class ReceiptLine(TypedDict):
    """`visits` are not counted here: `receipt` has them."""

    session: str
    started_at: str
    ended_at: str | None
    guests: list[str]


class Receipts(TypedDict):
    """The newest first."""

    sessions: list[ReceiptLine]


class Setting(TypedDict):
    key: str
    value: Any
    source: str


class Settings(TypedDict):
    file: str
    settings: list[Setting]


class Nothing(TypedDict):
    pass


class Stopping(TypedDict):
    pid: int


class Progress(TypedDict):
    """Sent as notification `progress` during a request."""

    step: Literal["keys", "session", "door", "router"]
    state: Literal["begun", "done", "failed"]
    text: str
