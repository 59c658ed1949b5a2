"""A session in a box: the guest has the shared directory, and nothing else of the host's."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pairingd.box.place import living
from tests import session
from tests.boxed import SECRET, Attack, Scene, scene, scene_on, with_boxes
from tests.newest_tmux import newest_tmux
from tests.session import attached_host, cleared_stage, joined, programs_first, shared_stage
from tests.stage import Stage, until
from tests.tmux_control import NO_PASTE

pytestmark = with_boxes

ENTERS, LEAVES = b"\x1b[?1049h", b"\x1b[?1049l"  # the terminal's other screen


@pytest.fixture(scope="module", params=["tmux", "newest tmux"])
def stage_of_each_tmux(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Stage() as stage:
        if request.param == "newest tmux":
            tmux = newest_tmux()
            stage.configure(f'[tmux]\ncommand = "{tmux}"\n[box]\nread = ["{tmux.parent}"]\n')
        yield stage


@pytest.fixture
def boxed(stage_of_each_tmux: Stage) -> Iterator[Scene]:
    with scene_on(stage_of_each_tmux, boxed=True) as made:
        yield made
    stage_of_each_tmux.is_cleared()


@pytest.fixture
def own(stage: Stage) -> Iterator[Scene]:
    with scene_on(stage, boxed=True) as made:
        yield made


own_stage = session.own_stage
shared = shared_stage
stage = cleared_stage


def is_in(one: Scene) -> bool:
    return bool(one.stage.asks("receipt")["visits"])


def test_guest_and_host_share_the_session_in_the_box(boxed: Scene) -> None:
    host = attached_host(boxed.stage)
    host.shows("[pairing]")
    boxed.screen.types("clear; pwd; echo by-the''-guest >made")
    boxed.screen.shows(str(boxed.project)[-20:])
    until((boxed.project / "made").exists, "the guest's file is in the host's directory")
    host.types("echo by-the''-host")
    boxed.screen.shows("by-the-host")
    session = boxed.stage.asks("status")["session"]
    assert session["confinement"] == "box"
    assert session["box"]["directory"] == str(boxed.project)
    assert session["clients"] == 2


def test_a_read_guest_in_a_box_types_nothing_until_they_may_write(boxed: Scene) -> None:
    until(lambda: is_in(boxed), "the guest is in")
    boxed.stage.pairctl("role", "octocat", "read")
    boxed.screen.types("echo x >by-a-read-guest")
    boxed.stage.pairctl("role", "octocat", "write")

    def writes() -> bool:
        """Typed again, for what is typed while the role changes is dropped."""
        boxed.screen.types("echo x >by-a-write-guest")
        return (boxed.project / "by-a-write-guest").exists()

    until(writes, "they may write again")
    assert not (boxed.project / "by-a-read-guest").exists()


def test_a_write_guest_s_terminal_in_a_box_has_their_size_within_bounds(own: Scene) -> None:
    terminal = joined(own.stage, own.guest, columns=90, lines=33)
    for size, expected in (((90, 33), "90x33"), ((100, 40), "100x40"), ((5000, 2), "500x3")):
        terminal.has_size(*size)
        until(lambda: expected in sizes(own), f"{expected}, of {size}")  # noqa: B023


def sizes(scene: Scene) -> list[str]:
    """Of the clients' terminals, as tmux has them."""
    box = scene.box
    assert box
    shown = "#{client_width}x#{client_height}"
    return scene.stage.run(box.tmux, "-S", box.socket, "list-clients", "-F", shown).stdout.split()


def test_the_role_changes_there_and_back_in_a_box_and_the_screen_stays(boxed: Scene) -> None:
    until(lambda: is_in(boxed), "the guest is in")
    for _ in range(2):
        boxed.stage.pairctl("role", "octocat", "read")
        boxed.screen.shows("made you read-only")
        boxed.stage.pairctl("role", "octocat", "write")
        boxed.screen.shows("made you read-write")
        boxed.screen.shows("[pairing]")


