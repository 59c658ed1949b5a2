"""What host and guests see of each other: the status line, what they are told, and why it ends."""

from __future__ import annotations

import getpass
import os
import re
import signal
import time
from datetime import UTC, datetime

import pytest

from tests.session import (
    ATTENTIVE,
    attached_host,
    cleared_stage,
    daemon_of_each_tmux,
    joined,
    with_one_tmux,
)
from tests.stage import Guest, Stage, Terminal, in_another_second, until

shared = daemon_of_each_tmux
stage = cleared_stage
HOST = getpass.getuser()
HERE = ("-t", "=pairing:")
AT = r"\d\d:\d\d"


def invited(stage: Stage, name: str = "octocat", *options: str, conf: str = "") -> Guest:
    (stage.user_home / ".tmux.conf").write_text(conf)
    guest = stage.guest(name)
    stage.asks("invite", name, "--no-copy", *options)
    return guest


def last_line(terminal: Terminal) -> str:
    return terminal.screen().rstrip("\n").rpartition("\n")[2]


def own_options(stage: Stage) -> list[str]:
    """Of the status line, those that the session has of its own; and all of ours."""
    lines = stage.tmux("show-options", *HERE).splitlines()
    return [one for one in lines if "status-right" in one or "@pairing-line" in one]


def shows_line(terminal: Terminal, text: str) -> None:
    shown = lambda: f"{text!r} in the status line:\n{terminal.screen()}"  # noqa: E731
    until(lambda: text in last_line(terminal), shown, ATTENTIVE)


@pytest.mark.waits
def test_both_status_lines_show_the_guests_their_time_left_and_who_typed_last(stage: Stage) -> None:
    octocat = invited(stage, "octocat", "--ttl", "90m")
    host = attached_host(stage)
    host.shows("(octocat rw 1h2", ATTENTIVE)
    guest = octocat.joins()
    shows_line(host, " octocat rw 1h2")
    shows_line(guest, " octocat rw 1h2")
    in_another_second()  # than that of the start, which tmux takes for activity
    guest.types("echo hello")
    shows_line(host, " *octocat rw 1h2")
    host.types("echo hello")
    shows_line(guest, " octocat rw 1h2")
    invited(stage, "bob", "--read-only").joins()
    shows_line(host, "bob ro ")


@pytest.mark.waits
@pytest.mark.parametrize(
    ("scope", "users", "shown"),
    [
        ("-g", "#(echo job) \"q\" 'q' #{l:f} %% #[fg=red]é;", "job \"q\" 'q' f % é;"),
        ("-t=pairing:", "a,}b\\;", "a,}b\\;"),
    ],
    ids=["formats", "separators"],
)
def test_the_user_s_status_right_is_shown_and_restored(
    stage: Stage, scope: str, users: str, shown: str
) -> None:
    octocat = invited(stage)
    host = attached_host(stage, columns=120)
    host.shows("[pairing]", ATTENTIVE)
    stage.tmux("set-option", scope, "status-right", users.replace(";", "\\;"))
    stage.asks("extend", "octocat", "5m")
    octocat.joins()
    shows_line(host, "octocat rw")
    shows_line(host, shown)
    stage.asks("end")
    until(lambda: not any("@pairing-line" in one for one in own_options(stage)), "given back")
    value = ("show-options", "-gv") if scope == "-g" else ("show-options", "-v", *HERE)
    assert stage.tmux(*value, "status-right") == users
    assert len(own_options(stage)) == (scope != "-g")


@pytest.mark.waits
def test_a_status_right_that_the_user_changes_during_a_session_is_kept(stage: Stage) -> None:
    octocat = invited(stage)
    host = attached_host(stage, columns=120)
    shows_line(host, "(octocat rw")
    stage.tmux("set-option", *HERE, "status-right", "mine")
    shows_line(host, "mine")
    octocat.joins()
    shows_line(host, " octocat rw")
    shows_line(host, "mine")
    stage.tmux("set-option", "-a", *HERE, "status-right", " more")
    stage.asks("end")
    until(lambda: own_options(stage) == ['status-right "mine more"'], "given back", ATTENTIVE)


