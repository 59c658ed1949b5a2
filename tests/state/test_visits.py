from __future__ import annotations

import pytest
from msgspec.structs import asdict

from pairingd.core.model import Cause
from pairingd.state.history import Happening
from pairingd.state.visits import Joined, Left, visits

OCTOCAT = Joined("i1", "github:octocat", "203.0.113.5", "SHA256:ko5Z", 4711)
HUBOT = Joined("i2", "github:hubot", "203.0.113.6", "SHA256:ab1c", 4712)


def joined(at: float, who: Joined) -> Happening:
    return Happening(int(at), at, "s1", "joined", "", asdict(who))


def left(at: float, who: Joined, why: str, about: str = "") -> Happening:
    gone = Left(who.invitation, who.guest, who.peer, who.pid, why, about)
    return Happening(int(at), at, "s1", "left", "", asdict(gone))


def test_a_visit_lasts_from_joined_to_left() -> None:
    history = [joined(1, OCTOCAT), joined(2, HUBOT), left(3, OCTOCAT, "left", "they left")]
    first, second = visits(history)
    assert (first.joined, first.since, first.until) == (OCTOCAT, 1, 3)
    assert (first.why, first.about) == (Cause.LEFT, "they left")
    assert (second.joined, second.until, second.why) == (HUBOT, None, None)
    assert second.left(Cause.DAEMON_STOPPED, "now") == Left(
        "i2", "github:hubot", "203.0.113.6", 4712, "daemon-stopped", "pairingd stopped", "now"
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("they left", Cause.LEFT),
        ("the tmux session ended", Cause.TMUX_GONE),
        ("pairingd stops", Cause.DAEMON_STOPPED),
        ("the invitation is over", Cause.ENDED),
        ("tmux does not answer", Cause.ENDED),
    ],
)
def test_a_line_of_an_older_version_is_read_with_its_text_and_cause(
    text: str, cause: Cause
) -> None:
    [visit] = visits([joined(1, OCTOCAT), left(2, OCTOCAT, text)])
    assert (visit.why, visit.about) == (cause, text)


def test_a_guest_who_was_not_let_in_has_the_reason_that_was_recorded() -> None:
    data = {**asdict(OCTOCAT), "about": "nobody answered"}
    [visit] = visits([Happening(1, 1.0, "s1", "denied", "octocat was denied", data)])
    assert (visit.joined, visit.why) == (OCTOCAT, Cause.DENIED)
    assert visit.about == "nobody answered"


def test_a_reused_pid_is_another_visit() -> None:
    history = [joined(1, OCTOCAT), left(2, OCTOCAT, "they left"), joined(3, OCTOCAT)]
    assert [(visit.since, visit.until) for visit in visits(history)] == [(1, 2), (3, None)]


def test_a_line_of_a_later_version_is_read_and_one_without_its_data_is_skipped() -> None:
    later, torn, unknown = joined(1, OCTOCAT), joined(2, HUBOT), left(3, HUBOT, "they left")
    later.data["colour"] = "green"
    del torn.data["pid"]
    assert [visit.joined for visit in visits([later, torn, unknown])] == [OCTOCAT]
