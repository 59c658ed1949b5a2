"""What a real tmux says of a session's first program, and what is concluded from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pairctl.tmux.birth import PANE, Pane
from tests.stage import until

Runs = Callable[[str], Pane]
EDITOR = "import time, tty; tty.setraw(0); print('$ ', end='', flush=True); time.sleep(99)"
PLAIN = "import time; print('$ ', end='', flush=True); time.sleep(99)"
SILENT = "import time, tty; tty.setraw(0); time.sleep(99)"


@pytest.fixture
def runs(short_path: Path) -> Iterator[Runs]:
    """Its argument is a Python program: the pane that runs it, once its terminal shows `printed`."""
    tmux = ("tmux", "-f", "/dev/null", "-S", str(short_path / "tmux.sock"))

    def pane(program: str) -> Pane:
        first = (sys.executable, "-c", program)
        subprocess.run([*tmux, "new-session", "-d", "-s", "pairing", *first], check=True)

        def read() -> Pane | None:
            shown = subprocess.run(
                [*tmux, "display-message", "-p", PANE], capture_output=True, text=True, check=True
            )
            read = Pane.read(shown.stdout)
            return read if read and (read.printed or program == SILENT) else None

        started = until(read, "the pane shows what its program prints")
        assert started
        return started

    yield pane
    subprocess.run([*tmux, "kill-server"], check=True)


def test_a_line_editor_that_has_printed_lives_at_once(runs: Runs) -> None:
    assert runs(EDITOR).lives(0.0, confined=False)


def test_another_program_may_still_end(runs: Runs) -> None:
    pane = runs(PLAIN)
    assert not pane.lives(0.0, confined=False)
    assert pane.lives(0.3, confined=False)


def test_a_silent_program_is_waited_for_longer(runs: Runs) -> None:
    pane = runs(SILENT)
    assert not pane.lives(0.9, confined=False)
    assert pane.lives(1.0, confined=False)


def test_the_terminal_that_a_confined_tmux_names_is_not_opened(runs: Runs) -> None:
    assert not runs(EDITOR).lives(0.0, confined=True)


@pytest.mark.parametrize("terminal", ["/nonexistent", "/dev/null", ""])
def test_what_is_no_terminal_says_nothing(runs: Runs, terminal: str) -> None:
    assert not runs(EDITOR)._replace(terminal=terminal).lives(0.0, confined=False)
