"""`pairctl invite` with a real tmux on a private socket, and a scripted daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.control import discovery
from pairctl.control.client import connect
from pairingd.machine import which
from tests.fakes.daemon import FakeDaemon, Refusal, Talk
from tests.pairctl import samples
from tests.pairctl.terminal import Terminal

TMUX = shutil.which("tmux") or "no tmux"


@pytest.fixture
def tmux(home: Path) -> Iterator[Callable[..., str]]:
    """tmux on the private socket, without the user's configuration; ended afterwards."""
    socket = str(home / "tmux.sock")

    def run(*words: str) -> str:
        done = subprocess.run(
            [TMUX, "-S", socket, *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    yield run
    run("kill-server")


@pytest.fixture
def hello(home: Path) -> dict[str, str]:
    return {"tmux": TMUX, "tmux_socket": str(home / "tmux.sock")}


def refuse(_: Talk, __: Any) -> None:
    raise Refusal("no-such-user", "github knows no octocat", "check the name")


def invite_in_steps(talk: Talk, _: Any) -> Any:
    for step, text in [("keys", "2 keys"), ("session", ""), ("door", "open\x1b on port 50213")]:
        talk.notify("progress", {"step": step, "state": "begun", "text": f"{step} begins"})
        talk.notify("progress", {"step": step, "state": "done", "text": text})
    talk.notify("progress", {"step": "router", "state": "failed", "text": "no answer"})
    return samples.LAN_ONLY


def test_the_session_is_made_in_the_users_directory_and_environment(
    sock: Path,
    tmp_path: Path,
    tmux: Callable[..., str],
    hello: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_USER", "yes")
    monkeypatch.setenv("TMUX", "/another/server,1,0")
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello) as daemon:
        words = ["invite", "octocat", "--ttl", "2h", "--read-only", "--port", "2222", "--no-copy"]
        assert main(words) == 0
        assert daemon.asked("invite") == {
            "guests": ["octocat"],
            "ttl": 7200,
            "access": "read",
            "port": 2222,
        }
    assert tmux("list-sessions", "-F", "#{session_name} #{session_path}") == f"pairing {tmp_path}"
    assert tmux("show-environment", "-g", "OF_THE_USER") == "OF_THE_USER=yes"
    assert tmux("show-environment", "-g", "TMUX") == ""


def test_an_existing_session_is_kept(
    sock: Path, tmux: Callable[..., str], hello: dict[str, str]
) -> None:
    tmux("new-session", "-d", "-s", "pairing-more")  # a name that only begins alike
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello):
        assert main(["invite", "octocat", "--no-copy"]) == 0
        made = tmux("list-sessions", "-F", "#{session_name} #{session_id}")
        assert main(["invite", "octocat", "--no-copy"]) == 0
    assert made == "pairing $1\npairing-more $0"
    assert tmux("list-sessions", "-F", "#{session_name} #{session_id}") == made


ALONE = {**samples.IDLE, "session": {**samples.IDLE["session"], "running": True}}


def test_a_refused_invitation_leaves_no_session_behind(
    sock: Path,
    tmux: Callable[..., str],
    hello: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeDaemon(sock, {"invite": refuse, "status": ALONE}, **hello):
        assert main(["invite", "octocat"]) == 1
    assert "github knows no octocat" in capsys.readouterr().err
    assert tmux("list-sessions") == ""


UNSEEN = samples.IDLE  # whether it runs: tmux has not answered the daemon


@pytest.mark.parametrize("status", [samples.STATUS, {**samples.STATUS, "invitations": []}, UNSEEN])
def test_a_refused_invitation_keeps_a_session_that_others_may_use(
    sock: Path, tmux: Callable[..., str], hello: dict[str, str], status: Any
) -> None:
    with FakeDaemon(sock, {"invite": refuse, "status": status}, **hello):
        assert main(["invite", "octocat"]) == 1
    assert tmux("list-sessions", "-F", "#{session_name}") == "pairing"


def test_a_refused_invitation_keeps_an_earlier_session(
    sock: Path, tmux: Callable[..., str], hello: dict[str, str]
) -> None:
    tmux("new-session", "-d", "-s", "pairing")
    with FakeDaemon(sock, {"invite": refuse, "status": samples.IDLE}, **hello):
        assert main(["invite", "octocat"]) == 1
    assert tmux("list-sessions", "-F", "#{session_name}") == "pairing"


def test_invite_without_tmux_is_refused(
    sock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent/bin")
    monkeypatch.setattr(which, "_INSTALL_DIRECTORIES", ("/nonexistent/brew/bin",))
    with FakeDaemon(sock, tmux="") as daemon:
        assert main(["invite", "octocat", "--json"]) == 1
        assert daemon.asked("hello")
        assert daemon.requests.empty()
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "no-tmux"
    assert error["message"] == "no tmux in /nonexistent/bin, /nonexistent/brew/bin"
    assert "brew install tmux" in error["hint"]


def wrapped_tmux(directory: Path, version: str = "") -> Path:
    """A tmux of its own path, which may claim to be another version."""
    program = directory / "tmux"
    directory.mkdir(parents=True)
    claim = f'[ "$1" = -V ] && echo "{version}" && exit\n' if version else ""
    program.write_text(f'#!/bin/sh\n{claim}exec {TMUX} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.usefixtures("tmux")
def test_a_tmux_on_the_users_path_alone_is_handed_to_the_daemon(
    sock: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = wrapped_tmux(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for daemons in ("", "/no/longer/there/tmux"):
        hello = {"tmux": daemons, "tmux_socket": str(home / "tmux.sock")}
        with FakeDaemon(sock, {"invite": samples.INVITED}, **hello) as daemon:
            assert main(["invite", "octocat", "--no-copy"]) == 0
            assert daemon.asked("invite")["tmux"] == str(program)


@pytest.mark.parametrize("version", ["tmux 3.1c", "tmux 2.9a", "tmux next-3.1"])
def test_a_tmux_that_is_too_old_is_named_with_its_version(
    sock: Path, home: Path, tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = wrapped_tmux(tmp_path / "bin", version)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{program}"\n')
    with FakeDaemon(sock, tmux=str(program), tmux_socket=str(home / "tmux.sock")):
        assert main(["invite", "octocat", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "tmux-too-old"
    assert f"{version} at {program}" in error["message"]
    assert "3.2" in error["message"]


@pytest.mark.usefixtures("tmux")
@pytest.mark.parametrize(
    "version", ["tmux 3.2", "tmux next-3.9", "tmux master", "tmux openbsd-7.5"]
)
def test_a_tmux_that_is_new_enough_or_names_no_number_is_run(
    sock: Path, home: Path, tmp_path: Path, version: str
) -> None:
    program = wrapped_tmux(tmp_path / "bin", version)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{program}"\n')
    hello = {"tmux": str(program), "tmux_socket": str(home / "tmux.sock")}
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello):
        assert main(["invite", "octocat", "--no-copy"]) == 0


@pytest.mark.usefixtures("tmux")
@pytest.mark.parametrize("prints", ["tmux 3.0", "No version is set for command tmux", "exit 126"])
def test_another_tmux_on_path_is_run_if_the_first_is_too_old_or_does_not_work(
    sock: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: str
) -> None:
    old = wrapped_tmux(tmp_path / "old", prints)
    if prints.startswith("exit"):
        old.write_text(f"#!/bin/sh\n{prints}\n")
    new = wrapped_tmux(tmp_path / "new")
    monkeypatch.setenv("PATH", f"{old.parent}:{new.parent}")
    hello = {"tmux": str(old), "tmux_socket": str(home / "tmux.sock")}
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello) as daemon:
        assert main(["invite", "octocat", "--no-copy"]) == 0
        assert daemon.asked("invite")["tmux"] == str(new)


@pytest.mark.parametrize("broken", ["exit 1", "echo no such thing >&2; exit 1", None])
def test_a_failing_tmux_is_an_error(
    sock: Path, home: Path, broken: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    tmux = home / "tmux"
    if broken:
        tmux.write_text(f"#!/bin/sh\n{broken}\n")
        tmux.chmod(0o700)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{tmux}"\n')
    with FakeDaemon(sock, tmux=str(tmux)):
        assert main(["invite", "octocat", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "tmux-failed"
    assert error["message"].startswith(str(tmux))
    assert "working tmux" in error["hint"]


@pytest.mark.waits
def test_a_tmux_that_does_not_answer_is_not_called_a_wrong_program(
    sock: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmux = home / "tmux"
    asked = home / "asked"
    tmux.write_text(
        f'#!/bin/sh\n[ "$1" = -V ] && exec {TMUX} -V\necho "$*" >>{asked}\nexec sleep 3600\n'
    )
    tmux.chmod(0o700)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{tmux}"\n')
    (home / "tmux.sock").touch()
    with FakeDaemon(sock, tmux=str(tmux), tmux_socket=str(home / "tmux.sock")):
        assert main(["invite", "octocat", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "tmux-hangs"
    assert error["hint"] == f"try: {tmux} -S {home / 'tmux.sock'} ls"
    assert asked.read_text().count("list-sessions") == 1  # each takes 10 s


@pytest.mark.usefixtures("tmux")
def test_a_server_that_takes_long_to_end_keeps_no_session_from_being_made(
    sock: Path, home: Path
) -> None:
    tmux, tries = home / "tmux", home / "tries"
    tmux.write_text(
        f"""#!/bin/sh
case $* in *new-session*)
    echo >>{tries}
    [ "$(wc -l <{tries})" -gt 8 ] || {{ echo 'server exited unexpectedly' >&2; exit 1; }}
esac
exec {TMUX} "$@"
"""
    )
    tmux.chmod(0o700)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{tmux}"\n')
    hello = {"tmux": str(tmux), "tmux_socket": str(home / "tmux.sock")}
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello):
        assert main(["invite", "octocat", "--no-copy"]) == 0


@pytest.mark.parametrize(
    ("place", "hint"),
    [("gone/tmux.sock", f"try: {TMUX} new-session"), ("", "move it out of the way")],
)
def test_a_socket_that_tmux_cannot_make_is_a_failure(
    sock: Path, home: Path, place: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeDaemon(sock, tmux=TMUX, tmux_socket=str(home / place)):
        assert main(["invite", "octocat", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "tmux-failed"
    assert error["hint"].endswith(hint)


@pytest.mark.attack(
    "what answers on the control socket names a program of its own as tmux",
    "pairctl runs the tmux that it has found by itself",
)
@pytest.mark.parametrize("command", [["invite", "octocat", "--no-copy"], ["attach"]])
def test_a_tmux_that_only_the_daemon_names_is_not_run(
    sock: Path, home: Path, tmux: Callable[..., str], command: list[str]
) -> None:
    named, ran = home / "tmux", home / "ran"
    named.write_text(f"#!/bin/sh\ntouch {ran}\n")
    named.chmod(0o700)
    hello = {"tmux": str(named), "tmux_socket": str(home / "tmux.sock")}
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello):
        assert main(command) == (0 if command[0] == "invite" else 1)  # `attach`: no session
    assert not ran.exists()
    assert bool(tmux("list-sessions")) is (command[0] == "invite")


@pytest.mark.usefixtures("tmux")
def test_the_daemons_tmux_is_run_where_it_is_one_of_ours(
    sock: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second on PATH: another version might not speak with the server of the first."""
    ran = []
    for name in ("first", "second"):
        program = tmp_path / name / "tmux"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\ntouch {home}/{name}\nexec {TMUX} "$@"\n')
        program.chmod(0o755)
        ran.append(home / name)
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second:{os.environ['PATH']}")
    hello = {"tmux": f"{tmp_path}/second/tmux", "tmux_socket": str(home / "tmux.sock")}
    with FakeDaemon(sock, {"invite": samples.INVITED}, **hello):
        assert main(["invite", "octocat", "--no-copy"]) == 0
    assert [path.exists() for path in ran] == [False, True]


@pytest.mark.parametrize("text", ["[tmux", "tmux = 1", "[tmux]\ncommand = 1", "[[tmux]]"])
def test_a_config_that_does_not_say_which_tmux_to_run_is_refused(
    sock: Path, home: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (home / "config.toml").write_text(text)
    with FakeDaemon(sock, tmux=TMUX):
        assert main(["invite", "octocat", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad-config"


@pytest.mark.usefixtures("tmux")
def test_steps_go_to_stderr_and_the_command_is_the_last_line_on_stdout(
    sock: Path, hello: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeDaemon(sock, {"invite": invite_in_steps}, **hello):
        assert main(["invite", "octocat", "--no-copy"]) == 0
        captured = capsys.readouterr()
        assert (
            captured.err
            == "keys ✓ 2 keys\nsession ✓\ndoor ✓ open on port 50213\nrouter ✗ no answer\n"
        )
        assert captured.out.splitlines()[-1] == samples.LAN_ONLY["command"]

        assert main(["invite", "octocat", "--no-copy", "-q"]) == 0
        captured = capsys.readouterr()
        assert captured.out == samples.LAN_ONLY["command"] + "\n"
        assert captured.err.startswith("warning: no router answered")
        assert "✓" not in captured.err

        assert main(["invite", "octocat", "--no-copy", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == samples.LAN_ONLY


@pytest.mark.usefixtures("tmux")
@pytest.mark.parametrize(
    ("width", "last"),
    [
        (80, "keys ✓  session ✓  door ✓  router ✗  no answer"),
        (40, "keys ✓  session ✓  door ✓  router ✗  n…"),
        (20, "✓  door ✓  router ✗"),
    ],
)
def test_on_a_terminal_the_steps_are_one_redrawn_line(
    width: int, last: str, sock: Path, hello: dict[str, str]
) -> None:
    pairctl = [sys.executable, "-m", "pairctl", "invite", "octocat", "--no-copy"]
    with (
        FakeDaemon(sock, {"invite": invite_in_steps}, **hello),
        Terminal(pairctl, {"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}, size=(24, width)) as terminal,
    ):
        assert terminal.wait() == 0
        steps, _, text = terminal.seen.decode().partition("\r\n")
    lines = [line.removesuffix("\x1b[K") for line in steps.split("\r")]
    assert lines[-1] == last
    assert max(map(len, lines)) < width
    assert "\x1b" not in text
    assert text.rstrip().splitlines()[-1] == samples.LAN_ONLY["command"]


@pytest.mark.usefixtures("tmux")
def test_signs_are_ascii_where_the_locale_is_not_utf_8(sock: Path, hello: dict[str, str]) -> None:
    with FakeDaemon(sock, {"invite": invite_in_steps}, **hello):
        done = subprocess.run(
            [sys.executable, "-m", "pairctl", "invite", "octocat", "--no-copy"],
            env={**os.environ, "PYTHONIOENCODING": "iso8859-1"},
            capture_output=True,
            check=True,
        )
    assert done.stderr.startswith(b"keys ok 2 keys\n")


# Where macOS refuses the daemon the local network


DENIED: Any = {
    "code": "local-network-denied",
    "message": "macOS does not let pairingd reach the local network",
    "hint": "allow it in System Settings > Privacy & Security > Local Network",
}
WEAK: Any = {"code": "weak-key", "message": "octocat's RSA key is short", "hint": "Ed25519"}
RELAY: Any = {"code": "relay-unreachable", "message": "no relay", "hint": "check it"}
REFUSED: Any = {
    **samples.LAN_ONLY,
    "invitations": [samples.OCTOCAT, samples.KEYED],
    "warnings": [WEAK, DENIED, RELAY],
}
FOUND: Any = {
    **samples.INVITED,
    "invitations": [samples.OCTOCAT],
    "warnings": [RELAY],
}
URLS = ["http://192.168.1.1:5000/rootDesc.xml", "http://192.168.1.1/igd.xml"]


def searching(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """The program that searches says this."""
    program = (sys.executable, "-c", f"import sys; sys.stdout.write({answer!r})")
    monkeypatch.setattr(discovery, "_PROGRAM", program)


def forward(talk: Talk, _: Any) -> Any:
    talk.notify("progress", {"step": "router", "state": "begun", "text": "asking the router"})
    talk.notify("progress", {"step": "router", "state": "done", "text": "forwards port 22"})
    return {"mapping": samples.STATUS["mapping"]}


@pytest.mark.usefixtures("tmux")
def test_a_search_that_macos_denies_the_daemon_is_done_by_pairctl_and_handed_over(
    sock: Path,
    hello: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    searching(monkeypatch, json.dumps({"description_urls": URLS}))
    replies = {"invite": REFUSED, "gateway": forward, "show": FOUND}
    with FakeDaemon(sock, replies, **hello) as daemon:
        assert main(["invite", "octocat", "key:x", "--no-copy"]) == 0
        assert daemon.asked("invite") == {"guests": ["octocat", "key:x"]}
        assert daemon.requests.get_nowait() == ("gateway", {"description_urls": URLS})
        assert daemon.requests.get_nowait() == ("show", {"guest": "github:octocat"})
        captured = capsys.readouterr()
        assert captured.err == "search ✓ found a router from here\nrouter ✓ forwards port 22\n"
        assert captured.out.splitlines()[-1] == samples.INVITED["command"]
        assert "macOS" not in captured.out

        assert main(["invite", "octocat", "key:x", "--no-copy", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document == {
            **FOUND,
            "invitations": [samples.OCTOCAT, samples.KEYED],
            "warnings": [WEAK, RELAY],
        }

        assert main(["invite", "octocat", "--no-copy", "-q"]) == 0
        captured = capsys.readouterr()
        assert captured.out == samples.INVITED["command"] + "\n"
        assert captured.err.startswith(f"warning: {WEAK['message']}\n")
        assert "✓" not in captured.err
        assert "macOS" not in captured.err


def test_invite_show_also_searches_for_the_router(
    sock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(monkeypatch, json.dumps({"description_urls": URLS}))
    replies = iter([REFUSED, FOUND])
    daemon = FakeDaemon(sock, {"show": lambda *_: next(replies), "gateway": forward})
    with daemon:
        assert main(["invite", "--show", "octocat", "--no-copy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == samples.INVITED["command"]


NONE = {"code": "no-gateway", "message": "no router \x1b[2Jhere", "hint": "switch UPnP on"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json.dumps({"error": NONE}), "search ✗ no router [2Jhere"),
        ("{}", "search ✗ the search for the router did not finish"),
        ("", "search ✗ the search for the router did not finish"),
    ],
)
def test_a_search_that_finds_nothing_leaves_the_invitation_as_it_was(
    sock: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    expected: str,
) -> None:
    searching(monkeypatch, answer)
    with FakeDaemon(sock, {"show": REFUSED}) as daemon:
        assert main(["invite", "--show", "octocat", "--no-copy", "--json"]) == 0
        assert daemon.asked("show")
        assert daemon.requests.empty()
    captured = capsys.readouterr()
    assert json.loads(captured.out) == REFUSED
    assert captured.err == expected + "\n"


def test_a_search_over_its_time_limit_leaves_the_reply_as_it_was(
    sock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_PROGRAM", ("sleep", "3600"))
    steps: list[dict[str, Any]] = []
    with FakeDaemon(sock), connect() as client:
        invited = discovery.in_its_place(client, REFUSED, steps.append, limit_s=0.1)
    assert invited == REFUSED
    assert steps[-1]["state"] == "failed"


def test_a_router_that_the_daemon_does_not_take_leaves_the_invitation_as_it_was(
    sock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(monkeypatch, json.dumps({"description_urls": URLS}))

    def refuse(_: Talk, __: Any) -> None:
        raise Refusal("bad-description-url", "that is elsewhere", "name another")

    with FakeDaemon(sock, {"show": REFUSED, "gateway": refuse}):
        assert main(["invite", "--show", "octocat", "--no-copy", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == REFUSED
    assert captured.err == "search ✓ found a router from here\nrouter ✗ that is elsewhere\n"


def test_a_daemon_that_goes_away_during_the_search_is_a_failure(
    sock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(monkeypatch, json.dumps({"description_urls": URLS}))
    with FakeDaemon(sock, {"show": REFUSED, "gateway": lambda talk, _: talk.close()}):
        assert main(["invite", "--show", "octocat", "--no-copy", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "daemon-gone"


def test_another_warning_starts_no_search(
    sock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(monkeypatch, json.dumps({"description_urls": URLS}))
    with FakeDaemon(sock, {"show": samples.LAN_ONLY}) as daemon:
        assert main(["invite", "--show", "octocat", "--no-copy", "--json"]) == 0
        assert daemon.asked("show")
        assert daemon.requests.empty()
    assert capsys.readouterr().err == ""


def test_attach_enters_the_session(sock: Path, tmux: Callable[..., str], hello: Any) -> None:
    tmux("-f", "/dev/null", "new-session", "-d", "-s", "pairing")
    pairctl = [sys.executable, "-m", "pairctl", "attach"]
    with (
        FakeDaemon(sock, **hello),
        Terminal(pairctl, {"TMUX": "/another/server,1,0"}) as terminal,
    ):
        terminal.wait_for(b"[pairing")  # the status line
        tmux("detach-client", "-s", "pairing")
        terminal.wait_for(b"[detached (from session pairing)]")
        assert terminal.wait() == 0


def test_attach_within_the_session_is_refused(
    sock: Path,
    tmux: Callable[..., str],
    hello: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tmux("new-session", "-d", "-s", "pairing")
    monkeypatch.setenv("TMUX", f"{home}/tmux.sock,4711,0")
    with FakeDaemon(sock, **hello):
        assert main(["attach", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "already-attached"


def test_attach_without_session_or_terminal_is_refused(
    sock: Path, tmux: Callable[..., str], hello: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeDaemon(sock, **hello):
        assert main(["attach", "--json"]) == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "no-session"
        assert "pairctl invite" in error["hint"]
        tmux("new-session", "-d", "-s", "pairing")
        assert main(["attach", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no-terminal"
