"""The parameters of each method: the boundary to other people's programs.

Types only: the rules refuse what is too long, too many or not a name, with their own messages.
docs/protocol.md has the schemas, which are pydantic's. `strict` reads a request first. If it
refuses, pydantic decides and words the error. pydantic (11 MiB) is imported only for such a
request, or for one with a time.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from pairingd.core.text import one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

P = TypeVar("P")

_MAX_NAME_CHARS = 80  # of a parameter's name, which the client chooses


# pydantic-core's constraints, as far as they are used where `strict` reads.
_CONSTRAINTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "min_length": lambda value, least: len(value) >= least,
    "max_length": lambda value, most: len(value) <= most,
}


class Rule:
    """Constraints beyond a type, for pydantic and for `strict.read`. `check` raises ValueError; it
    comes before `limits`, which are pydantic-core's own (`gt`, `min_length` …).
    """

    def __init__(self, check: Callable[[object], object] | None = None, **limits: object) -> None:
        self._check = check
        self._limits = limits

    def __call__(self, value: object) -> object:
        """Return the value. Raises ValueError, also for a limit that only pydantic knows."""
        if self._check:
            value = self._check(value)
        for name, limit in self._limits.items():
            if name not in _CONSTRAINTS or not _CONSTRAINTS[name](value, limit):
                raise ValueError(f"{name} {limit}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        schema = {**handler(source), **self._limits}
        if self._check is None:
            return schema
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._check, schema)


def _unicode(value: object) -> object:
    """JSON can escape half of a surrogate pair; no file, terminal or database takes it."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("not Unicode text") from None
    return value


def _rfc_3339(value: object) -> object:
    """RFC 3339 §5.6; pydantic also takes a number, as seconds since the epoch."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("not an RFC 3339 time")
    return value


Text = Annotated[str, Rule(_unicode)]
Url = Annotated[str, Rule(_unicode, min_length=1, max_length=512)]
Guests = Annotated[list[Text], Rule(min_length=1)]
Seconds = Annotated[int, Rule(gt=0)]
Port = Annotated[int, Rule(ge=1, le=65535)]
Moment = Annotated[datetime, Rule(_rfc_3339, strict=False, tz_constraint="aware")]


class Nothing(Struct, frozen=True):
    pass


class Hello(Struct, frozen=True):
    """The client's side of the handshake. The client compares."""

    version: str = ""
    protocol: int = 0


class Invite(Struct, frozen=True):
    """`ttl`, `access` and `port` default to the configuration; a guest `@NAME` is a group of it.

    `ask`: the host approves each visit, as where the configuration says so. `wait`, only with
    `ask`: guests may ask also while nobody is attached to the session. `at`: nobody may enter
    before, and `ttl` counts from then. `once`: the first visit is the only one. `join_within`:
    seconds in which the guest must come. `idle`: seconds without a sign of life after which the
    invitation is over. `from_address`: the public address of the one guest, whom the host then
    dials. `tmux`: the program that the client has made the session with, where the daemon finds
    none or another. `box`: the id of the box in which the session must run, "" for none; not
    given: whichever.
    """

    guests: Guests
    ttl: Seconds | None = None
    access: Literal["write", "read"] | None = None
    port: Port | None = None
    ask: bool = False
    wait: bool = False
    at: Moment | None = None
    once: bool = False
    join_within: Seconds | None = None
    idle: Seconds | None = None
    from_address: Text | None = None
    tmux: Text | None = None
    box: Text | None = None


class Gateway(Struct, frozen=True):
    """LOCATION values from an SSDP search, likeliest first.

    Each is a plain http URL at the gateway's address, or at another one of the same network.
    """

    description_urls: Annotated[list[Url], Rule(min_length=1, max_length=10)]


class Show(Struct, frozen=True):
    """A live guest."""

    guest: Text


class Status(Struct, frozen=True):
    """`all` adds past invitations, of which the newest `limit` are listed, oldest first."""

    all: bool = False
    limit: Annotated[int, Rule(ge=1, le=10000)] = 1000


class Extend(Struct, frozen=True):
    """`seconds` is added to the deadline; `until` replaces it. Exactly one of them."""

    guest: Text
    seconds: Seconds | None = None
    until: Moment | None = None


class Revoke(Struct, frozen=True):
    guests: Guests


class Role(Struct, frozen=True):
    guest: Text
    access: Literal["write", "read"]


class Ask(Struct, frozen=True):
    """`process` is the pid of the forced command at whose terminal the guest waits."""

    process: Annotated[int, Rule(gt=0)]


class Decide(Struct, frozen=True):
    """A live guest; of several connections that wait only `connection`, a pid of `waiting`."""

    guest: Text
    connection: int | None = None


class Log(Struct, frozen=True):
    """The newest `limit` events, oldest first; only those after the event `after`."""

    after: Annotated[int, Rule(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Rule(ge=1, le=10000)] = 1000


class Receipt(Struct, frozen=True):
    session: Text | None = None


_models: dict[type[Any], type[BaseModel]] = {}


def read_by_pydantic(kind: type[P], given: Mapping[str, object]) -> P:
    """Raises ValueError with the name of the wrong parameter and the reason."""
    from pydantic import ValidationError

    try:
        return kind(**dict(model(kind).model_validate(given)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = one_line(".".join(str(part) for part in first["loc"]), _MAX_NAME_CHARS) or "params"
        raise ValueError(f"{where}: {first['msg']}") from None


def model(kind: type[Any]) -> type[BaseModel]:
    """Return `kind` as a pydantic model: strict, without other members."""
    if kind in _models:
        return _models[kind]
    # Nothing here needs plugins, and the search for them takes longer than the import.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind, include_extras=True)
    members: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.required else field.default)
        for field in fields(kind)
    }
    config = ConfigDict(extra="forbid", strict=True)
    _models[kind] = create_model(kind.__name__, __config__=config, **members)
    return _models[kind]
