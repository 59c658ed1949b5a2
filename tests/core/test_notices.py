"""What a guest is told, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.core import notices
from pairingd.core.model import Access, Cause, Conditions, Invitation, Standing
from pairingd.core.notices import Again, Terms
from pairingd.core.records import replace
from tests.golden import is_golden

NOW = 1_000_000
INVITED = Invitation("id", "github:octocat", Access.WRITE, (), NOW - 60, NOW + 3600, Standing.LIVE)


def news(known: Terms | None, terms: Terms) -> str:
    return " | ".join(notices.news(known, terms, "mark", "18:38", "Ctrl-b d"))


def over(cause: Cause) -> Invitation:
    return replace(INVITED, standing=Standing.ENDED, cause=cause)


def test_texts_are_the_golden_ones() -> None:
    known = Terms.of(INVITED, NOW)
    late = replace(INVITED, conditions=Conditions(join_by=NOW))
    texts = {
        "entry": news(None, known),
        "dialed": " | ".join(
            notices.greeting("mark", Access.WRITE, "18:38", "Ctrl-b d", Again.NEW_COMMAND)
        ),
        "once": " | ".join(
            notices.greeting("mark", Access.WRITE, "18:38", "Ctrl-b d", Again.NEVER)
        ),
        "role": news(known, replace(known, access=Access.READ)),
        "deadline": news(known, replace(known, deadline=NOW + 60)),
        "five": news(known, replace(known, minutes=5)),
        "one": news(replace(known, minutes=5), replace(known, minutes=1)),
        "nothing": news(known, known),
        "later": news(replace(known, minutes=5), replace(known, minutes=0)),
        "time": notices.farewell(INVITED, NOW + 3600, "mark", "18:38"),
        "late": notices.farewell(late, NOW, "mark", "18:38"),
        "cut": notices.farewell(INVITED, NOW, "mark", "18:38"),
        "unknown": notices.farewell(None, NOW, "mark", ""),
        "stopped": notices.stopped("mark", "18:38"),
        "stopped-dialed": notices.stopped("mark", "18:38", Again.NEW_COMMAND),
        "stopped-once": notices.stopped("mark", "18:38", Again.NEVER),
        **{cause.value: notices.farewell(over(cause), NOW, "mark", "18:38") for cause in Cause},
    }
    lines = "".join(f"{name}: {text}\n" for name, text in texts.items())
    is_golden(Path(__file__).parent / "golden" / "notices.txt", lines)


@pytest.mark.parametrize("again", Again)
def test_why_a_guest_is_out_fits_a_line_of_80_columns(again: Again) -> None:
    host = "a-long-name"
    texts = [notices.stopped(host, "18:38", again)]
    texts += [notices.farewell(over(cause), NOW, host, "18:38") for cause in Cause]
    assert [text for text in texts if len(f"pairing: {text}") > 80] == []


@pytest.mark.parametrize(("access", "leave"), [(Access.WRITE, "Ctrl-b d"), (Access.READ, "Ctrl-C")])
def test_each_text_has_shorter_forms_down_to_one_for_40_columns(access: Access, leave: str) -> None:
    known = Terms.of(INVITED, NOW)
    for terms in (
        known,
        replace(known, access=Access.READ),
        replace(known, deadline=NOW + 60),
        replace(known, minutes=5),
    ):
        terms_known = None if terms is known else known
        forms = notices.news(terms_known, terms, "a-long-name", "18:38", leave)
        assert list(forms) == sorted(forms, key=len, reverse=True)
        assert len(forms[-1]) <= 28
    for again, words in zip(Again, ("same ssh returns", "new ssh", "one visit"), strict=True):
        greeting = notices.greeting("mark", access, "18:38", leave, again)
        fits = next(form for form in greeting if len(form) <= 59)
        assert f"until 18:38; {leave} leaves, " in fits
        assert words in fits


@pytest.mark.parametrize(
    ("once", "dialed", "again"),
    [
        (False, False, Again.SAME_COMMAND),
        (False, True, Again.NEW_COMMAND),
        (True, False, Again.NEVER),
        (True, True, Again.NEVER),
    ],
)
def test_how_a_guest_comes_back_depends_on_the_invitation(
    once: bool, dialed: bool, again: Again
) -> None:
    invitation = replace(INVITED, conditions=Conditions(once=once))
    assert Again.of(invitation, dialed=dialed) is again


@pytest.mark.parametrize(("left", "minutes"), [(301, 0), (300, 5), (61, 5), (60, 1), (0, 1)])
def test_the_last_minutes_begin_on_time(left: int, minutes: int) -> None:
    assert Terms.of(INVITED, INVITED.deadline - left).minutes == minutes
