"""Requests: what `strict` reads by itself, pydantic reads with the same values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import fields

from pairingd.core import strict
from pairingd.protocol import params
from pairingd.protocol.methods import METHODS

KINDS = sorted({method.params for method in METHODS.values()}, key=lambda kind: kind.__name__)
TIME = "2026-11-29T10:00:00Z"
# Valid requests, each with every parameter of its kind that needs no time.
READ: dict[str, dict[str, Any]] = {
    "Nothing": {},
    "Hello": {"version": "1", "protocol": 3},
    "Invite": {
        "guests": ["octocat", "@team"],
        "ttl": 3600,
        "access": "read",
        "port": 65535,
        "ask": True,
        "wait": True,
        "at": None,
        "once": True,
        "join_within": 1,
        "idle": 2,
        "from_address": "192.0.2.1",
        "tmux": "/usr/bin/tmux",
        "box": "",
    },
    "Gateway": {"description_urls": ["http://192.0.2.1/d.xml"]},
    "Show": {"guest": "ö"},
    "Status": {"all": True, "limit": 10000},
    "Extend": {"guest": "octocat", "seconds": 60, "until": None},
    "Revoke": {"guests": ["octocat"]},
    "Role": {"guest": "octocat", "access": "write"},
    "Ask": {"process": 1},
    "Decide": {"guest": "octocat", "connection": 7},
    "Log": {"after": 2**63 - 1, "limit": 1},
    "Receipt": {"session": None},
}
EDGES = (0, 1, -1, 65535, 65536, 10000, 10001, 2**63 - 1, 2**63, 10**30, True, False, None)
TEXTS = ("", "octocat", "write", "read", "x" * 512, "x" * 513, TIME, "2026-11-29", "5", "\ud800")
SCALARS = st.sampled_from((*EDGES, *TEXTS, 1.0, 0.5)) | st.integers() | st.text(max_size=4)
VALUES = SCALARS | st.lists(SCALARS, max_size=11) | st.dictionaries(st.text(max_size=2), SCALARS)


@st.composite
def requests(draw: st.DrawFn) -> tuple[type[Any], dict[str, Any]]:
    """Of a kind, with some of its parameters and sometimes another one."""
    kind = draw(st.sampled_from(KINDS))
    names = [field.name for field in fields(kind)]
    valid: dict[str, Any] = {**READ[kind.__name__]}
    for name in draw(st.lists(st.sampled_from([*names, "other"]), max_size=3)):
        valid[name] = draw(VALUES)
    for name in draw(st.lists(st.sampled_from([*names, "other"]), max_size=2)):
        valid.pop(name, None)
    return kind, valid


@given(requests())
@example((params.Status, {"limit": True}))
@example((params.Revoke, {"guests": []}))
@example((params.Revoke, {"guests": ["\ud800"]}))
@example((params.Invite, {"guests": ["octocat"], "at": TIME}))
def test_what_strict_accepts_pydantic_accepts_with_the_same_values(
    request: tuple[type[Any], dict[str, Any]],
) -> None:
    kind, values = request
    try:
        record = strict.read(kind, values)
    except strict.Unfit:
        return
    by_pydantic = params.read_by_pydantic(kind, values)
    assert by_pydantic == record
    for field in fields(kind):
        assert type(getattr(by_pydantic, field.name)) is type(getattr(record, field.name))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_valid_request_without_a_time_does_not_need_pydantic(kind: type[Any]) -> None:
    record = strict.read(kind, READ[kind.__name__])
    assert {field.name: getattr(record, field.name) for field in fields(kind)} == READ[
        kind.__name__
    ]


@pytest.mark.parametrize(
    ("kind", "values", "complaint"),
    [
        (params.Status, {"limit": 0}, "limit: Input should be greater than or equal to 1"),
        (params.Status, {"limit": True}, "limit: Input should be a valid integer"),
        (params.Revoke, {"guests": "octocat"}, "guests: Input should be a valid list"),
        (params.Show, {"guest": "\ud800"}, "guest: Value error, not Unicode text"),
        (params.Show, {}, "guest: Field required"),
        (params.Show, {"guest": "a", "gest": 1}, "gest: Extra inputs are not permitted"),
    ],
)
def test_a_refused_request_is_worded_by_pydantic(
    kind: type[Any], values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match="^" + complaint):
        params.read_by_pydantic(kind, values)


@pytest.mark.parametrize("until", [TIME, TIME.lower(), "2026-11-29T11:00:00+01:00"])
def test_a_time_is_read_with_its_offset(until: str) -> None:
    read = params.read_by_pydantic(params.Extend, {"guest": "octocat", "until": until})
    assert read.until
    assert read.until.timestamp() == datetime(2026, 11, 29, 10, tzinfo=UTC).timestamp()
