"""Results about a confined session: in a box, or as an account."""

from __future__ import annotations

from typing import Literal, TypedDict


class BoxInfo(TypedDict):
    """What of the host's it shares."""

    id: str
    directory: str
    network: str


class AccountInfo(TypedDict):
    """`id` is that of the session's place, as of a box."""

    id: str
    name: str


class Boxed(TypedDict, total=False):
    """The box in which the session is, or the user as whom it runs; left out where it is the host's
    own.
    """

    box: BoxInfo
    account: str


class BoxSettings(TypedDict):
    """`[box]` of config.toml. `memory` in bytes and `processes` are 0 where there is no limit."""

    read: list[str]
    write: list[str]
    env: list[str]
    network: Literal["none", "internet", "full"]
    memory: int
    processes: int
