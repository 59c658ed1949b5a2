from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.news import GUESTS, PERCENT, message, news
from pairingd.core.text import is_one_column

HOST, GUEST, OTHER = "/dev/pts/1", "/dev/pts/2", "/dev/pts/3"
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
forms = st.lists(texts, min_size=1, max_size=3).map(tuple)


class Expanded:
    """What tmux 3.3a and 3.8 make of the formats that `news` uses, for one client."""

    def __init__(self, client: str, columns: int, guests: Sequence[str] = ()) -> None:
        self._client, self._columns, self._guests = client, columns, f" {' '.join(guests)} "

    def of(self, text: str) -> str:
        assert "%" not in text  # strftime(3) expands it here, and again in each branch
        shown, place = "", 0
        while place < len(text):
            if text.startswith("#{?", place):
                inside, place = _braced(text, place)
                condition, then, otherwise = _branches(inside[1:])
                shown += self.of(then if self._holds(condition) else otherwise)
            elif text.startswith(f"#{{{PERCENT}}}", place):
                _, place = _braced(text, place)
                shown += "%"
            elif text[place] == "#":
                assert text[place + 1] in "#,}"
                shown += text[place + 1]
                place += 2
            else:
                shown += text[place]
                place += 1
        return shown

    def _holds(self, condition: str) -> bool:
        if condition.startswith("#{||:"):
            first, second, _ = _branches(condition[5:-1] + ",")
            return self._holds(first) or self._holds(second)
        if wide := re.fullmatch(r"#\{e\|>=:#\{client_width\},(\d+)\}", condition):
            return self._columns >= int(wide[1])
        among = re.fullmatch(r"#\{m:\* #\{client_name\} \*,(.*)\}", condition)
        assert among
        names = self._guests if among[1] == f"#{{{GUESTS}}}" else among[1]
        return f" {self._client} " in names


def _braced(text: str, start: int) -> tuple[str, int]:
    depth, place = 0, start
    while True:
        if text.startswith("#{", place):
            depth, place = depth + 1, place + 2
        elif text[place] == "#":
            place += 2
        else:
            depth -= text[place] == "}"
            place += 1
            if not depth:
                return text[start + 2 : place - 1], place


def _branches(text: str) -> tuple[str, str, str]:
    parts, place = [""], 0
    while place < len(text):
        if text.startswith("#{", place):
            _, end = _braced(text, place)
        else:
            end = place + (2 if text[place] == "#" else 1)
        if text[place:end] == ",":
            parts.append("")
        else:
            parts[-1] += text[place:end]
        place = end
    one, two, *three = parts
    return one, two, "".join(three)


def shown(
    hosts: Mapping[str, Sequence[tuple[str, ...]]],
    guests: Mapping[str, tuple[str, ...]],
    questions: Sequence[tuple[str, ...]] = (),
    *,
    client: str = HOST,
    columns: int = 200,
) -> str:
    return Expanded(client, columns, [GUEST]).of(news(hosts, guests, questions))


@given(forms, forms, forms)
def test_each_client_reads_what_is_for_it(
    question: tuple[str, ...], to_host: tuple[str, ...], to_guest: tuple[str, ...]
) -> None:
    def fit(text: str) -> str:
        return "".join(c if is_one_column(c) else "?" for c in text)

    given_ = ({HOST: [to_host]}, {GUEST: to_guest}, [question])
    assert shown(*given_) == fit(f"pairing: {question[0]} · {to_host[0]}")
    assert shown(*given_, client=OTHER) == fit(f"pairing: {question[0]}")
    assert shown(*given_, client=GUEST) == fit(to_guest[0])
    assert shown({HOST: [to_host]}, {}, client=OTHER) == ""
    assert shown({}, {}, [question], client=GUEST) == ""


def test_several_messages_have_one_prefix_and_the_newest_first() -> None:
    told = {HOST: [("github:bob left",), ("github:bob joined (read-write)",)]}
    assert shown(told, {}) == "pairing: github:bob left · github:bob joined (read-write)"


def test_a_narrow_client_reads_a_shorter_form() -> None:
    told: dict[str, Sequence[tuple[str, ...]]] = {HOST: [("github:bob joined (read-write)",)]}
    assert shown(told, {}, columns=59) == "pairing: github:bob joined (read-write)"
    assert shown(told, {}, columns=40) == "bob joined (read-write)"
    told = {HOST: [("github:" + "o" * 50, "o" * 30)]}
    assert shown(told, {}, columns=87) == "pairing: github:" + "o" * 50
    assert shown(told, {}, columns=86) == "pairing: " + "o" * 30


@pytest.mark.parametrize(
    ("message", "columns", "text"),
    [
        (f"github:{'o' * 39} left", 70, f"{'o' * 39} left"),
        (f"github:{'o' * 39} left", 60, f"{'o' * 15}… left"),
        (f"github:{'o' * 39}: the host removed them", 60, f"{'o' * 15}…: the host removed them"),
        (f"key:SHA256:{'A' * 43} is out", 80, f"key:{'A' * 11}… is out"),
        (f"https://git.example.org/{'o' * 30}/ann.keys left", 60, "ann.keys left"),
        (f"somebody {'o' * 60}", 60, f"somebody {'o' * 60}"),
    ],
)
def test_a_long_name_is_cropped_where_it_would_hide_what_is_new(
    message: str, columns: int, text: str
) -> None:
    assert shown({HOST: [(message,)]}, {}, columns=columns) == text


def test_messages_for_a_client_without_a_plain_name_are_left_out() -> None:
    assert news({"#{evil}": [("no",)]}, {}) == ""


def test_the_format_of_the_message_begins_with_a_space() -> None:
    assert ": #{=/" in message()
