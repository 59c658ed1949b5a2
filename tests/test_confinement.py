"""A guest is in the shared session or out, whatever tmux.conf says and tmux does."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import pytest

from tests.raw_terminal import RawTerminal
from tests.session import (
    ATTENTIVE,
    attached_host,
    cleared_stage,
    client_sessions,
    daemon_of_each_tmux,
    is_client_size,
    joined,
    window_size,
    with_one_tmux,
)
from tests.stage import Guest, Stage, until

SECRET = "for-the-hosts-eyes"


shared = daemon_of_each_tmux
stage = cleared_stage


def invited(stage: Stage, access: str, conf: str = "") -> Guest:
    """octocat is invited, and the host has a session beside the shared one."""
    (stage.user_home / ".tmux.conf").write_text(conf)
    guest = stage.guest("octocat")
    options = ("--read-only",) if access == "read" else ()
    stage.pairctl("invite", "octocat", "--no-copy", *options)
    private = f"echo {SECRET[:3]}''{SECRET[3:]}; exec sh"
    stage.tmux("new-session", "-d", "-s", "private", private)
    return guest


def guests_client(stage: Stage, hosts: int = 0) -> str:
    """The name of the terminal in the session that came after so many of the host's."""
    form = "#{?client_control_mode,,#{client_name}}"

    def terminals() -> list[str]:
        return stage.tmux("list-clients", "-t", "=pairing:", "-F", form).split()

    return until(lambda: terminals()[hosts:], "the guest's client", ATTENTIVE)[0]


def is_held(stage: Stage, client: str) -> None:
    """The daemon has seen this client and holds it in place."""
    known = ("show-options", "-sv", "@pairing-guests")
    until(lambda: client in stage.tmux(*known).split(), "the client is known", ATTENTIVE)


@pytest.mark.attack(
    "the host's tmux.conf sets detach-on-destroy off, and the shared session ends",
    "guests are out, and see no other session of the host",
)
@pytest.mark.parametrize("access", ["read", "write"])
def test_the_session_s_end_moves_no_guest_to_another_session(stage: Stage, access: str) -> None:
    guest = invited(stage, access, "set -g detach-on-destroy off")
    screen = joined(stage, guest)
    is_held(stage, guests_client(stage))
    stage.tmux("kill-session", "-t", "=pairing")
    screen.ended(ATTENTIVE)
    assert SECRET not in screen.screen()
    assert client_sessions(stage) == set()


@pytest.mark.attack(
    "a reloaded tmux.conf replaces the confining hook, and tmux moves a guest to another session",
    "the guest is led back at once",
)
@pytest.mark.parametrize("access", ["read", "write"])
def test_a_guest_who_is_moved_to_another_session_is_led_back(stage: Stage, access: str) -> None:
    guest = invited(stage, access)
    screen = joined(stage, guest)
    client = guests_client(stage)
    is_held(stage, client)
    stage.tmux("set-hook", "-gu", "client-session-changed")
    stage.tmux("set-hook", "-g", "client-session-changed", "display-message moved")
    stage.tmux("switch-client", "-c", client, "-t", "=private:")
    until(lambda: client_sessions(stage) == {"pairing"}, "the guest is back", ATTENTIVE)
    mine = stage.path / "which"
    screen.sends(f"echo $TMUX_PANE >{mine}\r".encode())
    if access == "write":
        until(lambda: mine.exists() and mine.read_text(), "the typing runs", ATTENTIVE)
        pane = stage.tmux("display-message", "-p", "-t", "=pairing:", "#{pane_id}")
        assert mine.read_text().strip() == pane
    flags = stage.tmux("list-clients", "-F", "#{?client_control_mode,,#{client_flags}}")
    # No host is in, so a writer's size counts.
    assert ("ignore-size" in flags) is (access == "read")


@pytest.mark.attack(
    "hooks of the host's tmux.conf move or unlock a guest who attaches, resizes, or is focused",
    "they do not run for guests",
)
@pytest.mark.parametrize("access", ["read", "write"])
def test_hooks_on_clients_do_not_run_for_guests(stage: Stage, access: str) -> None:
    conf = "set -g window-size smallest\n" + "".join(
        f"set-hook -g {hook} 'switch-client -t =private:'\n"
        f"set-hook -ag {hook} 'refresh-client -f !ignore-size'\n"
        for hook in ("client-attached", "client-resized", "client-active")
    )
    guest = invited(stage, access, conf)
    host = attached_host(stage, columns=100, lines=30)
    host.shows("[pairing]", ATTENTIVE)
    screen = joined(stage, guest)
    screen.shows("[pairing]", ATTENTIVE)
    is_held(stage, guests_client(stage, hosts=1))
    until(lambda: len(ignoring_size(stage)) == 1, "the host's size wins", ATTENTIVE)
    for size in ("61x20", "62x20"):
        screen.has_size(*map(int, size.split("x")))
        until(partial(is_client_size, stage, size), "the guest's size", ATTENTIVE)
        screen.sends(b"\r")
    host.types("echo still''-here")
    screen.shows("still-here", ATTENTIVE)
    assert SECRET not in screen.screen()
    assert window_size(stage) == "100x29"


