"""Invitations into a box: by two commands at once, and after a guest has stopped what is in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.boxed import Scene, scene_in_a_box, with_boxes
from tests.session import own_stage
from tests.stage import PAIRCTL, Stage, until

pytestmark = with_boxes

stage = own_stage
own = scene_in_a_box


def test_two_invitations_at_once_make_one_box(stage: Stage) -> None:
    project = stage.user_home / "project"
    project.mkdir()
    guests = [stage.guest(name).name for name in ("octocat", "hubot", "mona")]
    stage.pairctl("start")

    def invite(guest: str) -> object:
        return stage.run(PAIRCTL, "invite", guest, "--no-copy", "--box", str(project))

    with ThreadPoolExecutor() as at_once:
        list(at_once.map(invite, guests))
    assert len(stage.asks("status")["invitations"]) == len(guests)
    assert len([*(stage.home / "box").iterdir()]) == 1


def test_a_configured_account_is_for_sessions_that_are_made(own: Scene) -> None:
    own.stage.configure('[guests]\naccount = "pair"\n')
    own.stage.guest("hubot")
    own.stage.pairctl("restart")
    answer = own.stage.asks("invite", "hubot", "--no-copy")
    assert answer["box"]["directory"] == str(own.project)


@pytest.mark.waits
@pytest.mark.attack(
    "a write guest in a box stops the tmux server, so that no shell in it can be exited",
    "they are out; the hint has the command that ends the box",
)
def test_a_box_whose_tmux_a_guest_has_stopped_is_ended_by_the_hint(own: Scene) -> None:
    # PTRACE_SEIZE, PTRACE_INTERRUPT: it is the first process of the box, and ignores SIGSTOP there.
    stops = "syscall($ARGV[0], $_, 1, 0, 0) for 0x4206, 0x4207; mkdir $ARGV[1]; sleep 3600"
    stopped = own.project / "stopped"
    own.screen.types(f"perl -e '{stops}' {own.variables['PTRACE']} {stopped}")
    until(stopped.exists, "it is stopped")
    own.stage.pairctl("revoke", "octocat")
    own.screen.ended()
    own.stage.guest("hubot")
    error = own.stage.asks("invite", "hubot", "--no-copy")["error"]
    assert error["code"] in {"tmux-hangs", "tmux-unknown"}
    own.stage.run("sh", "-c", error["hint"].partition("in it: ")[2])
    until(lambda: own.box is None, "the box has ended")
    again = own.stage.asks("invite", "hubot", "--no-copy", "--box", str(own.project))
    assert "error" not in again
