"""A host whose locale is not UTF-8. Real daemon, sshd, ssh and tmux."""

from __future__ import annotations

import sys

import pytest

from tests.session import cleared_stage, daemon_of_each_tmux
from tests.stage import Stage, until

shared = daemon_of_each_tmux
stage = cleared_stage
PAIRCTL = (sys.executable, "-m", "pairctl")


@pytest.mark.parametrize(
    ("shared", "locale"), [("tmux", "C"), ("newest tmux", "en_US.ISO-8859-1")], indirect=["shared"]
)
def test_the_session_begins_and_ends_in_any_locale(stage: Stage, locale: str) -> None:
    octocat = stage.guest("octocat")
    here = ("env", f"LC_ALL={locale}", *PAIRCTL)
    stage.run(*here, "invite", "octocat", "--no-copy")
    assert stage.tmux("show-options", "-w", "-t", "=pairing:", "remain-on-exit") == ""
    octocat.joins().shows("[pairing]")
    host = stage.terminal(*here, "attach")
    host.shows("[pairing]")
    host.types("exit")
    host.ended()
    until(lambda: not stage.asks("status")["invitations"], "nobody is invited any more")
