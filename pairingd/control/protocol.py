"""The methods of the control socket: what each takes, what each answers.

This table is the protocol. The server dispatches on it and docs/protocol.md is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pairingd.control import results

Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 86400)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1, max_length=16384)]


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HelloParams(Params):
    """The client's side of the handshake. The client compares."""

    version: str = Field(default="", max_length=64)
    protocol: int = 0


class InviteParams(Params):
    """`ttl` and `access` left out come from the configuration, `port` too."""

    guests: Annotated[list[Name], Field(min_length=1, max_length=32)]
    ttl: Seconds | None = None
    access: Literal["write", "read"] | None = None
    port: Port | None = None


class ShowParams(Params):
    """The invitation of a live guest, told anew."""

    guest: Name


class StatusParams(Params):
    all: bool = False


class ExtendParams(Params):
    """`seconds` is added to the deadline; `until` replaces it. Exactly one of them."""

    guest: Name
    seconds: Seconds | None = None
    until: Annotated[AwareDatetime, Field(strict=False)] | None = None


class RevokeParams(Params):
    guests: Annotated[list[Name], Field(min_length=1, max_length=32)]


class RoleParams(Params):
    guest: Name
    access: Literal["write", "read"]


class LogParams(Params):
    """The newest `limit` events, oldest first; only those after the event `after`."""

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=10000)] = 1000


class ReceiptParams(Params):
    session: Annotated[str, Field(max_length=64)] | None = None


class NoParams(Params):
    pass


@dataclass(frozen=True, slots=True)
class Method:
    """`about` is one sentence for the documentation; `result` is a TypedDict of results.py."""

    params: type[Params]
    result: type
    about: str


METHODS: Mapping[str, Method] = {
    "hello": Method(
        HelloParams, results.Hello, "Versions both ways; must come first on a connection."
    ),
    "invite": Method(
        InviteParams,
        results.Invited,
        "Fetch the guests' keys, open the door and the router. All guests or none.",
    ),
    "show": Method(ShowParams, results.Invited, "What `invite` answered, made anew."),
    "status": Method(StatusParams, results.Status, "What is wished and what is observed."),
    "extend": Method(ExtendParams, results.Changed, "Move a live guest's deadline."),
    "revoke": Method(RevokeParams, results.Changed, "Take live guests' rights away, at once."),
    "role": Method(RoleParams, results.Changed, "Change what a live guest may do."),
    "end": Method(NoParams, results.Changed, "End every invitation; the tmux session stays."),
    "watch": Method(
        LogParams, results.Log, "As `log`; every later event follows as a notification `event`."
    ),
    "log": Method(LogParams, results.Log, "The history."),
    "receipt": Method(ReceiptParams, results.Receipt, "Who came, from where and when."),
    "config": Method(NoParams, results.Settings, "What is in force and where it came from."),
    "stop": Method(
        NoParams, results.Stopping, "Close everything and exit; the tmux session stays."
    ),
}
