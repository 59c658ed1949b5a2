"""Plain data, as TOML and JSON have it, into frozen records: strictly, and with the place of
what does not fit.

For what an idle daemon must read: its configuration, its own records, a helper's answer. pydantic
does this too, but takes 11 MiB to do so (docs/performance.md); it guards the control socket, where
strangers' programs speak and the schema is published.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from enum import Enum
from math import isfinite
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from msgspec import Struct
from msgspec.structs import fields

from pairingd.core.text import quoted

T = TypeVar("T")

_CALLED = {
    str: "text in quotes",
    int: "an integer",
    float: "a number",
    bool: "a boolean, true or false",
    NoneType: "nothing",
}


class Unfit(ValueError):
    """`value` at the place `at` is not what it must be: `why` says what that is."""

    def __init__(self, at: tuple[str, ...], value: object, why: str) -> None:
        super().__init__(f"{quoted('.'.join(at))}: must be {why}")
        self.at = at
        self.value = value
        self.why = why


class Unknown(Unfit):
    """There is no such key at that place; `allowed` are those that are."""

    def __init__(self, at: tuple[str, ...], value: object, allowed: tuple[str, ...]) -> None:
        super().__init__(at, value, "left out")
        self.allowed = allowed


def read(kind: type[T], value: object, *, passing_over: bool = False) -> T:
    """`value` as a `kind`: a Struct, whose fields may again be of one, of a plain type, Literal,
    Enum, tuple, dict, or any of these or None. No number or text is converted. Raises Unfit.

    `Annotated[kind, check, ...]`: each check is given what was read, returns what is to be taken,
    and raises ValueError with what it must be. A class with a classmethod `spelled` reads itself.
    Unknown keys are refused, unless they are `passing_over`. A field may be left out that has a
    default.
    """
    read: T = _Reader(passing_over).read(kind, value, ())
    return read


def from_json(text: str | bytes) -> Any:
    """JSON without NaN, Infinity and numbers that only these could hold (RFC 8259 §6).

    Raises ValueError, also for what is nested too deep to be read.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite_float)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is too large")  # and could not be given back as JSON
    return number


def between(low: int, high: int) -> Callable[[int], int]:
    """A check for `read`: both ends are allowed."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"from {low} to {high}")
        return value

    return check


class _Reader:
    def __init__(self, passing_over: bool) -> None:  # noqa: FBT001 - private, one caller
        self._passing_over = passing_over

    def read(self, kind: Any, value: Any, at: tuple[str, ...]) -> Any:
        inner = get_args(kind)
        match get_origin(kind):
            case None:
                return self._plain(kind, value, at)
            case origin if origin is Annotated:
                read = self.read(inner[0], value, at)
                for check in inner[1:]:
                    read = _checked(check, read, at, written=value)
                return read
            case origin if origin is Literal:
                return _one_of(inner, value, at)
            case origin if origin in {UnionType, Union}:
                (other,) = (one for one in inner if one is not NoneType)
                return None if value is None else self.read(other, value, at)
            case origin if origin is dict:
                if not isinstance(value, dict):
                    raise Unfit(at, value, "a table")
                return {
                    self.read(inner[0], key, at): self.read(inner[1], one, (*at, key))
                    for key, one in value.items()
                }
            case _:
                return self._tuple(inner, value, at)

    def _record(self, kind: Any, value: object, at: tuple[str, ...]) -> Any:
        if not isinstance(value, dict):
            raise Unfit(at, value, "a table")
        known = _fields(kind)
        if not self._passing_over:
            for key in value:
                if key not in known:
                    raise Unknown((*at, key), value[key], tuple(known))
        for key, field in known.items():
            if field.required and key not in value:
                raise Unfit(at, value, f"a table with {key}")
        return kind(
            **{
                field.name: self.read(field.kind, value[key], (*at, key))
                for key, field in known.items()
                if key in value
            }
        )

    def _plain(self, kind: Any, value: object, at: tuple[str, ...]) -> Any:
        if hasattr(kind, "spelled"):
            return _checked(kind.spelled, value, at, written=value)
        if issubclass(kind, Struct):
            return self._record(kind, value, at)
        if issubclass(kind, Enum):
            return kind(_one_of(tuple(one.value for one in kind), value, at))
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        raise Unfit(at, value, _CALLED[kind])

    def _tuple(self, inner: tuple[Any, ...], value: object, at: tuple[str, ...]) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Unfit(at, value, "a list")
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise Unfit(at, value, f"a list of {len(kinds)}")
        return tuple(
            self.read(kind, one, (*at, str(index)))
            for index, (kind, one) in enumerate(zip(kinds, value, strict=True))
        )


class _Field(NamedTuple):
    name: str
    kind: Any
    required: bool


@functools.cache
def _fields(kind: Any) -> dict[str, _Field]:
    """By the key that each has in the data: `msgspec.field(name=...)`, or else its own name."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.encode_name: _Field(field.name, hints[field.name], field.required)
        for field in fields(kind)
    }


def _one_of(allowed: tuple[Any, ...], value: Any, at: tuple[str, ...]) -> Any:
    if value in allowed:
        return value
    *others, last = (repr(one) for one in allowed)
    raise Unfit(at, value, " or ".join(filter(None, (", ".join(others), last))))


def _checked(check: Any, value: object, at: tuple[str, ...], *, written: object) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise Unfit(at, written, str(error)) from None