@pytest.mark.parametrize("who", ["guest", "host"])
def test_a_client_that_is_suspended_in_a_box_goes_on_by_itself(boxed: Scene, who: str) -> None:
    """And its guest is not taken for out: tmux 3.7 and later do not list a suspended client."""
    takes_no_keys_for_a_paste(boxed)
    terminal = boxed.screen if who == "guest" else attached_host(boxed.stage)
    terminal.shows("[pairing]")
    written = terminal.recorded()
    written.touch()
    for count in range(1, 6):
        terminal.presses("C-b")
        terminal.presses("C-z")
        until(lambda: written.read_bytes().count(LEAVES) == count, "tmux has left the terminal")  # noqa: B023
        until(lambda: written.read_bytes().count(ENTERS) == count, "tmux has it again")  # noqa: B023
    until(lambda: is_in(boxed), "the guest is in")
    boxed.screen.types(f"clear; echo x >{boxed.project}/still-in")
    until((boxed.project / "still-in").exists, "the guest is in and writes")


def takes_no_keys_for_a_paste(scene: Scene) -> None:
    """In a box nobody reads the host's tmux.conf."""
    box = scene.box
    assert box
    scene.stage.run(box.tmux, "-S", box.socket, *NO_PASTE.split())


def test_a_pane_whose_terminal_has_a_guest_s_number_is_not_taken_for_the_guest(own: Scene) -> None:
    until(lambda: is_in(own), "the guest is in")
    box, project = own.box, own.project
    assert box
    tmux = (box.tmux, "-S", box.socket)
    listed = own.stage.run(*tmux, "list-clients", "-F", "#{client_tty}").stdout.split()
    number = max(int(name.rpartition("/")[2]) for name in listed if name.startswith("/dev/pts/"))
    for _ in range(number + 1):
        own.stage.run(*tmux, "new-window", "-d", "-t", "=pairing:")
    for role in ("read", "write"):
        own.stage.pairctl("role", "octocat", role)
        own.screen.shows(f"made you read-{'only' if role == 'read' else 'write'}")
    own.screen.types(f"clear; echo x >{project}/still-in")
    until((project / "still-in").exists, "the guest is in and writes")


def test_a_revoked_guest_is_out_of_the_box_with_a_farewell(boxed: Scene) -> None:
    until(lambda: is_in(boxed), "the guest is in")
    boxed.stage.pairctl("revoke", "octocat")
    assert boxed.screen.ended() == 0
    boxed.screen.shows("removed you")
    [visit] = boxed.stage.asks("receipt")["visits"]
    assert visit["why"] == "revoked"


def test_a_guest_in_a_box_is_out_at_the_deadline(own: Scene) -> None:
    until(lambda: is_in(own), "the guest is in")
    own.stage.expires_soon("octocat")
    own.screen.ended()
    until(lambda: not own.stage.mappings(), "the router forwards no more")
    until(
        lambda: own.stage.asks("receipt")["visits"][0]["why"] == "expired", "it is in the receipt"
    )


def test_one_guest_of_two_is_revoked_and_the_other_stays(own: Scene) -> None:
    hubot = own.stage.guest("hubot")
    answer = own.stage.asks("invite", "hubot", "--no-copy")
    assert answer["box"]["directory"] == str(own.project)
    other = hubot.joins()
    other.shows("[pairing]")
    until(lambda: len(own.stage.asks("receipt")["visits"]) == 2, "both are in")
    own.stage.pairctl("role", "hubot", "read")
    own.stage.pairctl("revoke", "octocat")
    assert own.screen.ended() == 0
    own.stage.pairctl("role", "hubot", "write")

    def writes() -> bool:
        other.types("echo x >by-hubot")
        return (own.project / "by-hubot").exists()

    until(writes, "the other writes")