def test_a_status_line_that_is_off_stays_off(stage: Stage) -> None:
    octocat = invited(stage, conf="set -g status off")
    host = attached_host(stage)
    record = host.recorded()
    host.types("echo he''re")
    host.shows("here", ATTENTIVE)
    octocat.joins()
    until(lambda: "octocat joined" in record.read_text(errors="replace"), "a message", ATTENTIVE)
    assert stage.tmux("show-options", "-Av", *HERE, "status") == "off"


@with_one_tmux
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_many_guests_with_long_names_are_cropped(stage: Stage, columns: int) -> None:
    names = [f"{letter}{'n' * 38}" for letter in "abcdefghijklmnopqrst"]
    for name in names:
        stage.guest(name)
    stage.asks("invite", *names, "--no-copy")
    host = attached_host(stage, columns=columns)
    until(lambda: "+" in last_line(host), "the line", ATTENTIVE)
    line = last_line(host)
    assert re.search(r"\(an+… rw 1h5\dm\)( · \(.n+… rw 1h5\dm\))* \+1[5-9]", line), line
    assert line.startswith("[pairing] 0:")


def test_a_killed_daemon_s_line_is_cleaned_by_the_next_start(stage: Stage) -> None:
    invited(stage)
    stage.tmux("set-option", *HERE, "status-right", "mine")
    host = attached_host(stage)
    shows_line(host, "(octocat rw")
    os.kill(stage.asks("status")["daemon"]["pid"], signal.SIGKILL)
    for mark in (stage.home / "live").iterdir():
        mark.unlink()
    stage.pairctl("start")
    until(lambda: own_options(stage) == ["status-right mine"], "given back", ATTENTIVE)


@pytest.mark.parametrize(
    ("access", "said"),
    [("write", "rw until {}; Ctrl-b d leaves"), ("read", "ro until {}; Ctrl-C leaves")],
)
def test_a_guest_sees_a_greeting_and_each_change_of_terms(
    stage: Stage, access: str, said: str
) -> None:
    options = ("--read-only",) if access == "read" else ()
    screen = joined(stage, invited(stage, "octocat", *options), columns=100)
    greeting = re.escape(f"{HOST}'s session, {said}, same ssh returns").replace(r"\{\}", AT)
    until(lambda: re.search(greeting, screen.screen()), "the greeting", ATTENTIVE)
    stage.asks("extend", "octocat", "10m")
    screen.shows(f"{HOST} changed your time: you may stay until", ATTENTIVE)
    other, role = ("read", "read-only") if access == "write" else ("write", "read-write")
    stage.asks("role", "octocat", other)
    screen.shows(f"{HOST} made you {role}, until", ATTENTIVE)


@with_one_tmux
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (100, rf"0:\S+ +{HOST}'s session, rw until {AT}; Ctrl-b d leaves, same ssh returns"),
        (80, rf"0:\S+ +rw until {AT}; Ctrl-b d leaves, same ssh returns"),
        (60, rf"0:\S+ +rw until {AT}; Ctrl-b d leaves"),
        (40, rf" *rw to {AT}; Ctrl-b d leaves"),
    ],
)
def test_a_greeting_fits_its_terminal_and_is_shown_once_to_who_comes_back(
    stage: Stage, columns: int, said: str
) -> None:
    octocat = invited(stage)
    line = rf"(?m)^\[pairing\] {said}$"
    for _ in range(2):
        guest = octocat.joins(columns=columns)
        screen = guest.screen
        until(lambda: re.search(line, screen()), screen, ATTENTIVE)  # noqa: B023 - at once
        guest.presses("C-b", "d")
        guest.ended(ATTENTIVE)


@pytest.mark.parametrize(
    ("columns", "said", "bob"),
    [
        (80, "pairing: github:bob invited read-write for 1h · github:ann …", "bob"),
        (40, "bob invited read-write for 1…", "bob"),
        (60, f"{'b' * 15}… invited read-write for…", "b" * 39),
    ],
)
def test_the_host_s_messages_are_cut_on_the_right_and_have_one_prefix(
    stage: Stage, columns: int, said: str, bob: str
) -> None:
    for name in ("ann", bob):
        stage.guest(name)
    invited(stage)
    host = attached_host(stage, columns=columns)
    host.shows("[pairing]", ATTENTIVE)
    stage.asks("invite", "ann", bob, "--ttl", "1h", "--no-copy")
    until(lambda: last_line(host).endswith(f" {said}"), lambda: last_line(host), ATTENTIVE)


