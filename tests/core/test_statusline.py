"""The status line's text: never wider than it may be, and with no format in it but ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.news import short_name
from pairingd.core.statusline import (
    LINE,
    THEIRS,
    WIDTHS,
    Entry,
    OptionValues,
    for_prompt,
    lines,
    status_right,
    time_left,
)
from tests.golden import is_golden

STYLE = re.compile(r"(?<!#)((?:##)*)#\[[^]]*\]")
entries = st.lists(
    st.builds(
        Entry,
        st.text(min_size=1, max_size=50),
        st.sampled_from(["read", "write"]),
        st.floats(-100, 1e8),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "14:00", "2026-03-15 14:00"]),
    ),
    max_size=25,
)
OCTOCAT = Entry("github:octocat", "write", 4320, inside=True)
BOB = Entry("github:bob", "read", 290, inside=True, typed=True)
ANN = Entry("gitlab:ann", "write", 45, inside=False)
MANY = [Entry(f"github:{letter}{'n' * 38}", "read", 86400, inside=True) for letter in "abcdefghij"]


def drawn(text: str) -> str:
    """As tmux draws it: styles take no room, and two # are one."""
    return STYLE.sub(r"\1", text).replace("##", "#")


@given(entries)
def test_lines_fit_their_columns(guests: list[Entry]) -> None:
    for size, text in lines(guests).items():
        assert len(drawn(text)) <= WIDTHS[size][1]
        assert drawn(text).isprintable()


@given(entries)
def test_a_line_has_no_tmux_format_but_colours(guests: list[Entry]) -> None:
    for text in lines(guests).values():
        own = re.sub(r"#\[(fg=(red|yellow)|default)\]", "", text)
        assert "#" not in own.replace("##", "")


@given(entries)
def test_the_prompt_s_line_has_nothing_that_a_shell_acts_on(guests: list[Entry]) -> None:
    assert not set(for_prompt(guests)) & set("$`\\%#!{}[];&|'\"\n\x1b")


def test_guests_that_are_not_given_are_counted() -> None:
    assert drawn(lines([ANN], more=3)["wide"]).endswith(" +3")
    assert drawn(lines(MANY, more=5)["narrow"]).endswith(f" +{len(MANY) + 4}")


@pytest.mark.parametrize("size", WIDTHS)
def test_many_others_do_not_hide_a_guest_in_the_last_minute(size: str) -> None:
    about_to_leave = OCTOCAT._replace(left=59)
    assert drawn(lines([ANN, *MANY, about_to_leave])[size]).startswith("octocat rw <1m ")
    assert drawn(lines([ANN, *MANY, about_to_leave._replace(left=61)])[size]).startswith("a")


@pytest.mark.parametrize(
    ("guest", "name"),
    [
        ("github:octocat", "octocat"),
        ("gitlab:ann", "gitlab:ann"),
        ("key:SHA256:sl3x8b/yha1qzKT090tQ5d7TUIZHhVAqCUTvV7rbXGY", "key:sl3x8b/yha1…"),
        ("file:/home/mark/ann.pub", "ann.pub"),
        ("https://example.org/ann/", "ann"),
    ],
)
def test_a_short_name_has_the_part_that_tells_guests_apart(guest: str, name: str) -> None:
    assert short_name(guest, 16) == name


def test_lines_are_the_golden_ones() -> None:
    cases = {"three": [OCTOCAT, BOB, ANN], "many": MANY, "nobody": []}
    text = "".join(
        f"{case} {size}: {line}\n"
        for case, guests in cases.items()
        for size, line in lines(guests).items()
    )
    is_golden(Path(__file__).parent / "golden" / "statusline.txt", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "<1m"), (59.9, "<1m"), (60, "1m"), (4320, "1h12m"), (3600, "1h"), (97200, "1d3h")],
)
def test_time_left(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


@pytest.mark.parametrize(
    ("values", "users"),
    [
        (OptionValues(None, "all", "", None), None),
        (OptionValues("own", "all", "", None), "own"),
        (OptionValues("ours", "all", "ours", None), None),
        (OptionValues("ours", "all", "ours", "own"), "own"),
        (OptionValues("new", "all", "ours", "own"), "new"),
        (OptionValues("ours more", "all", "ours", "own"), "own more"),
        (OptionValues("ours more", "all", "ours", None), "all more"),
        (OptionValues(None, "all", "ours", "own"), None),
        # As a guest can make them: replacing all would take 10 GB.
        (OptionValues("x" * 100_000, "", "x", "y" * 100_000), "y" * 100_000 + "x" * 99_999),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_the_users_own_option_value_is_found(values: OptionValues, users: str | None) -> None:
    assert values.users() == users


def test_the_option_is_one_whole_format_with_a_line_for_each_width() -> None:
    option = status_right(40)
    depth = 0
    for mark in re.findall(r"#\{|\}", option):
        depth += 1 if mark == "#{" else -1
        assert depth >= 0
    assert depth == 0
    assert option.startswith("#{?")
    assert option.endswith("}")
    for size in WIDTHS:
        assert f"#{{{LINE}{size}}}" in option
    assert f"#{{=40;T:{THEIRS}}}" in option
