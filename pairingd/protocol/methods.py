"""The methods of the control socket: the purpose, parameters and result of each.

This table is the protocol: the server knows no other method; docs/protocol.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

from pairingd.protocol import params, results

P = TypeVar("P")
R = TypeVar("R")


class Method(Struct, Generic[P, R], frozen=True):
    """`params` is a record of params.py, `result` a TypedDict of results.py; `about` is one
    sentence for the documentation.
    """

    name: str
    params: type[P]
    result: type[R]
    about: str


HELLO = Method(
    "hello",
    params.Hello,
    results.Hello,
    "Exchange versions; must be the first request on a connection.",
)
INVITE = Method(
    "invite",
    params.Invite,
    results.Invited,
    "Fetch the guests' keys, open the door and the router's port. All guests or none.",
)
PREPARE = Method(
    "prepare",
    params.Nothing,
    results.Nothing,
    "Load and test what `invite` needs; a notification from a client that is about to invite.",
)
GATEWAY = Method(
    "gateway",
    params.Gateway,
    results.Gateway,
    "Use the router that a client has found, if the daemon is not allowed to search.",
)
REACH = Method(
    "reach",
    params.Nothing,
    results.Reach,
    "Send one datagram to the router, and report whether the system refuses that to the daemon.",
)
ARRIVALS = Method(
    "arrivals", params.Nothing, results.Arrivals, "Count what has come over the internet."
)
SHOW = Method(
    "show", params.Show, results.Invited, "The result of `invite` again, for a live guest."
)
STATUS = Method(
    "status", params.Status, results.Status, "The invitations, and what the daemon observes."
)
EXTEND = Method("extend", params.Extend, results.Changed, "Move a live guest's deadline.")
REVOKE = Method(
    "revoke", params.Revoke, results.Changed, "End the invitations of live guests, at once."
)
ROLE = Method("role", params.Role, results.Changed, "Change a live guest's access.")
ASK = Method(
    "ask",
    params.Ask,
    results.Answer,
    "Called by a waiting guest's forced command. Replies once the host has decided, or time is up.",
)
WAITING = Method("waiting", params.Nothing, results.Waiting, "Who waits for the host's approval.")
APPROVE = Method("approve", params.Decide, results.Changed, "Let a waiting guest in.")
DENY = Method("deny", params.Decide, results.Changed, "Turn a waiting guest away.")
END = Method(
    "end", params.Nothing, results.Changed, "End every invitation; the tmux session stays."
)
WATCH = Method(
    "watch",
    params.Log,
    results.Log,
    "As `log`; each later event is sent as a notification `event`.",
)
LOG = Method("log", params.Log, results.Log, "The history.")
RECEIPT = Method(
    "receipt", params.Receipt, results.Receipt, "Who connected in a session, from where and when."
)
RECEIPTS = Method("receipts", params.Nothing, results.Receipts, "The sessions that have a receipt.")
CONFIG = Method(
    "config", params.Nothing, results.Settings, "The settings in force and where each comes from."
)
STOP = Method(
    "stop", params.Nothing, results.Stopping, "Close everything and exit; the tmux session stays."
)

METHODS: Mapping[str, Method[Any, Any]] = {
    method.name: method
    for method in (
        *(HELLO, PREPARE, INVITE, GATEWAY, REACH, ARRIVALS, SHOW, STATUS, EXTEND, REVOKE, ROLE),
        *(ASK, WAITING, APPROVE, DENY, END),
        *(WATCH, LOG, RECEIPT, RECEIPTS, CONFIG, STOP),
    )
}
