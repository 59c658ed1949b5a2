"""Words that others choose and tmux gets: it runs and expands nothing of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.session import attached_host, cleared_stage, daemon_of_each_tmux
from tests.stage import Stage, until

shared = daemon_of_each_tmux
stage = cleared_stage


@pytest.mark.attack(
    "a directory's name holds a tmux format or command; `pairctl invite` runs there",
    "the session begins in that directory; nothing is run",
)
@pytest.mark.parametrize(
    "name",
    [
        "q'#(cd; touch proof)/##(cd; touch proof)/#[x]#(cd; touch proof)##[y]#/#{pid}%H#S",
        "a;",
        "\\;",
    ],
    ids=["formats", "a separator", "a backslash"],
)
def test_a_directory_s_name_is_not_expanded_by_tmux(stage: Stage, name: str) -> None:
    stage.guest("octocat")
    directory = stage.user_home / name
    directory.mkdir(parents=True)
    invite = (sys.executable, "-m", "pairctl", "invite", "octocat", "--no-copy")
    stage.run("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(directory), *invite)
    here = stage.tmux("display-message", "-p", "-t", "=pairing:", "#{session_path}")
    assert Path(here).samefile(directory)
    assert not (stage.user_home / "proof").exists()


@pytest.mark.parametrize("status", ["on", "off"])
def test_a_message_shows_a_guest_s_name_as_it_is(stage: Stage, status: str) -> None:
    (stage.user_home / ".tmux.conf").write_text(f"set -g status {status}")
    octocat = stage.guest("octocat")
    named = stage.user_home / "%H#[fg=red];"
    named.write_text(octocat.key.with_suffix(".pub").read_text())
    stage.asks("invite", f"file:{named}", "--no-copy")
    host = attached_host(stage, columns=120)
    record = host.recorded()
    host.types("echo he''re")
    host.shows("here")
    octocat.joins()
    host_shows = f"{named} joined"
    until(lambda: host_shows in record.read_text(errors="replace"), "the message")
