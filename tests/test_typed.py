"""When a guest typed is known, with each tmux; what they typed is not."""

from __future__ import annotations

import json
import os
import signal

from tests.session import cleared_stage, daemon_of_each_tmux, octocat_joins, with_one_tmux
from tests.stage import Stage, Terminal, until

shared, stage = daemon_of_each_tmux, cleared_stage


def typed_at(stage: Stage) -> str | None:
    at: str | None = stage.asks("status")["invitations"][0]["connections"][0]["typed_at"]
    return at


def typed_in_the_end(stage: Stage) -> str | None:
    """Once the visit is over."""
    [visit] = until(
        lambda: [one for one in stage.asks("receipt")["visits"] if one["until"]], "they are out"
    )
    assert visit["typed_at"] is None or visit["typed_at"] <= visit["until"]
    at: str | None = visit["typed_at"]
    return at


def has_typed(stage: Stage, screen: Terminal) -> str:
    """When they typed."""

    def typed() -> str | None:
        """Pressed again, for the second of the start does not count."""
        screen.presses("x")
        return typed_at(stage)

    return until(typed, "it is known that they typed") or ""


def test_the_receipt_has_the_time_of_typing_and_never_the_text(stage: Stage) -> None:
    screen = octocat_joins(stage)
    assert typed_at(stage) is None
    at = has_typed(stage, screen)
    assert stage.asks("receipt")["visits"][0]["typed_at"] >= at
    screen.types("secret-of-octocat")
    screen.shows("secret-of-octocat")
    screen.presses("C-b", "d")
    assert (typed_in_the_end(stage) or "") >= at
    assert "secret-of-octocat" not in json.dumps([stage.asks("receipt"), stage.asks("log")])


@with_one_tmux
def test_a_read_guest_s_keys_do_not_count_as_typing(stage: Stage) -> None:
    screen = octocat_joins(stage, "--read-only")
    for _ in range(3):
        screen.types("nothing of this is sent")
        assert typed_at(stage) is None
    screen.presses("C-c")
    assert typed_in_the_end(stage) is None


@with_one_tmux
def test_a_killed_daemon_leaves_when_a_guest_typed(stage: Stage) -> None:
    screen = octocat_joins(stage)
    at = has_typed(stage, screen)
    os.kill(stage.asks("status")["daemon"]["pid"], signal.SIGKILL)
    screen.ended()
    stage.pairctl("start")
    assert (typed_in_the_end(stage) or "") >= at
