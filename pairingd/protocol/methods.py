"""The methods of the control socket: what each is for, what it answers, and the handshake.

This table is the protocol: the server knows no other method, docs/protocol.md is made from it, and
params.py has what each method takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pairingd.protocol import results


@dataclass(frozen=True, slots=True)
class Greeting:
    """The client's side of the handshake. The client compares."""

    version: str = ""
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """`about` is one sentence for the documentation; `result` is a TypedDict of results.py.

    `demands`: whether it cannot be called without params. `progress`: whether it sends such
    notifications before its reply.
    """

    result: type
    about: str
    demands: bool = False
    progress: bool = False


METHODS: Mapping[str, Method] = {
    "hello": Method(results.Hello, "Exchange versions; must be the first request on a connection."),
    "invite": Method(
        results.Invited,
        "Fetch the guests' keys, open the door and the router's port. All guests or none.",
        demands=True,
        progress=True,
    ),
    "gateway": Method(
        results.Gateway,
        "Use the router that a client has found, if the daemon is not allowed to search.",
        demands=True,
        progress=True,
    ),
    "show": Method(
        results.Invited, "The result of `invite` again, for a live guest.", demands=True
    ),
    "status": Method(results.Status, "The invitations, and what the daemon observes."),
    "extend": Method(results.Changed, "Move a live guest's deadline.", demands=True),
    "revoke": Method(results.Changed, "End the invitations of live guests, at once.", demands=True),
    "role": Method(results.Changed, "Change a live guest's access.", demands=True),
    "end": Method(results.Changed, "End every invitation; the tmux session stays."),
    "watch": Method(results.Log, "As `log`; each later event is sent as a notification `event`."),
    "log": Method(results.Log, "The history."),
    "receipt": Method(results.Receipt, "Who connected in a session, from where and when."),
    "config": Method(results.Settings, "The settings in force and where each comes from."),
    "stop": Method(results.Stopping, "Close everything and exit; the tmux session stays."),
}