def test_the_host_s_line_and_the_log_have_the_local_time_of_a_later_invitation(
    stage: Stage,
) -> None:
    stage.guest("ann")
    invited(stage)
    host = attached_host(stage, columns=120)
    host.shows("[pairing]", ATTENTIVE)
    opens = datetime.fromtimestamp(time.time() // 60 * 60 + 7200, UTC)
    stage.asks("invite", "ann", "--at", opens.isoformat(), "--no-copy")
    said = f"ann invited read-write for 2h, from {opens.astimezone():%H:%M} on"
    shows_line(host, said)
    assert f"{opens.astimezone():%H:%M} on" in stage.pairctl("log").stdout


@pytest.mark.waits
@pytest.mark.parametrize(
    ("shared", "access"), [("tmux", "write"), ("newest tmux", "read")], indirect=["shared"]
)
def test_a_guest_is_warned_before_the_end(stage: Stage, access: str) -> None:
    options = ("--read-only",) if access == "read" else ()
    screen = joined(stage, invited(stage, "octocat", *options))
    screen.shows("same ssh returns", ATTENTIVE)
    for seconds, said in ((310, "5 minutes left, until"), (70, "1 minute left, until")):
        moment = datetime.fromtimestamp(time.time() + seconds, UTC)
        stage.asks("extend", "octocat", "--until", moment.isoformat())
        screen.shows(said, ATTENTIVE)


@pytest.mark.parametrize(
    ("shared", "access"), [("tmux", "read"), ("newest tmux", "write")], indirect=["shared"]
)
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("revoke", f"{HOST} removed you"),
        ("end", f"{HOST} ended the session"),
        ("expire", "your time is up ("),
        ("leave", "you left; come back until"),
        ("exit", "the session has ended"),
    ],
)
def test_a_guest_sees_why_their_visit_ended(stage: Stage, access: str, how: str, why: str) -> None:
    options = ("--read-only",) if access == "read" else ()
    guest = invited(stage, "octocat", *options).joins()
    stage.has_seen(visits=1)
    match how:
        case "revoke":
            stage.asks("revoke", "octocat")
        case "end":
            stage.asks("end")
        case "expire":
            stage.expires_soon("octocat")
        case "leave":
            guest.presses(*(("C-c",) if access == "read" else ("C-b", "d")))
        case "exit":
            stage.tmux("kill-session", "-t", "=pairing")
    guest.ended(ATTENTIVE)
    guest.shows(f"pairing: {why}", ATTENTIVE)
    lines = [line for line in guest.screen().splitlines() if line]
    assert not any("detached" in line or "exited" in line for line in lines), lines


@with_one_tmux
@pytest.mark.parametrize("roles", [("read", "write"), ("read", "write", "read")])
def test_a_guest_whose_role_has_changed_sees_why_their_visit_ended(
    stage: Stage, roles: tuple[str, ...]
) -> None:
    guest = invited(stage, "octocat").joins()
    stage.has_seen(visits=1)
    for role in roles:
        stage.asks("role", "octocat", role)
        shows_line(guest, f"made you read-{'only' if role == 'read' else 'write'}")
    stage.asks("revoke", "octocat")
    guest.ended(ATTENTIVE)
    guest.shows("removed you", ATTENTIVE)
    lines = [line for line in guest.screen().splitlines() if line.startswith(("pairing:", "["))]
    assert [line for line in lines if "removed you" not in line] == []


