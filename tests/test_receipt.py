"""The receipt is true: who ended each visit, what was changed, when guests typed; never what."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.session import cleared_stage, octocat_joins, shared_stage
from tests.stage import Stage, Terminal, until

shared = shared_stage
stage = cleared_stage


def ended_visit(stage: Stage) -> dict[str, Any]:
    def ended() -> list[dict[str, Any]]:
        return [one for one in stage.asks("receipt").get("visits", ()) if one["until"]]

    return until(ended, "the visit is over")[-1]


def leaves(screen: Terminal, _: Stage) -> None:
    screen.presses("C-b", "d")


def kills_tmux(_: Terminal, stage: Stage) -> None:
    stage.tmux("kill-server")


def stops(_: Terminal, stage: Stage) -> None:
    stage.pairctl("stop")
    stage.pairctl("start")


def is_killed(screen: Terminal, stage: Stage) -> None:
    os.kill(stage.asks("status")["daemon"]["pid"], signal.SIGKILL)
    screen.ended()
    stage.pairctl("start")


ENDS: dict[str, Callable[[Terminal, Stage], object]] = {
    "expired": lambda _, stage: stage.expires_soon("octocat"),
    "revoked": lambda _, stage: stage.pairctl("revoke", "octocat"),
    "ended": lambda _, stage: stage.pairctl("end"),
    "left": leaves,
    "tmux-gone": kills_tmux,
    "daemon-stopped": stops,
    "daemon-stopped by a crash": is_killed,
}


@pytest.mark.parametrize("why", ENDS)
def test_a_visit_has_the_cause_of_its_end(stage: Stage, why: str) -> None:
    screen = octocat_joins(stage)
    ENDS[why](screen, stage)
    visit = ended_visit(stage)
    assert visit["why"] == why.partition(" ")[0]
    assert visit["about"] not in {"", visit["why"], None}
    [invitation] = stage.asks("receipt")["invitations"]
    if invitation["state"] != "live":
        assert invitation["cause"] == visit["why"]
        assert invitation["over_at"]
    assert visit["about"] in " ".join(stage.pairctl("receipt").stdout.split())


def test_the_receipt_lists_every_change_of_role_and_deadline(stage: Stage) -> None:
    octocat_joins(stage, "--read-only", "--ttl", "1h")
    stage.pairctl("role", "octocat", "write")
    stage.pairctl("extend", "octocat", "30m")
    stage.pairctl("role", "octocat", "write")  # changes nothing
    stage.pairctl("role", "octocat", "read")
    receipt = stage.asks("receipt")
    told = [(one["what"], one["from"], one["to"]) for one in receipt["changes"]]
    _, (what, before, after), _ = told
    assert told[::2] == [("role", "read", "write"), ("role", "write", "read")]
    assert what == "deadline"
    assert before < after == receipt["invitations"][0]["expires_at"]
    assert {(one["guest"], one["by"]) for one in receipt["changes"]} == {("github:octocat", "host")}
    shown = stage.pairctl("receipt").stdout
    assert "read-only to read-write" in shown
    assert "read-write to read-only" in shown
    assert "by host" not in shown, "a write guest can run the command, too"


def test_sessions_are_listed_the_newest_first_and_shown_by_name(stage: Stage) -> None:
    for name in ("octocat", "bob"):
        stage.guest(name)
        stage.pairctl("invite", name, "--no-copy")
        stage.pairctl("end")
    listed = stage.asks("receipt", "--list")["sessions"]
    assert [one["guests"] for one in listed[:2]] == [["github:bob"], ["github:octocat"]]
    assert listed[0]["started_at"] <= listed[0]["ended_at"]
    older = stage.asks("receipt", listed[1]["session"])
    assert older["invitations"][0]["guest"] == "github:octocat"
    assert listed[1]["session"] in stage.pairctl("receipt", "--list").stdout
    both = stage.pairctl("receipt", "--list", listed[1]["session"], check=False)
    assert both.returncode == 2


def test_log_n_prints_the_newest_lines(stage: Stage) -> None:
    stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")
    stage.pairctl("end")
    until(lambda: not stage.mappings(), "the last line is written")
    everything = stage.asks("log")["events"]
    assert stage.asks("log", "-n", "2")["events"] == everything[-2:]
    assert len(stage.pairctl("log", "-n", "3").stdout.splitlines()) == 3
    for bad in ("0", "-1", "x", "10001", "\uff11"):
        done = stage.pairctl("log", "-n", bad, check=False)
        assert (done.returncode, "error:" in done.stderr) == (2, True)


def test_past_invitations_are_listed_up_to_the_newest_n(stage: Stage) -> None:
    for name in ("ann", "bob", "carl"):
        stage.guest(name)
        stage.pairctl("invite", name, "--no-copy")
        stage.pairctl("end")
    listed = stage.asks("status", "--all", "-n", "2")["invitations"]
    assert [(one["guest"], one["state"]) for one in listed] == [
        ("github:bob", "ended"),
        ("github:carl", "ended"),
    ]
    everybody = [one["guest"] for one in stage.asks("status", "--all")["invitations"]]
    assert everybody[-3:] == ["github:ann", "github:bob", "github:carl"]
    sessions = [one["guests"] for one in stage.asks("receipt", "--list")["sessions"]]
    assert sessions[:2] == [["github:carl"], ["github:bob"]]
    assert stage.asks("status")["invitations"] == []
    assert stage.asks("status", "-n", "2")["error"]["code"] == "usage"
