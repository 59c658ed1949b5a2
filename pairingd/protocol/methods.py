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
    "hello": Method(results.Hello, "Versions both ways; must come first on a connection."),
    "invite": Method(
        results.Invited,
        "Fetch the guests' keys, open the door and the router. All guests or none.",
        demands=True,
        progress=True,
    ),
    "gateway": Method(
        results.Gateway,
        "Take the router that a client has found, where the daemon may not search, and ask it.",
        demands=True,
        progress=True,
    ),
    "show": Method(results.Invited, "What `invite` answered, made anew.", demands=True),
    "status": Method(results.Status, "What is wished and what is observed."),
    "extend": Method(results.Changed, "Move a live guest's deadline.", demands=True),
    "revoke": Method(results.Changed, "Take live guests' rights away, at once.", demands=True),
    "role": Method(results.Changed, "Change what a live guest may do.", demands=True),
    "end": Method(results.Changed, "End every invitation; the tmux session stays."),
    "watch": Method(results.Log, "As `log`; every later event follows as a notification `event`."),
    "log": Method(results.Log, "The history."),
    "receipt": Method(results.Receipt, "Who came, from where and when."),
    "config": Method(results.Settings, "What is in force and where it came from."),
    "stop": Method(results.Stopping, "Close everything and exit; the tmux session stays."),
}