def test_a_guest_sees_why_their_visit_ended_although_tmux_has_just_ended_pairingd_s_client(
    stage: Stage,
) -> None:
    guest = invited(stage, "octocat").joins()
    stage.has_seen(visits=1)
    form = "#{?client_control_mode,#{client_name},}"
    ended = ""
    for _ in range(2):  # pairingd starts the first again at once, the second only after a while
        before = {ended}
        (ended,) = until(
            lambda: set(stage.tmux("list-clients", "-F", form).split()) - before,  # noqa: B023
            "pairingd's own client",
            ATTENTIVE,
        )
        stage.tmux("detach-client", "-t", ended)
    stage.asks("revoke", "octocat")
    guest.ended(ATTENTIVE)
    guest.shows("removed you", ATTENTIVE)


def test_the_host_sees_a_message_when_a_guest_joins_or_leaves(stage: Stage) -> None:
    octocat = invited(stage)
    host = attached_host(stage)
    host.shows("[pairing]", ATTENTIVE)
    guest = octocat.joins()
    shows_line(host, "pairing: github:octocat joined (read-write)")
    assert "joined" not in last_line(guest)
    guest.presses("C-b", "d")
    shows_line(host, "pairing: github:octocat left")


def test_the_host_reads_which_of_a_guest_s_terminals_joins_or_leaves(stage: Stage) -> None:
    octocat = invited(stage)
    host = attached_host(stage, columns=120)
    host.shows("[pairing]", ATTENTIVE)
    octocat.joins()
    shows_line(host, "github:octocat joined (read-write)")
    second = octocat.joins()
    shows_line(host, "github:octocat joined again (read-write)")
    second.presses("C-b", "d")
    shows_line(host, "github:octocat left one of their terminals")


def test_the_host_reads_that_an_invitation_is_over_whose_guest_is_not_in(stage: Stage) -> None:
    invited(stage)
    invited(stage, "hubot")
    host = attached_host(stage)
    host.shows("[pairing]", ATTENTIVE)
    stage.expires_soon("hubot")
    shows_line(host, "pairing: github:hubot: the time is up")


@with_one_tmux
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("expire", "the time is up"),
        ("revoke", "the host removed them"),
        ("end", "the host ended the session"),
    ],
)
def test_the_host_reads_once_why_a_guest_was_put_out(stage: Stage, how: str, why: str) -> None:
    hubot = invited(stage, "hubot")  # the line may still say of octocat that they have left
    host = attached_host(stage, columns=120)
    host.shows("[pairing]", ATTENTIVE)
    guests = [hubot.joins(), hubot.joins()]
    stage.has_seen(visits=2)
    record = host.recorded()
    match how:
        case "expire":
            stage.expires_soon("hubot")
        case "revoke":
            stage.asks("revoke", "hubot")
        case "end":
            stage.asks("end")
    shows_line(host, f"github:hubot: {why}")
    for guest in guests:
        guest.ended(ATTENTIVE)
    assert last_line(host).count(why) <= 1
    assert "hubot left" not in record.read_text(errors="replace")


@pytest.mark.attack(
    "a guest's name holds tmux formats and styles",
    "the status line shows them as they are; nothing is run",
)
def test_a_guest_s_name_is_not_expanded_as_a_tmux_format(stage: Stage) -> None:
    (stage.user_home / ".tmux.conf").write_text("")
    octocat = stage.guest("octocat")
    proof = stage.path / "proof"
    hostile = stage.path / "#[fg=red]#(touch proof)#{l:x},}%H.pub"
    hostile.write_text(octocat.key.with_suffix(".pub").read_text())
    stage.asks("invite", f"file:{hostile}", "--no-copy")
    host = attached_host(stage, columns=120)
    shows_line(host, "(#[fg=red]#(touc… rw")
    octocat.joins()
    shows_line(host, "joined (read-write)")
    assert not proof.exists()


def test_a_prompt_gets_one_short_line(stage: Stage) -> None:
    line = ("status", "--line")
    stage.asks("end")
    assert stage.pairctl(*line).stdout == ""
    octocat = invited(stage)
    assert re.fullmatch(r"\(octocat rw 1h5\dm\)\n", stage.pairctl(*line).stdout)
    octocat.joins()
    until(lambda: stage.pairctl(*line).stdout.startswith("octocat rw 1h5"), "in", ATTENTIVE)
    assert stage.asks(*line)["line"].startswith("octocat rw 1h5")
