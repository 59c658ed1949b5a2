"""Converts plain data, from TOML or JSON, to frozen records: strictly; errors name the key.

For what the daemon reads: its configuration, its own records, a helper's answer, requests. pydantic
does this too, but takes 11 MiB (docs/performance.md). It judges what this refuses of a request,
because the schema of requests is published (protocol/params.py).
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

_TYPE_NAMES = {
    str: "text in quotes",
    int: "an integer",
    float: "a number",
    bool: "a boolean, true or false",
    NoneType: "nothing",
}


class Unfit(ValueError):
    """`value` at the key `path` is not what is `expected`."""

    def __init__(self, path: tuple[str, ...], value: object, expected: str) -> None:
        super().__init__(f"{quoted('.'.join(path))}: must be {expected}")
        self.path = path
        self.value = value
        self.expected = expected


class Unknown(Unfit):
    """There is no such key at that place; `allowed` are those that exist."""

    def __init__(self, path: tuple[str, ...], value: object, allowed: tuple[str, ...]) -> None:
        super().__init__(path, value, "left out")
        self.allowed = allowed


def read(kind: type[T], value: object, *, passing_over: bool = False) -> T:
    """Return `value` as a `kind`: a Struct, whose fields are a Struct, a plain type, Literal, Enum,
    tuple, list, dict, or any of these or None. Converts no number or text. Raises Unfit.

    `Annotated[kind, check, ...]`: each check gets the value, returns the value to use, and raises
    ValueError with what is allowed, or without a text if it is marked by `allows`. A class with a
    classmethod `spelled` reads itself. Unknown keys are refused, unless `passing_over`. A field
    that has a default may be left out.
    """
    read: T = _Reader(passing_over).read(kind, value, ())
    return read


def from_json(text: str | bytes) -> Any:
    """Parse JSON without NaN, Infinity and numbers that only these could hold (RFC 8259 §6).

    Raises ValueError, also if it is nested too deeply.
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
        raise ValueError(f"{text} is too large")  # and could not be written as JSON
    return number


def allows(expected: str) -> Callable[[Callable[[T], T]], Callable[[T], T]]:
    """Mark a check for `read` with all that the key may be, for a value of another kind, too."""

    def mark(check: Callable[[T], T]) -> Callable[[T], T]:
        check.allowed = expected  # type: ignore[attr-defined]
        return check

    return mark


def between(low: int, high: int) -> Callable[[int], int]:
    """Return a check for `read`: both ends are allowed."""

    @allows(f"an integer from {low} to {high}")
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError
        return value

    return check


class _Reader:
    def __init__(self, passing_over: bool) -> None:  # noqa: FBT001 - private, one caller
        self._passing_over = passing_over

    def read(self, kind: Any, value: Any, path: tuple[str, ...]) -> Any:
        inner = get_args(kind)
        match get_origin(kind):
            case None:
                return self._plain(kind, value, path)
            case origin if origin is Annotated:
                return self._annotated(inner[0], inner[1:], value, path)
            case origin if origin is Literal:
                return _choice(inner, value, path)
            case origin if origin in {UnionType, Union}:
                (other,) = (member for member in inner if member is not NoneType)
                return None if value is None else self.read(other, value, path)
            case origin if origin is dict:
                if not isinstance(value, dict):
                    raise Unfit(path, value, "a table")
                return {
                    self.read(inner[0], key, path): self.read(inner[1], item, (*path, key))
                    for key, item in value.items()
                }
            case origin if origin is list:
                return list(self._tuple((*inner, Ellipsis), value, path))
            case _:
                return self._tuple(inner, value, path)

    def _annotated(
        self, kind: Any, checks: tuple[Any, ...], value: object, path: tuple[str, ...]
    ) -> Any:
        try:
            read = self.read(kind, value, path)
        except Unfit:
            if allowed := getattr(checks[0], "allowed", ""):
                raise Unfit(path, value, allowed) from None
            raise
        for check in checks:
            read = _checked(check, read, path, written=value)
        return read

    def _record(self, kind: Any, value: object, path: tuple[str, ...]) -> Any:
        if not isinstance(value, dict):
            raise Unfit(path, value, f"a table with {', '.join(_fields(kind))}")
        known = _fields(kind)
        if not self._passing_over:
            for key in value:
                if key not in known:
                    raise Unknown((*path, key), value[key], tuple(known))
        for key, field in known.items():
            if field.required and key not in value:
                raise Unfit(path, value, f"a table with {key}")
        return kind(
            **{
                field.name: self.read(field.kind, value[key], (*path, key))
                for key, field in known.items()
                if key in value
            }
        )

    def _plain(self, kind: Any, value: object, path: tuple[str, ...]) -> Any:
        if hasattr(kind, "spelled"):
            return _checked(kind.spelled, value, path, written=value)
        if issubclass(kind, Struct):
            return self._record(kind, value, path)
        if issubclass(kind, Enum):
            return kind(_choice(tuple(member.value for member in kind), value, path))
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        raise Unfit(path, value, _TYPE_NAMES.get(kind, kind.__name__))

    def _tuple(
        self, inner: tuple[Any, ...], value: object, path: tuple[str, ...]
    ) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Unfit(path, value, _list_of(inner[0]))
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) != len(value):
            raise Unfit(path, value, f"a list of {len(kinds)}")
        return tuple(
            self.read(kind, item, (*path, str(index)))
            for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )


class _Field(NamedTuple):
    name: str
    kind: Any
    required: bool


@functools.cache
def _fields(kind: Any) -> dict[str, _Field]:
    """Return the fields by their key in the data: `msgspec.field(name=...)`, or else their name."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.encode_name: _Field(field.name, hints[field.name], field.required)
        for field in fields(kind)
    }


def _choice(allowed: tuple[Any, ...], value: Any, path: tuple[str, ...]) -> Any:
    if value in allowed:
        return value
    raise Unfit(path, value, _one_of(allowed))


def _one_of(allowed: tuple[Any, ...]) -> str:
    *others, last = (repr(choice) for choice in allowed)
    return " or ".join(filter(None, (", ".join(others), last)))


def _list_of(kind: Any) -> str:
    return f"a list of {_one_of(get_args(kind))}" if get_origin(kind) is Literal else "a list"


def _checked(check: Any, value: object, path: tuple[str, ...], *, written: object) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise Unfit(path, written, str(error) or check.allowed) from None
