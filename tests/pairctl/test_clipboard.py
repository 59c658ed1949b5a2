"""The clipboard by small real programs on PATH, and by the terminal."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pairctl import clipboard
from pairctl.__main__ import main
from pairingd.core.text import shell
from tests.fakes.daemon import FakeDaemon
from tests.pairctl import samples
from tests.pairctl.terminal import Terminal
from tests.waiting import WAIT_S

KEEP = 'echo noise; echo noise >&2; echo "$0 $*" > {home}/by; exec /bin/cat > {home}/kept'
SHOW = ["invite", "--show", "octocat"]
COMMAND = samples.INVITED["command"]

Install = Callable[[str, str], None]


@pytest.fixture
def install(home: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program on a PATH that has nothing else."""
    programs = home / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def add(name: str, script: str) -> None:
        program = programs / name
        program.write_text(f"#!/bin/sh\n{script.format(home=home)}\n")
        program.chmod(0o700)

    return add


@pytest.mark.parametrize("name", ["pbcopy", "wl-copy", "xclip"])
def test_each_program_is_given_the_command(home: Path, install: Install, name: str) -> None:
    install(name, KEEP)
    assert clipboard.copy(COMMAND) == "copied to the clipboard"
    assert (home / "kept").read_text() == COMMAND


def test_xclip_gets_the_option_for_the_clipboard_selection(home: Path, install: Install) -> None:
    install("xclip", KEEP)
    clipboard.copy(COMMAND)
    assert (home / "by").read_text().endswith("xclip -selection clipboard\n")


@pytest.mark.parametrize("failing", ["exit 1", "kill -9 $$"])
def test_the_next_clipboard_program_is_tried_when_one_fails(
    home: Path, install: Install, failing: str
) -> None:
    install("wl-copy", failing)
    install("xclip", KEEP)
    assert clipboard.copy(COMMAND, timeout_s=WAIT_S) == "copied to the clipboard"
    assert (home / "kept").read_text() == COMMAND


def test_the_next_clipboard_program_is_tried_when_one_hangs(home: Path, install: Install) -> None:
    install("wl-copy", "exec /bin/sleep 1000")
    install("xclip", KEEP)
    timeout_s = 0.3
    while not clipboard.copy(COMMAND, timeout_s=timeout_s):
        timeout_s *= 2  # the second program, too, was too slow on this machine
    assert (home / "kept").read_text() == COMMAND


def test_a_clipboard_program_that_keeps_running_does_not_hold_our_output_open(
    sock: Path, install: Install
) -> None:
    install("xclip", "/bin/sleep 1000 & echo $! > {home}/pid")
    with FakeDaemon(sock, {"show": samples.INVITED}):
        # Returns at once although the child lives: its pipes are closed.
        done = subprocess.run(
            [sys.executable, "-m", "pairctl", *SHOW, "-q"],
            capture_output=True,
            check=True,
            timeout=30,
        )
    subprocess.run(["/bin/kill", (sock.parent / "pid").read_text().strip()], check=True)
    assert done.stdout.decode() == COMMAND + "\n"


@pytest.mark.usefixtures("install")
def test_without_clipboard_or_terminal_copy_returns_no_text() -> None:
    assert clipboard.copy(COMMAND) == ""


@pytest.mark.parametrize("mode", [[], ["-q"], ["--json"]])
def test_every_output_is_copied_unless_no_copy_is_given(
    sock: Path, home: Path, install: Install, mode: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    install("wl-copy", KEEP)
    with FakeDaemon(sock, {"show": {**samples.INVITED, "command": "ssh a\n@b"}}):
        assert main([*SHOW, *mode, "--no-copy"]) == 0
        assert not (home / "kept").exists()
        capsys.readouterr()
        assert main([*SHOW, *mode]) == 0
    assert (home / "kept").read_text() == "ssh a @b", "one line: a paste must not run by itself"
    out = capsys.readouterr().out
    assert mode or "(copied to the clipboard):\nssh a @b\n" in out
    assert mode != ["--json"] or json.loads(out)


OSC_52 = b"\x1b]52;c;" + base64.b64encode(COMMAND.encode()) + b"\x07"


def seen_by_the_terminal(sock: Path, **env: str) -> bytes:
    """What a terminal gets when stdout goes to a program, so that it must be found by itself."""
    pairctl = [sys.executable, "-m", "pairctl", *SHOW]
    with (
        FakeDaemon(sock, {"show": samples.INVITED}),
        Terminal(pairctl, env, stdout=subprocess.PIPE) as terminal,
    ):
        assert terminal.process.stdout is not None
        with terminal.process.stdout as out:
            output = out.read().decode()
        assert terminal.wait() == 0
    assert output.endswith(COMMAND + "\n")
    assert ("(your terminal may have copied it)" in output) == (terminal.seen == OSC_52)
    assert ("(copied to the clipboard)" in output) == (sock.parent / "kept").exists()
    return terminal.seen


@pytest.mark.usefixtures("install")
def test_the_command_is_copied_to_a_terminal_by_osc_52(sock: Path) -> None:
    assert seen_by_the_terminal(sock) == OSC_52


@pytest.mark.parametrize("variable", ["SSH_TTY", "SSH_CONNECTION"])
def test_over_ssh_the_terminal_comes_before_this_machines_programs(
    sock: Path, install: Install, variable: str
) -> None:
    install("pbcopy", KEEP)
    assert seen_by_the_terminal(sock, **{variable: "/dev/pts/1"}) == OSC_52
    assert not (sock.parent / "kept").exists()


def test_at_this_machine_a_program_comes_first(sock: Path, install: Install) -> None:
    install("xclip", KEEP)
    assert seen_by_the_terminal(sock) == b""


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
@pytest.mark.parametrize("ssh", ["", "/dev/pts/1"])
def test_a_terminal_without_control_sequences_gets_none(
    sock: Path, install: Install, term: str, ssh: str
) -> None:
    assert seen_by_the_terminal(sock, TERM=term, SSH_TTY=ssh) == b""
    install("xclip", KEEP)
    assert seen_by_the_terminal(sock, TERM=term, SSH_TTY=ssh) == b""


def test_inside_tmux_the_command_is_copied_by_load_buffer(home: Path, install: Install) -> None:
    install("tmux", KEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMUX", "/s,1,0")
        patch.setenv("TERM", "tmux-256color")
        assert clipboard.copy(COMMAND) == "your terminal may have copied it"
    assert (home / "by").read_text().endswith("tmux load-buffer -w -\n")
    assert (home / "kept").read_text() == COMMAND


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_a_real_tmux_passes_the_command_to_the_terminal_around_it(sock: Path) -> None:
    pairctl = shell(sys.executable, "-m", "pairctl", *SHOW, "-q")
    script = f"until tmux list-clients | grep -q .; do :; done; {pairctl}; exec cat"
    tmux = ["tmux", "-S", str(sock.parent / "t"), "-f", "/dev/null"]
    with FakeDaemon(sock, {"show": samples.INVITED}):
        try:
            session = [*tmux, "new-session", shell("/bin/sh", "-c", script)]
            with Terminal(session, {"SSH_TTY": "/dev/pts/1"}) as terminal:
                terminal.wait_for(base64.b64encode(COMMAND.encode()))
            shown = subprocess.run([*tmux, "show-buffer"], check=True, capture_output=True)
        finally:
            subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)
    assert shown.stdout.decode() == COMMAND
