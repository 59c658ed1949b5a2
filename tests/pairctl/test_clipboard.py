"""The clipboard by small real programs on PATH, and by the terminal."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pairctl import clipboard
from pairctl.__main__ import main
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


def test_xclip_is_told_which_selection(home: Path, install: Install) -> None:
    install("xclip", KEEP)
    clipboard.copy(COMMAND)
    assert (home / "by").read_text().endswith("xclip -selection clipboard\n")


@pytest.mark.parametrize("failing", ["exit 1", "kill -9 $$"])
def test_the_next_is_tried_when_one_fails(home: Path, install: Install, failing: str) -> None:
    install("wl-copy", failing)
    install("xclip", KEEP)
    assert clipboard.copy(COMMAND, timeout_s=WAIT_S) == "copied to the clipboard"
    assert (home / "kept").read_text() == COMMAND


def test_the_next_is_tried_when_one_hangs(home: Path, install: Install) -> None:
    install("wl-copy", "exec /bin/sleep 1000")
    install("xclip", KEEP)
    timeout_s = 0.3
    while not clipboard.copy(COMMAND, timeout_s=timeout_s):
        timeout_s *= 2  # the second program, too, was too slow on this machine
    assert (home / "kept").read_text() == COMMAND


def test_a_program_that_stays_behind_holds_nothing_of_ours(sock: Path, install: Install) -> None:
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
def test_without_clipboard_or_terminal_nothing_is_claimed() -> None:
    assert clipboard.copy(COMMAND) == ""


@pytest.mark.parametrize("mode", [[], ["-q"], ["--json"]])
def test_every_output_is_copied_unless_told_otherwise(
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


@pytest.mark.usefixtures("install")
def test_a_terminal_is_handed_it_by_osc_52(sock: Path) -> None:
    pairctl = [sys.executable, "-m", "pairctl", *SHOW, "-q"]
    with (
        FakeDaemon(sock, {"show": samples.INVITED}),
        # stdout goes to a program, so that the sequence must find the terminal by itself
        Terminal(pairctl, stdout=subprocess.PIPE) as terminal,
    ):
        assert terminal.process.stdout is not None
        with terminal.process.stdout as out:
            assert out.read().decode() == COMMAND + "\n"
        assert terminal.wait() == 0
    assert terminal.seen == b"\x1b]52;c;" + base64.b64encode(COMMAND.encode()) + b"\x07"
