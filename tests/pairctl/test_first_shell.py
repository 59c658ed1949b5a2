"""The session's shell keeps the environment of the terminal, whatever a login shell would do."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairctl.tmux.session import Session
from tests.pairctl.samples import HELLO
from tests.stage import until

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
TMUX = str(shutil.which("tmux"))


class Stage:
    """A person's home, and the session that `pairctl` makes from a terminal with a venv."""

    def __init__(self, home: Path, user: Path) -> None:
        self.user = user
        self.socket = str(home / "tmux.sock")

    def conf(self, text: str) -> None:
        (self.user / ".tmux.conf").write_text(text)

    def create(self) -> None:
        Session({**HELLO, "tmux": TMUX, "tmux_socket": self.socket}).create(print)

    def tmux(self, *words: str) -> str:
        return subprocess.check_output([TMUX, "-S", self.socket, *words], text=True)

    def asks(self, window: str) -> list[str]:
        """Variables of the shell in `window`: PATH's first, VIRTUAL_ENV, LOGIN."""
        answer = self.user / f"answer-{window}"
        path = shlex.quote(str(answer))
        ask = f'echo "${{PATH%%:*}}|$VIRTUAL_ENV|$LOGIN" >{path}.new; mv {path}.new {path}'
        self.tmux("send-keys", "-t", f"=pairing:{window}", ask, "Enter")
        until(answer.exists, "the shell has answered")
        return answer.read_text().strip().split("|")


@pytest.fixture(params=["bash", "a shell"])
def stage(
    request: pytest.FixtureRequest,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("bash is not installed")
    shell = tmp_path / request.param / "bash"  # a copy: bash is what its name says it is
    shell.parent.mkdir()
    shutil.copy(bash, shell)
    for name in (".bash_profile", ".profile"):
        (tmp_path / name).write_text("PATH=/usr/bin:/bin; export LOGIN=yes\n")
    (tmp_path / ".bashrc").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", str(shell))
    monkeypatch.setenv("PATH", f"{tmp_path}/venv/bin:/usr/bin:/bin")
    monkeypatch.setenv("VIRTUAL_ENV", f"{tmp_path}/venv")
    monkeypatch.chdir(tmp_path)
    stage = Stage(home, tmp_path)
    yield stage
    subprocess.run([TMUX, "-S", stage.socket, "kill-server"], check=False, capture_output=True)


def test_an_activated_environment_is_kept_in_every_window(stage: Stage) -> None:
    stage.create()
    stage.tmux("new-window", "-t", "=pairing:")
    numbers = stage.tmux("list-windows", "-t", "=pairing", "-F", "#{window_index}").split()
    assert len(numbers) == 2
    for number in numbers:
        venv = f"{stage.user}/venv"
        assert stage.asks(number) == [f"{venv}/bin", venv, ""]


def test_a_default_command_of_tmux_conf_is_left_alone(stage: Stage) -> None:
    stage.conf("set -g default-command 'LOGIN=own exec sh'\nset -g base-index 3\n")
    stage.create()
    assert stage.asks("3") == [f"{stage.user}/venv/bin", f"{stage.user}/venv", "own"]


@pytest.mark.waits
def test_a_session_that_nobody_settles_ends_with_its_shell_all_the_same(stage: Stage) -> None:
    stage.create()  # and then pairctl is killed
    option = ("show-options", "-w", "-t", "=pairing:", "remain-on-exit")
    assert stage.tmux(*option) == "remain-on-exit on\n"
    until(lambda: stage.tmux(*option) == "", "tmux has undone it")
