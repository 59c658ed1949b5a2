"""The host renames the tmux session, or ends it."""

from __future__ import annotations

import sys

from tests.session import attached_host, cleared_stage, daemon_of_each_tmux, with_one_tmux
from tests.stage import Stage, until

shared = daemon_of_each_tmux
stage = cleared_stage


def test_a_renamed_session_goes_on_and_lets_guests_in(stage: Stage) -> None:
    guest, other = stage.guest("octocat"), stage.guest("hubot")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    first = guest.joins()
    first.types("echo be''fore")
    first.shows("before")
    stage.tmux("rename-session", "-t", "=pairing", "my work")
    stage.tmux("new-session", "-d", "-s", "pairing", "cat")  # another one takes the name
    status = stage.asks("status")
    assert status["session"]["running"] is True
    assert status["session"]["name"] == "my work"
    inviting = stage.pairctl("invite", "hubot", "--read-only", "--no-copy")
    assert "session ✓ my work" in inviting.stderr
    first.types("echo af''ter")
    for screen in (first, guest.joins(), other.joins(), attached_host(stage)):
        screen.shows("after")
    stage.asks("restart")
    first.ended()
    assert [one["state"] for one in stage.asks("status")["invitations"]] == ["live", "live"]
    guest.joins().shows("after")
    stage.tmux("kill-session", "-t", "=my work")
    until(lambda: stage.asks("status")["invitations"] == [], "the end of the session is theirs")


def test_the_end_of_a_renamed_session_ends_its_name(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    stage.tmux("rename-session", "-t", "=pairing", "renamed")
    assert stage.asks("status")["session"]["name"] == "renamed"
    stage.tmux("kill-server")
    until(lambda: not stage.asks("status")["session"]["running"], "it has ended")
    assert stage.asks("status")["session"]["name"] == "pairing"


def test_the_hosts_screen_names_the_invitations_that_ended_with_the_last_shell(
    stage: Stage,
) -> None:
    guest = stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    host, visitor = attached_host(stage), guest.joins()
    visitor.types("echo he''re")
    host.shows("here")
    host.types("exit")
    assert host.ended() == 0
    visitor.ended()
    said = "the tmux session has ended, and with it the invitation of github:octocat"
    assert said in " ".join(host.screen().split())


@with_one_tmux
def test_the_end_of_the_session_names_every_invitation_that_ended_with_it(stage: Stage) -> None:
    for name in ("ann", "bob", "octocat"):
        stage.guest(name)
    assert "error" not in stage.asks("invite", "ann", "bob", "octocat", "--no-copy")
    stage.asks("revoke", "octocat")
    host = attached_host(stage)
    host.shows("[pairing")
    host.types("exit")
    assert host.ended() == 0
    screen = " ".join(host.screen().split())
    assert "and with it the invitations of github:ann and github:bob" in screen
    assert "octocat" not in screen.partition("with it")[2]


@with_one_tmux
def test_invitations_that_ended_before_the_session_are_not_named_at_its_end(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    host = attached_host(stage)
    host.shows("[pairing")
    stage.asks("end")
    host.types("exit")
    assert host.ended() == 0
    assert "has ended" not in host.screen()


@with_one_tmux
def test_a_host_who_only_detaches_sees_no_end_message(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    host = attached_host(stage)
    host.shows("[pairing")
    host.presses("C-b", "d")
    assert host.ended() == 0
    assert "has ended" not in host.screen()
    assert len(stage.asks("status")["invitations"]) == 1


def test_attach_is_suspended_and_continued_with_tmux(stage: Stage) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    shell = stage.terminal("bash", "--norc", "-i")
    shell.types(f"{sys.executable} -m pairctl attach")
    shell.shows("[pairing")
    stage.tmux("suspend-client", "-t", stage.tmux("list-clients", "-F", "#{client_tty}").split()[0])
    shell.shows("Stopped")
    shell.types("echo pr''ompt; fg")
    shell.shows("[pairing")
    shell.presses("C-b", "d")
    shell.shows("detached")