@pytest.mark.attack(
    "a guest's role changes while another session was used last",
    "the guest stays in the shared session, and their size does not count beside the host's",
)
def test_a_change_of_role_moves_no_client(stage: Stage) -> None:
    guest = invited(stage, "read")
    host = attached_host(stage)
    host.shows("[pairing]", ATTENTIVE)
    screen = joined(stage, guest)
    screen.shows("[pairing]", ATTENTIVE)
    other = stage.terminal(
        stage.tmux_command, "-S", str(stage.home / "tmux.sock"), "attach", "-t", "=private:"
    )
    other.shows(SECRET, ATTENTIVE)
    assert "error" not in stage.asks("role", "octocat", "write")
    screen.sends(b"echo typed''-by-guest\r")
    host.shows("typed-by-guest", ATTENTIVE)
    assert "typed-by-guest" not in other.screen()
    assert SECRET not in screen.screen()
    until(lambda: len(ignoring_size(stage)) == 1, "the host's size wins", ATTENTIVE)


@with_one_tmux
@pytest.mark.attack(
    "tmux does not answer while guests are in, so that nothing can be steered",
    "read guests are cut after two seconds, and the host is told",
)
def test_read_guests_are_cut_where_tmux_falls_silent(stage: Stage) -> None:
    guest = invited(stage, "read")
    screen = joined(stage, guest)
    is_held(stage, guests_client(stage))
    server = int(stage.tmux("display-message", "-p", "#{pid}"))
    os.kill(server, signal.SIGSTOP)
    try:
        screen.ended(60)
        visits = stage.asks("receipt")["visits"]
        assert [visit["about"] for visit in visits] == ["tmux does not answer"]
        assert "tmux does not answer" in stage.pairctl("log").stdout
    finally:
        os.kill(server, signal.SIGCONT)
    until(
        lambda: "resolved: tmux does not answer" in stage.pairctl("log").stdout,
        "the log tells that tmux answers again",
    )


@with_one_tmux
@pytest.mark.attack(
    "a write guest has tmux report dates beyond the calendar, thousands of clients, or megabytes",
    "every command works on, later guests are seen, and the receipt is whole",
)
@pytest.mark.parametrize(
    ("line", "lines", "times"),
    [("{client} $0 1 999999999999999999", 1, 1), ("c{n} $0 1 2", 19_000, 1), ("x" * 60, 12_000, 5)],
    ids=["dates", "clients", "megabytes"],
)
def test_nothing_that_tmux_reports_stops_a_command(
    stage: Stage, line: str, lines: int, times: int
) -> None:
    guest = invited(stage, "write")
    screen = joined(stage, guest)
    client = guests_client(stage)
    is_held(stage, client)
    reported = "\n".join(line.format(client=client, n=n) for n in range(lines))
    commands = stage.path / "commands"
    commands.write_text(f"set-option -g @reported '{reported}'\n")
    stage.tmux("source-file", str(commands))
    forged = ("set-option -g @asked yes", *("show-options -gqv @reported",) * times, "list-clients")
    stage.tmux("set-option", "-s", "command-alias[99]", f"list-clients={' ; '.join(forged)}")
    until(lambda: stage.tmux("show-options", "-gqv", "@asked"), "pairingd has asked", ATTENTIVE)
    stage.pairctl("status")
    hubot = stage.guest("hubot")
    stage.pairctl("invite", "hubot", "--no-copy")
    joined(stage, hubot)
    stage.has_seen(visits=2)
    stage.pairctl("revoke", "octocat")
    screen.ended(ATTENTIVE)
    until(lambda: stage.asks("receipt")["visits"][0]["until"], "the end of the visit", ATTENTIVE)
    visit = stage.asks("receipt")["visits"][0]
    assert (visit["typed_at"] or "") <= visit["until"]


def ignoring_size(stage: Stage) -> list[str]:
    flags = stage.tmux("list-clients", "-F", "#{client_flags}").splitlines()
    return [one for one in flags if "ignore-size" in one]


@with_one_tmux
@pytest.mark.attack(
    "a guest whose role was reduced starts a second terminal on the connection of before",
    "it is read-only too: the forced command asks for the role at each start",
)
def test_a_second_terminal_of_a_connection_has_the_role_of_now(stage: Stage) -> None:
    guest = invited(stage, "write")
    control = str(stage.path / "control")
    master = RawTerminal(guest.ssh("-M", "-S", control), stage.environment, 80, 24)
    stage.closes(master.close)
    is_held(stage, guests_client(stage))
    assert "error" not in stage.asks("role", "octocat", "read")
    master.sends(b"\x03")
    second = RawTerminal(guest.ssh("-S", control), stage.environment, 80, 24)
    stage.closes(second.close)
    proof = stage.path / "proof"
    for _ in range(20):
        second.sends(f"touch {proof}\r".encode())
        time.sleep(0.05)  # paces the attack; nothing waits for it
    second.leaves(b"\x03", ATTENTIVE)
    master.ended(ATTENTIVE)
    assert not proof.exists()


@with_one_tmux
@pytest.mark.attack(
    "a connection starts a terminal after its invitation ended and while the daemon hangs",
    "the forced command refuses: the invitation has no mark any more",
)
def test_a_terminal_without_a_mark_is_refused(stage: Stage) -> None:
    guest = invited(stage, "write")
    (mark,) = (stage.home / "live").iterdir()
    mark.unlink()
    screen = joined(stage, guest)
    assert screen.ended(ATTENTIVE) == 1
    assert "not invited any more" in screen.screen()
