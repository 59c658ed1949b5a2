"""Whatever the host's tmux.conf does to new sessions, the shared one comes up, or it is said why."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.session import cleared_stage, daemon_of_each_tmux, invited
from tests.stage import PAIRCTL, Stage, until
from tests.waiting import WAIT_S

shared = daemon_of_each_tmux
stage = cleared_stage


def configure_tmux(stage: Stage, *lines: str) -> Path:
    path = stage.user_home / ".tmux.conf"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def session_lives(stage: Stage) -> bool:
    command = (stage.tmux_command, "-S", str(stage.home / "tmux.sock"))
    return stage.run(*command, "has-session", "-t", "=pairing", check=False).returncode == 0


@pytest.mark.parametrize(
    "lines",
    [
        ["set -g destroy-unattached keep-last", "set -s exit-unattached on"],
        ["set -g destroy-unattached keep-group", "set -s exit-empty on"],
        ["set -g destroy-unattached on", "set -g remain-on-exit failed"],
    ],
)
def test_the_session_outlives_its_clients_whatever_tmux_conf_says(
    stage: Stage, lines: list[str]
) -> None:
    configure_tmux(stage, *lines)
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    screen = guest.joins()
    screen.types("echo wr''itten")
    screen.shows("written")
    # As by a tmux.conf that is read again.
    stage.tmux("set-option", "-g", "destroy-unattached", "on")
    stage.tmux("set-option", "-s", "exit-unattached", "on")
    stage.pairctl("end")
    screen.ended()
    until(lambda: not stage.asks("status")["session"]["clients"], "nobody is attached")
    assert session_lives(stage)
    assert stage.tmux("capture-pane", "-p", "-t", "=pairing:").count("written")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")


def test_remain_on_exit_is_not_set_once_the_shell_has_started(stage: Stage) -> None:
    stage.guest("octocat")
    invited(stage, "octocat")
    assert stage.tmux("show-options", "-w", "-t", "=pairing:", "remain-on-exit") == ""
    stage.tmux("send-keys", "-t", "=pairing:", "exit", "Enter")
    until(lambda: not session_lives(stage), "the session has ended with its shell")
    until(lambda: stage.asks("status")["invitations"] == [], "nobody is invited any more")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ('default-command "nothere --flag"', "(status 127, command not found)"),
        ('default-command "exit 3"', "(status 3)"),
        ('default-command "sleep 0.1"', "(status 0)"),
        ("default-command 'kill -9 $$'", "(signal 9)"),
        ("default-shell /bin/false", "(status 1)"),
    ],
)
def test_invite_is_refused_if_the_first_program_ends_at_once(
    stage: Stage, option: str, told: str
) -> None:
    conf = configure_tmux(stage, f"set -g {option}")
    stage.guest("octocat")
    error = stage.asks("invite", "octocat", "--no-copy")["error"]
    assert error["code"] == "shell-ended"
    assert told in error["message"]
    assert option.split(maxsplit=1)[0] in error["hint"]
    assert str(conf) in error["hint"]
    status = stage.asks("status")
    assert status["invitations"] == []
    assert status["session"]["running"] is False
    assert not session_lives(stage)
    configure_tmux(stage)
    invited(stage, "octocat")


@pytest.mark.parametrize("command", ["kill-session", "set destroy-unattached on"])
def test_invite_is_refused_if_a_hook_ends_the_session(stage: Stage, command: str) -> None:
    configure_tmux(stage, f"set-hook -g session-created '{command}'")
    stage.guest("octocat")
    error = stage.asks("invite", "octocat", "--no-copy")["error"]
    assert error["code"] == "tmux-failed"
    assert error["message"] == "the tmux session ended as soon as it was made"
    assert "hooks and commands of tmux.conf" in error["hint"]
    configure_tmux(stage)
    invited(stage, "octocat")


@pytest.mark.parametrize(
    "line", ["run-shell '{waits}'", "if-shell '{waits}' 'set -g @installed yes'"]
)
def test_invite_waits_for_a_slow_tmux_conf_and_reports_it(stage: Stage, line: str) -> None:
    installed = stage.path / "installed"
    configure_tmux(
        stage, line.format(waits=f"while [ ! -e {installed} ]; do sleep 0.1; done # the plugins")
    )
    stage.guest("octocat")
    inviting = subprocess.Popen(
        [PAIRCTL, "invite", "octocat", "--no-copy", "--json"],
        env=stage.environment,
        cwd=stage.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert inviting.stderr
    while "tmux has not started yet" not in (said := inviting.stderr.readline()):
        assert said, "it has ended without a word"
    assert "the plugins" in said
    installed.touch()
    out, _ = inviting.communicate(timeout=WAIT_S)
    assert inviting.returncode == 0, out
    assert [one["guest"] for one in stage.asks("status")["invitations"]] == ["github:octocat"]


def test_errors_in_tmux_conf_do_not_take_the_guests_keys(stage: Stage) -> None:
    configure_tmux(stage, "nonsense", "set -g nothing yes", "source-file /nonexistent/file")
    guest = stage.guest("octocat")
    warnings = invited(stage, "octocat")["warnings"]
    screen = guest.joins()
    screen.types("echo wr''itten")
    screen.shows("written")
    # The newest tmux shows them to whoever attaches first.
    for hint in (one["hint"] for one in warnings if one["code"] == "tmux-conf"):
        shown = stage.run("sh", "-c", hint.removeprefix("to see them: "), check=False)
        assert "nonsense" in f"{shown.stdout}{shown.stderr}"


def test_a_dead_pane_is_a_warning_in_invite_and_in_status(stage: Stage) -> None:
    configure_tmux(stage, "set -g remain-on-exit on")
    stage.guest("octocat")
    stage.guest("hubot")
    assert "pane-dead" not in {one["code"] for one in invited(stage, "octocat")["warnings"]}
    stage.tmux("send-keys", "-t", "=pairing:", "exit 5", "Enter")
    until(lambda: stage.tmux("display", "-p", "-t", "=pairing:", "#{pane_dead}") == "1", "dead")
    for told in (stage.asks("invite", "hubot", "--no-copy"), stage.asks("status")):
        [warning] = [one for one in told["warnings"] if one["code"] == "pane-dead"]
    stage.run("sh", "-c", warning["hint"].partition(": ")[2].replace("tmux", stage.tmux_command, 1))
    assert stage.tmux("display-message", "-p", "-t", "=pairing:", "#{pane_dead}") == "0"
    assert "pane-dead" not in {one["code"] for one in stage.asks("status")["warnings"]}


def test_an_invitation_beside_a_kill_server_makes_a_session_that_lasts(stage: Stage) -> None:
    stage.guest("octocat")
    for _ in range(3):
        invited(stage, "octocat")
        stage.asks("end")
        killing = subprocess.Popen(
            [stage.tmux_command, "-S", str(stage.home / "tmux.sock"), "kill-server"],
            stderr=subprocess.DEVNULL,
        )
        answer = stage.asks("invite", "octocat", "--no-copy")
        killing.wait()
        assert "error" not in answer, answer
        assert session_lives(stage)
        stage.asks("end")


def test_a_session_killed_under_live_invitations_is_over_for_them(stage: Stage) -> None:
    stage.guest("octocat")
    invited(stage, "octocat")
    stage.tmux("kill-server")
    until(lambda: stage.asks("status")["invitations"] == [], "nobody is invited any more")
    invited(stage, "octocat")
    assert session_lives(stage)


@pytest.mark.parametrize(
    ("lines", "leave"),
    [
        (["set -g prefix C-a", "unbind d", "bind x detach-client"], "Ctrl-a x"),
        (["set -g prefix None"], "closing the terminal"),
        (["unbind -a -T prefix"], "closing the terminal"),
    ],
)
def test_a_guest_reads_which_keys_leave(stage: Stage, lines: list[str], leave: str) -> None:
    configure_tmux(stage, *lines)
    guest = stage.guest("octocat")
    invited(stage, "octocat")
    guest.joins(columns=120).shows(f"; {leave} leaves, same ssh returns")