def test_who_typed_is_known_in_a_box(own: Scene) -> None:
    until(lambda: is_in(own), "the guest is in")

    def typed() -> str | None:
        own.screen.presses("x")
        at: str | None = own.stage.asks("receipt")["visits"][0]["typed_at"]
        return at

    until(typed, "it is known that they typed")


def test_a_daemon_that_was_killed_leads_into_the_same_box_again() -> None:
    with Stage() as stage:
        daemon = stage.daemon()
        made = Scene(stage, boxed=True)
        try:
            daemon.send_signal(signal.SIGKILL)
            daemon.communicate()
            assert made.screen.ended() != 0
            stage.daemon()
            until(lambda: stage.asks("status")["door"]["open"], "the door is open")
            again = made.guest.joins(port=stage.asks("status")["door"]["port"])
            again.shows("[pairing]")
            again.types(f"clear; cat {made.home}/notes; echo x >again")
            until((made.project / "again").exists, "the guest is in the box")
            assert SECRET not in again.screen()
        finally:
            made.close()


def test_no_guest_of_a_box_enters_the_session_that_comes_after_it(own: Scene) -> None:
    until(lambda: is_in(own), "the guest is in")
    plain = ("tmux", "-S", str(own.stage.home / "tmux.sock"))
    own.stage.run(*plain, "new-session", "-d", "-s", "pairing", "sleep 3600")
    own.screen.types("exit")
    own.screen.ended()
    until(lambda: own.box is None, "the box has ended")
    until(lambda: not own.stage.asks("status")["invitations"], "the invitation is over")
    assert not own.stage.asks("status")["door"]["open"]


def test_another_directory_than_the_boxes_is_refused(own: Scene) -> None:
    own.stage.guest("hubot")
    other = own.home / "other"
    other.mkdir()
    refused = own.stage.asks("invite", "hubot", "--no-copy", "--box", str(other))
    assert refused["error"]["code"] == "other-box"
    assert len(own.stage.asks("status")["invitations"]) == 1


def test_nothing_of_a_box_is_anybody_elses_to_read(own: Scene) -> None:
    made = [own.stage.home / "box", *(own.stage.home / "box").rglob("*")]
    assert len(made) > 5
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_a_session_without_a_box_is_put_into_none(stage: Stage) -> None:
    stage.guest("octocat")
    stage.guest("hubot")
    stage.pairctl("invite", "octocat", "--no-copy")
    project = stage.user_home / "project"
    project.mkdir()
    refused = stage.asks("invite", "hubot", "--no-copy", "--box", str(project))
    assert refused["error"]["code"] == "not-boxed"
    session = stage.asks("status")["session"]
    assert (session["running"], session["confinement"]) == (True, "plain")
    stage.tmux("rename-session", "-t", "=pairing", "renamed")
    refused = stage.asks("invite", "hubot", "--no-copy", "--box", str(project))
    stage.run("sh", "-c", refused["error"]["hint"].partition("end it: ")[2])
    until(lambda: not stage.asks("status")["session"]["running"], "the hint ends it")


def test_a_refused_invitation_leaves_no_box_behind(stage: Stage) -> None:
    project = stage.user_home / "project"
    project.mkdir()
    refused = stage.asks("invite", "nobody-there", "--no-copy", "--box", str(project))
    assert refused["error"]["code"] == "no-such-user", refused
    until(lambda: not stage.asks("status")["session"]["running"], "no session runs")
    found = [one for one in (stage.home / "box").iterdir() if is_held(one / "lock")]
    assert found == []


def is_held(lock: Path) -> bool:
    from pairingd.box.place import Box

    return Box(str(lock.parent.parent), lock.parent.name).lives


@pytest.mark.parametrize("what", [".ssh", "", "..", "/", "/etc", "../home"])
def test_a_directory_with_what_no_guest_may_have_is_refused(stage: Stage, what: str) -> None:
    stage.guest("octocat")
    (stage.user_home / ".ssh").mkdir()
    refused = stage.asks("invite", "octocat", "--no-copy", "--box", str(stage.user_home / what))
    assert refused["error"]["code"] == "not-shareable"
    assert not stage.asks("status")["session"]["running"]


