"""What a guest in a box can lay for the host's own programs outside, and for the next box."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boxed import with_boxes
from tests.session import own_stage as stage
from tests.stage import Stage, Terminal, until

pytestmark = with_boxes

__all__ = ["stage"]


def boxed(stage: Stage, directory: Path) -> Terminal:
    """A write guest in a box that shares `directory`."""
    guest = stage.guest("octocat")
    answer = stage.asks("invite", "octocat", "--no-copy", "--box", str(directory))
    assert "error" not in answer, answer
    screen = guest.joins()
    screen.shows("[pairing]")
    return screen


def tries(screen: Terminal, line: str) -> None:
    """Have the guest run `line` to its end."""
    screen.types(f"clear; {line}; echo tried-it-$((40 + 2))")
    screen.shows("tried-it-42")


def bare(directory: Path) -> Path:
    for name in ("objects", "refs", "hooks"):
        (directory / name).mkdir(parents=True)
    (directory / "HEAD").write_text("ref: refs/heads/main\n")
    (directory / "config").write_text("[core]\n\tbare = true\n")
    return directory / "hooks" / "post-receive"


def worktree(directory: Path) -> Path:
    directory.mkdir()
    (directory / ".git").write_text("gitdir: /somewhere/.git/worktrees/this\n")
    return directory / ".git" / "config"


def fifo(directory: Path) -> Path:
    directory.mkdir()
    os.mkfifo(directory / ".git")
    return directory / ".git" / "config"


def usual(directory: Path) -> Path:
    (directory / ".git" / "hooks").mkdir(parents=True)
    return directory / ".git" / "hooks" / "post-checkout"


@pytest.mark.attack(
    "a write guest in a box lays a program for the host's git: in a bare repository, a worktree",
    "hooks, configuration and the file .git are read-only, and stay where they are",
)
@pytest.mark.parametrize("made", [usual, bare, worktree, fifo])
def test_what_git_runs_outside_is_not_a_guest_s(stage: Stage, made: Callable[[Path], Path]) -> None:
    project = stage.user_home / "project"
    trap = made(project)
    screen = boxed(stage, project)
    moves = "; ".join(f"mv {name} {name}.old" for name in (".git", "hooks", "config", ".git/hooks"))
    lays = f"mkdir -p {trap.parent}; echo 'touch /tmp/x' >{trap}; chmod +x {trap}"
    tries(screen, f"cd {project}; {moves}; {lays}; touch writable")
    assert (project / "writable").exists()
    assert not trap.exists()


@pytest.mark.attack(
    "a write guest in a box puts a link where the next box is configured to share something",
    "the next box is refused",
)
@pytest.mark.parametrize("key", ["read", "write"])
def test_a_link_for_the_next_box_is_refused(stage: Stage, key: str) -> None:
    project, notes = stage.user_home / "project", stage.user_home / "notes"
    (project / "a" / "vendor").mkdir(parents=True)
    notes.mkdir()
    stage.configure(f'[box]\n{key} = ["{project}/a/vendor"]\n')
    screen = boxed(stage, project)
    tries(screen, f"cd {project}; mv a b; mkdir a; ln -s {notes} a/vendor")
    assert (project / "a" / "vendor").is_symlink()
    screen.types("exit")
    until(lambda: not stage.asks("status")["session"]["running"], "the session has ended")
    until(lambda: not stage.asks("status")["invitations"], "nobody is invited any more")
    refused = stage.asks("invite", "octocat", "--no-copy", "--box", str(project))
    assert refused["error"]["code"] == "not-shareable", refused


def test_the_host_is_warned_of_what_cannot_be_protected(stage: Stage) -> None:
    project = stage.user_home / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".git" / "hooks").symlink_to("../.githooks")
    stage.guest("octocat")
    answer = stage.asks("invite", "octocat", "--no-copy", "--box", str(project))
    [warning] = [one for one in answer["warnings"] if one["code"] == "git-unprotected"]
    assert "~/project/.git/hooks" in warning["message"]
