from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, to_builtins

from pairingd.core import strict
from pairingd.core.model import Invitation, Mapping, Session
from tests.core.make import invitation

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


class Colour(StrEnum):
    RED = "red"


def even(value: int) -> int:
    if value % 2:
        raise ValueError("even")
    return value


class Score(int):
    @classmethod
    def spelled(cls, value: object) -> Score:
        if value != "twenty":
            raise ValueError("spelled out")
        return cls(20)


class Inner(Struct, frozen=True):
    size: int


class Outer(Struct, frozen=True):
    inner: Inner = Inner(1)
    many: tuple[Inner, ...] = ()
    pair: tuple[str, int] = ("", 0)
    names: list[str] = []
    named: dict[Annotated[str, str.upper], Inner] | None = None
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    maybe: str | None = None
    weight: float = 0.0
    flag: bool = False
    checked: Annotated[int, even, strict.between(0, 10)] = 0
    score: Annotated[Score, strict.between(0, 10)] | None = None
    plain_score: Score | None = None
    modes: tuple[Literal["a", "b"], ...] = ()


def test_fitting_data_is_read_and_lists_become_what_the_record_has() -> None:
    plain = {
        "inner": {"size": 2},
        "many": [{"size": 3}],
        "pair": ["x", 4],
        "names": ["y", "z"],
        "named": {"a": {"size": 5}},
        "colour": "red",
        "mode": "b",
        "maybe": None,
        "weight": 1,
        "checked": 4,
    }
    assert strict.read(Outer, plain) == Outer(
        inner=Inner(2),
        many=(Inner(3),),
        pair=("x", 4),
        names=["y", "z"],
        named={"A": Inner(5)},
        colour=Colour.RED,
        mode="b",
        weight=1,
        checked=4,
    )


@pytest.mark.parametrize(
    ("plain", "at", "why"),
    [
        ([], "", "a table with " + ", ".join(Outer.__struct_fields__)),
        ({"inner": 1}, "inner", "a table with size"),
        ({"inner": {}}, "inner", "a table with size"),
        ({"inner": {"size": "1"}}, "inner.size", "an integer"),
        ({"inner": {"size": True}}, "inner.size", "an integer"),
        ({"inner": {"size": 1.0}}, "inner.size", "an integer"),
        ({"flag": 1}, "flag", "a boolean, true or false"),
        ({"maybe": 1}, "maybe", "text in quotes"),
        ({"weight": "1"}, "weight", "a number"),
        ({"many": {}}, "many", "a list"),
        ({"many": [{"size": 1}, {"size": None}]}, "many.1.size", "an integer"),
        ({"pair": ["x"]}, "pair", "a list of 2"),
        ({"names": ["y", 1]}, "names.1", "text in quotes"),
        ({"named": []}, "named", "a table"),
        ({"named": {"a": {"size": ""}}}, "named.a.size", "an integer"),
        ({"colour": "blue"}, "colour", "'red'"),
        ({"mode": ["a"]}, "mode", "'a' or 'b'"),
        ({"checked": 3}, "checked", "even"),
        ({"checked": 12}, "checked", "an integer from 0 to 10"),
        ({"checked": "12"}, "checked", "an integer"),
        ({"plain_score": 20}, "plain_score", "spelled out"),
        ({"score": 20}, "score", "an integer from 0 to 10"),
        ({"score": "twenty"}, "score", "an integer from 0 to 10"),
        ({"modes": "a"}, "modes", "a list of 'a' or 'b'"),
    ],
)
def test_an_error_names_the_key_that_does_not_fit(plain: Any, at: str, why: str) -> None:
    with pytest.raises(strict.Unfit) as caught:
        strict.read(Outer, plain)
    assert (".".join(caught.value.path), caught.value.expected) == (at, why)


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(strict.Unknown) as caught:
        strict.read(Outer, {"inner": {"size": 1, "colour": "red"}})
    assert caught.value.path == ("inner", "colour")
    assert caught.value.allowed == ("size",)


def test_an_unknown_key_can_be_ignored() -> None:
    plain = {"inner": {"size": 1, "later": 2}, "later": 3}
    assert strict.read(Outer, plain, passing_over=True) == Outer(inner=Inner(1))


@given(st.from_type(Session) | st.from_type(Mapping))
def test_the_cores_records_come_back_as_they_were_written(record: Session | Mapping) -> None:
    written = json.dumps(to_builtins(record))
    assert repr(strict.read(type(record), json.loads(written))) == repr(record)  # nan is not nan


def test_a_stored_record_may_lack_only_what_has_a_default() -> None:
    stored = to_builtins(invitation())
    assert strict.read(Invitation, stored) == invitation()
    del stored["over_at"]
    assert strict.read(Invitation, stored) == invitation()
    del stored["standing"]
    with pytest.raises(strict.Unfit, match="a table with standing"):
        strict.read(Invitation, stored)


@pytest.mark.parametrize(
    "text", ["NaN", "[-Infinity]", '{"a": 1e999}', "[" * 100_000, "9" * 5000, "", "{", b"\xff"]
)
def test_json_that_no_record_can_hold_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        strict.from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | FLOATS | st.text(), st.lists))
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert strict.from_json(json.dumps(value)) == value