def test_a_guest_who_asks_is_let_in_by_a_command_alone(stage: Stage) -> None:
    made = Scene(stage, boxed=True)
    try:
        host = attached_host(stage)
        host.shows("[pairing]")
        hubot = stage.guest("hubot")
        stage.pairctl("invite", "hubot", "--ask", "--no-copy")
        waits = hubot.joins()
        waits.shows("waiting for the host")
        until(
            lambda: any(one.get("waiting") for one in stage.asks("status")["invitations"]),
            "they wait",
        )
        question = "pairing: hubot waits: pairctl approve github:hubot"
        host.shows(question)
        attached_host(stage).shows(question)  # not only on the terminals that were there
        stage.pairctl("approve", "hubot")
        waits.shows("[pairing]")
        until(lambda: question not in host.screen(), "it is answered")
    finally:
        made.close()


def test_what_the_configuration_shares_is_in_the_box() -> None:
    settings = """
        [box]
        read = ['~/.gitconfig', '~/.cargo', '~/absent']
        write = ['~/cache']
        env = ['PAIRING_HOME']
    """
    with Stage() as stage:
        (stage.user_home / "dot files").mkdir()
        (stage.user_home / "dot files" / "gitconfig").write_text("in-the-gitconfig")
        (stage.user_home / ".gitconfig").symlink_to("dot files/gitconfig")
        (stage.user_home / "real").mkdir()
        (stage.user_home / "cache").symlink_to(stage.user_home / "real")
        tool = stage.user_home / ".cargo" / "bin" / "tool"
        tool.parent.mkdir(parents=True)
        tool.write_text("#!/bin/sh\necho of-the-tool\n")
        tool.chmod(0o700)
        stage.configure(settings)
        made = Scene(stage, boxed=True)
        try:
            made.play(
                (
                    Attack("read", "cat ~/.gitconfig", "in-the-gitconfig"),
                    Attack("run", "~/.cargo/bin/tool", "of-the-tool"),
                    Attack("changed", "echo x >~/.cargo/bin/tool && echo done", "done"),
                    Attack("written", "echo x >>~/.gitconfig && echo done", "done"),
                    Attack("environment", "echo home=$PAIRING_HOME", f"home={stage.home}"),
                    Attack("cache", "echo x >~/cache/made && echo done", "done"),
                )
            )
            assert made.results == {
                "read": True,
                "run": True,
                "changed": False,
                "written": False,
                "environment": True,
                "cache": True,
            }
            assert (stage.user_home / "cache" / "made").exists()
        finally:
            made.close()


def test_an_environment_of_the_project_runs_its_own_python_in_the_box(stage: Stage) -> None:
    """Which may lie in the host's home directory."""
    environment = stage.user_home / "project" / ".venv"
    stage.run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    with scene_on(stage, boxed=True) as made:
        line = ".venv/bin/python -c 'import ssl, sys; print(sys.prefix)'"
        made.play((Attack("python", line, str(environment)),))
        assert made.results == {"python": True}


def test_a_variable_that_is_not_utf_8_is_passed_on_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANG", "C.UTF-8@\udcff")
    with scene(boxed=True) as made:
        made.play((Attack("bytes", 'printf %s "$LANG" | od -An -tx1', "2d 38 40 ff"),))
        assert made.results == {"bytes": True}


def test_the_hosts_network_brings_its_services_and_no_abstract_socket() -> None:
    with scene(boxed=True, settings='[box]\nnetwork = "full"\n') as made:
        from tests.boxed import ATTACKS

        some = {"a service on loopback", "an abstract socket", "an ssh key"}
        made.play(tuple(one for one in ATTACKS if one.name in some))
        assert made.results == {
            "a service on loopback": True,
            "an abstract socket": False,
            "an ssh key": False,
        }


