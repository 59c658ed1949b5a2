"""What each method takes: the boundary to other people's programs, as pydantic models.

The types and no more: what is too long, too many or not a name the rules refuse in their own words.
docs/protocol.md has their schemas. This module alone imports pydantic, and the server imports it
with the first request that has something to check: an idle daemon does without the 11 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field


def _written_out(value: object) -> object:
    """RFC 3339 §5.6; pydantic also takes a number, as seconds since the epoch."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("not an RFC 3339 time")
    return value


def _unicode(value: object) -> object:
    """JSON can escape half of a surrogate pair; no file, terminal or database takes it."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("not Unicode text") from None
    return value


Text = Annotated[str, BeforeValidator(_unicode)]
Seconds = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]
# Behind a validator of one's own, strict pydantic would take no text for a time.
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_out)]


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InviteParams(Params):
    """`ttl`, `access` and `port` default to the configuration."""

    guests: Annotated[list[Text], Field(min_length=1)]
    ttl: Seconds | None = None
    access: Literal["write", "read"] | None = None
    port: Port | None = None


class GatewayParams(Params):
    """LOCATION values from an SSDP search, likeliest first.

    Each is a plain http URL at the gateway's address, or at another one of the same network.
    """

    description_urls: Annotated[
        list[Annotated[Text, Field(min_length=1, max_length=512)]],
        Field(min_length=1, max_length=10),
    ]


class ShowParams(Params):
    """A live guest."""

    guest: Text


class StatusParams(Params):
    all: bool = False


class ExtendParams(Params):
    """`seconds` is added to the deadline; `until` replaces it. Exactly one of them."""

    guest: Text
    seconds: Seconds | None = None
    until: Moment | None = None


class RevokeParams(Params):
    guests: Annotated[list[Text], Field(min_length=1)]


class RoleParams(Params):
    guest: Text
    access: Literal["write", "read"]


class LogParams(Params):
    """The newest `limit` events, oldest first; only those after the event `after`."""

    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=10000)] = 1000


class ReceiptParams(Params):
    session: Text | None = None


# Methods that are not here take nothing.
MODELS: Mapping[str, type[Params]] = {
    "invite": InviteParams,
    "gateway": GatewayParams,
    "show": ShowParams,
    "status": StatusParams,
    "extend": ExtendParams,
    "revoke": RevokeParams,
    "role": RoleParams,
    "watch": LogParams,
    "log": LogParams,
    "receipt": ReceiptParams,
}
