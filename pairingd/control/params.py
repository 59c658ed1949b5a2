"""What each method takes: the boundary to other people's programs, as pydantic models.

docs/protocol.md has their schemas. This module alone imports pydantic, and the server imports it
with the first request that has something to check: an idle daemon does without the 11 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 86400)]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1, max_length=16384)]


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InviteParams(Params):
    """`ttl` and `access` left out come from the configuration, `port` too."""

    guests: Annotated[list[Name], Field(min_length=1, max_length=32)]
    ttl: Seconds | None = None
    access: Literal["write", "read"] | None = None
    port: Port | None = None


class GatewayParams(Params):
    """LOCATIONs that a search by SSDP has heard of, the likeliest first.

    Each a plain http URL at the gateway's address, or at another one of the same network.
    """

    description_urls: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512)]],
        Field(min_length=1, max_length=10),
    ]


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