def test_a_program_that_pasta_leaves_as_it_fails_is_ended(
    own_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pasta's inner process where /dev/net/tun cannot be opened."""
    stage = own_stage
    left = stage.path / "left"
    script = f'sleep 3600 & echo $! >{left}; echo "Failed to open /dev/net/tun" >&2; exit 1'
    programs_first(stage, monkeypatch, {"pasta": script})
    stage.configure('[box]\nnetwork = "internet"\n')
    stage.guest("octocat")
    project = stage.user_home / "project"
    project.mkdir()
    error = stage.asks("invite", "octocat", "--no-copy", "--box", str(project))["error"]
    assert error["code"] == "box-failed"
    assert "Failed to open /dev/net/tun" in error["message"]
    until(lambda: not psutil.pid_exists(int(left.read_text())), "what was left has ended")


@pytest.mark.attack(
    "a write guest in a box: more processes than `[box] processes` allows, by what their client runs",
    "the limits are those of the client's box, too",
)
def test_processes_and_memory_are_limited_as_configured() -> None:
    settings = '[box]\nprocesses = 20\nmemory = "256M"\n'
    with scene(boxed=True, settings=settings) as made:
        limit = "grep processes /proc/self/limits"  # which root is exempt from
        many = f"{limit} | tr -s ' '"
        much = 'perl -e \'$x = "x" x (300 << 20); print "had it"\''
        made.play((Attack("many", many, "Max processes 20 20"), Attack("much", much, "had it")))
        assert made.results["many"] is True
        assert made.results["much"] is False
        more = "echo; echo"  # the farewell takes the last line for tmux's own
        made.screen.types(f"clear; tmux detach-client -s =pairing -E '{limit}; {more}'")
        made.screen.shows("Max processes             20 ")


HINT = "hint: --box shares one directory, and nothing else of yours"


def invited_at_a_terminal(stage: Stage, *more: str) -> str:
    """The screen after `pairctl invite`, which made the session."""
    command = shlex.join((sys.executable, "-m", "pairctl", "invite", "octocat", "--no-copy", *more))
    terminal = stage.terminal("sh", "-c", f"{command}; echo is-do''ne; exec cat")
    terminal.shows("is-done")
    return terminal.screen()


def test_an_invitation_mentions_the_box_once_where_one_can_be_made(own_stage: Stage) -> None:
    stage = own_stage
    stage.guest("octocat")
    screen = invited_at_a_terminal(stage)
    assert HINT in screen
    last = screen.partition("is-done")[0].splitlines()[-1]
    assert last.startswith("ssh "), "the guest's command stays the last line"
    assert HINT not in invited_at_a_terminal(stage)


def test_an_invitation_to_read_mentions_no_box(own_stage: Stage) -> None:
    own_stage.guest("octocat")
    assert HINT not in invited_at_a_terminal(own_stage, "--read-only")


@pytest.mark.parametrize("bwrap", ["exit 1", "kill -KILL $$", "exec sleep 3600"])
def test_a_machine_on_which_no_box_can_be_made_mentions_none(
    own_stage: Stage, monkeypatch: pytest.MonkeyPatch, bwrap: str
) -> None:
    """As where AppArmor or a setting forbids user namespaces."""
    stage = own_stage
    stage.guest("octocat")
    program = stage.path / "programs" / "bwrap"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{bwrap}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert HINT not in invited_at_a_terminal(stage)


def test_uninstall_removes_a_box_once_its_session_is_over() -> None:
    with scene(boxed=True) as own:
        box = living(str(own.stage.home / "box"))
        assert box
        assert box.path in own.stage.asks("uninstall")["kept"]
        own.stage.run(box.tmux, "-S", box.socket, "kill-server")
        until(lambda: not box.lives, "the box is over")
        own.stage.pairctl("uninstall")
        assert [path.name for path in own.stage.home.iterdir()] == ["config.toml"]
