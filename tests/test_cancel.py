"""A host who stops `pairctl invite` has invited nobody, at whatever step it was."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.session import programs_first
from tests.stage import PAIRCTL, Stage, until
from tests.waiting import WAIT_S


class Silent:
    """A server that takes connections and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._taken: list[socket.socket] = []

    def is_asked(self) -> None:
        self._taken.append(self._listener.accept()[0])

    def close(self) -> None:
        for one in (self._listener, *self._taken):
            one.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        stage.guest("octocat")
        yield stage


@pytest.fixture
def silent(stage: Stage) -> Silent:
    server = Silent()
    stage.closes(server.close)
    return server


@pytest.fixture(params=["keys", "router"])
def waits_for(request: pytest.FixtureRequest, stage: Stage, silent: Silent) -> tuple[str, str]:
    """The step at which the invitation hangs, and the guest to name for it."""
    if request.param == "keys":
        stage.configure(f'[providers.slow]\nkeys_url = "{silent.url}/{{name}}.keys"\n')
        stage.daemon()
        return "keys", "slow:octocat"
    config = stage.home / "config.toml"
    config.write_text(config.read_text().replace(stage.description_url, f"{silent.url}/d.xml"))
    stage.daemon()
    return "router", "octocat"


def nobody_is_invited(stage: Stage) -> None:
    def is_over() -> bool:
        status = stage.asks("status")
        return not status["invitations"] and not status["door"]["open"]

    until(is_over, "nobody is invited, and the door is shut")
    assert stage.asks("receipt").get("error") or not stage.asks("status", "--all")["mapping"]


def no_session_is_left(stage: Stage) -> None:
    until(lambda: not stage.asks("status")["session"]["running"], "no tmux session is left")


def test_ctrl_c_in_a_terminal_cancels_invite(
    stage: Stage, silent: Silent, waits_for: tuple[str, str]
) -> None:
    step, guest = waits_for
    terminal = stage.terminal(PAIRCTL, "invite", guest, "--no-copy")
    silent.is_asked()
    terminal.shows(step)
    terminal.presses("C-c")
    assert terminal.ended() == 130
    terminal.shows("invite was cancelled")
    nobody_is_invited(stage)
    no_session_is_left(stage)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_sighup_and_sigterm_cancel_invite(
    stage: Stage, silent: Silent, waits_for: tuple[str, str], number: signal.Signals
) -> None:
    client = inviting(stage, waits_for[1])
    silent.is_asked()
    client.send_signal(number)
    assert client.wait(WAIT_S) == 130
    nobody_is_invited(stage)
    no_session_is_left(stage)


def test_a_client_that_is_killed_outright(
    stage: Stage, silent: Silent, waits_for: tuple[str, str]
) -> None:
    client = inviting(stage, waits_for[1])
    silent.is_asked()
    if waits_for[0] == "router":
        until(lambda: stage.asks("status")["door"]["open"], "the door opens")
    client.kill()
    client.wait(WAIT_S)
    nobody_is_invited(stage)


def test_another_guest_stays_invited(stage: Stage, silent: Silent) -> None:
    stage.configure(f'[providers.slow]\nkeys_url = "{silent.url}/{{name}}.keys"\n')
    stage.daemon()
    stage.asks("invite", "octocat", "--no-copy")
    client = inviting(stage, "slow:ann")
    silent.is_asked()
    client.send_signal(signal.SIGINT)
    assert client.wait(WAIT_S) == 130
    status = stage.asks("status")
    assert [one["guest"] for one in status["invitations"]] == ["github:octocat"]
    assert status["session"]["running"]
    assert status["door"]["open"]


_STOPPED_AT_ITS_START = """
import os, signal, sys
class Sends:
    def find_spec(name, *_):
        if name == "pairctl.command_line.arguments":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Sends)
from pairctl.__main__ import main
sys.exit(main())"""


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_ctrl_c_while_pairctl_is_still_loading_is_answered_as_later(
    stage: Stage, options: tuple[str, ...]
) -> None:
    program = (sys.executable, "-c", _STOPPED_AT_ITS_START, "status", *options)
    done = stage.run(*program, check=False)
    assert (done.returncode, done.stderr) == (130, "")
    assert not done.stdout or json.loads(done.stdout)["error"]["code"] == "interrupted"
    assert bool(done.stdout) == bool(options)


def test_json_says_that_it_was_cancelled(stage: Stage, silent: Silent) -> None:
    stage.configure(f'[providers.slow]\nkeys_url = "{silent.url}/{{name}}.keys"\n')
    stage.daemon()
    client = inviting(stage, "slow:ann", "--json", stdout=subprocess.PIPE)
    silent.is_asked()
    client.send_signal(signal.SIGINT)
    told, _ = client.communicate(timeout=WAIT_S)
    assert '"code": "cancelled"' in told


@pytest.mark.parametrize(
    ("words", "stops"),
    [
        (("status",), signal.SIGINT),
        (("invite", "octocat"), signal.SIGINT),
        (("invite", "octocat"), signal.SIGTERM),
    ],
)
def test_json_says_that_it_was_interrupted_before_the_daemon_answers(
    stage: Stage, words: tuple[str, ...], stops: signal.Signals
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(WAIT_S)
        listener.bind(str(stage.home / "pairingd.sock"))
        listener.listen()
        with started(stage, *words, "--json", stdout=subprocess.PIPE) as client:
            connection, _ = listener.accept()
            client.send_signal(stops)
            printed, _ = client.communicate(timeout=WAIT_S)
        connection.close()
    assert client.returncode == 130
    assert json.loads(printed)["error"]["code"] == "interrupted"


def test_ctrl_c_after_the_invitation_is_made_names_the_command_to_revoke_it(
    stage: Stage, slow_clipboard: Callable[[], None]
) -> None:
    stage.daemon()
    client = inviting(stage, "octocat", copies=True, stderr=subprocess.PIPE)
    slow_clipboard()
    client.send_signal(signal.SIGINT)
    _, told = client.communicate(timeout=WAIT_S)
    assert client.returncode == 130
    assert "error: github:octocat can enter already" in told
    assert "hint: to take it back: pairctl revoke github:octocat" in told
    assert stage.asks("status")["invitations"]


@pytest.fixture
def slow_clipboard(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A clipboard program that never ends; waits until it is called."""
    called = stage.path / "called"
    script = f": >{called}\nexec sleep 3600"
    programs_first(stage, monkeypatch, dict.fromkeys(("pbcopy", "wl-copy", "xclip"), script))

    def is_called() -> None:
        until(called.exists, "the clipboard is written")

    return is_called


def inviting(
    stage: Stage,
    guest: str,
    *more: str,
    copies: bool = False,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    quiet = () if copies else ("--no-copy",)
    return started(stage, "invite", guest, *quiet, *more, stdout=stdout, stderr=stderr)


def started(
    stage: Stage,
    *words: str,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
    client = subprocess.Popen(
        [PAIRCTL, *words],
        env=stage.environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
    )
    signal.signal(signal.SIGHUP, before)
    stage.closes(client.kill)
    return client
