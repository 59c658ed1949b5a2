"""The result of a check: one line of cause, one of remedy."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct

from pairingd.doctor.daemon import Daemon
from pairingd.errors import PairingError
from pairingd.home.config import Settings
from pairingd.home.paths import Paths


class State(StrEnum):
    """WARN: guests can connect, but not in every case or not from everywhere."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """`details` are further lines, such as a router's table."""

    name: str
    state: State
    message: str
    hint: str = ""
    details: tuple[str, ...] = ()

    @classmethod
    def ok(cls, name: str, message: str, *details: str) -> Finding:
        return cls(name, State.OK, message, "", details)

    @classmethod
    def warn(cls, name: str, message: str, hint: str, *details: str) -> Finding:
        return cls(name, State.WARN, message, hint, details)

    @classmethod
    def fail(cls, name: str, message: str, hint: str, *details: str) -> Finding:
        return cls(name, State.FAIL, message, hint, details)

    @classmethod
    def of(cls, name: str, error: PairingError, state: State = State.FAIL) -> Finding:
        return cls(name, state, error.message, error.hint)

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "name": self.name,
            "state": self.state.value,
            "message": self.message,
            "hint": self.hint,
        }
        return fields | ({"details": list(self.details)} if self.details else {})


class Subject(Struct, frozen=True):
    """What to examine. `paths` is None if no home is possible. `settings` are the defaults if
    config.toml cannot be read. `places`: the findings on its directories and files. `outside` is a
    port checker's URL.
    """

    paths: Paths | None
    settings: Settings
    daemon: Daemon
    places: Sequence[Finding] = ()
    fix: bool = False
    router: bool = False
    verbose: bool = False
    outside: str = ""


class Check(Struct, frozen=True):
    """`seconds` is its time limit, also where the machine is busy; findings until then count.
    `as_configured`: it asks other machines, those that config.toml names.
    """

    name: str
    call: Callable[[Subject], AsyncIterator[Finding]]
    seconds: float = 30.0
    as_configured: bool = False


def tilde(path: str | Path) -> str:
    """The path with `~` for the home directory."""
    text, prefix = str(path), str(home())
    return "~" + text.removeprefix(prefix) if text.startswith(prefix + "/") else text


def exists(path: str | Path) -> bool:
    """False also where we may not look; Path.exists() would raise."""
    return os.path.exists(path)  # noqa: PTH110 - as above


def home() -> Path:
    """`~` if neither HOME nor an account names it, where Path.home() would raise."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() would raise
