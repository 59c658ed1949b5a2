"""What a write guest in a box can do to the terminals of the others: draw, and nothing else."""

from __future__ import annotations

import shlex

import pytest

from tests.boxed import Scene, scene_in_a_box, with_boxes
from tests.stage import PAIRCTL, Terminal, until
from tests.world.test_sieve import ASKS

pytestmark = with_boxes

HIDDEN = "\x1b[8m\x1b7\x1b[m\x1b8"  # as it was saved with the cursor
MODES = f"{HIDDEN}\x1b[?1049h\x1b[?1003;1006h\x1b[?1h\x1b[?25l"


box = scene_in_a_box


@pytest.mark.attack(
    "a write guest in a box: questions to another terminal, answered once its client has left",
    "the terminal is not asked, and is as it was before",
)
@pytest.mark.parametrize("who", ["host", "another guest"])
def test_a_terminal_is_asked_nothing_and_left_as_it_was(box: Scene, who: str) -> None:
    """Its answers would be typed into the shell from which that person came."""
    typed = box.stage.path / "typed"
    terminal = shell_of(box, who, f"echo back-again; cat >{typed}")
    hostile = f"{MODES}{''.join(ASKS.values())}"
    octal = "".join(f"\\{byte:03o}" for byte in hostile.encode())
    leaves = f"tmux -S {box.socket} detach-client -s =pairing -E \"printf '{octal}'\""
    (box.project / "leaves").write_text(f"{leaves}\n")
    box.screen.types(f"clear; sh {box.project}/leaves")
    terminal.shows("back-again")
    flags = "#{alternate_on} #{mouse_any_flag} #{keypad_cursor_flag} #{cursor_flag}"
    assert terminal.expanded(flags).split() == ["0", "0", "0", "1"]
    assert "back-again" in terminal.painted().splitlines()
    terminal.types("by hand")
    terminal.presses("C-d")
    until(lambda: typed.read_text().endswith("\n"), "what was typed is there")
    assert typed.read_text() == "by hand\n"


@pytest.mark.attack(
    "a write guest in a box: questions to a terminal from which the host runs tmux with other input",
    "the terminal is not asked",
)
@pytest.mark.parametrize("redirected", ["</dev/null", "2>/dev/null", "</dev/null >&2"])
def test_a_terminal_is_not_asked_by_what_a_client_only_prints(box: Scene, redirected: str) -> None:
    typed = box.stage.path / "typed"
    octal = "".join(f"\\{byte:03o}" for byte in "".join(ASKS.values()).encode())
    asks = f"printf '{octal}'; printf '{octal}' >&2"
    (box.project / "asks").write_text(f'exec perl false-server.pl {box.socket} "{asks}"\n')
    box.screen.types(f"clear; cd {box.project}; sh asks &")
    until((box.project / "false-server").exists, "the false server listens")
    made = box.box
    assert made
    runs = shlex.join((made.tmux, "-S", made.socket, "list-sessions"))
    terminal = box.stage.terminal("sh", "-c", f"{runs} {redirected}; echo back-again; cat >{typed}")
    terminal.shows("back-again")
    terminal.types("by hand")
    terminal.presses("C-d")
    until(lambda: typed.read_text().endswith("\n"), "what was typed is there")
    assert typed.read_text() == "by hand\n"


def shell_of(box: Scene, who: str, afterwards: str) -> Terminal:
    """A terminal in the session, in whose shell `afterwards` comes next."""
    argv: tuple[str, ...] = (PAIRCTL, "attach")
    if who != "host":
        guest = box.stage.guest("mona")
        assert "error" not in box.stage.asks("invite", "mona", "--no-copy")
        argv = guest.ssh()
    terminal = box.stage.terminal("sh", "-c", f"{shlex.join(argv)}; {afterwards}")
    terminal.shows("[pairing]")
    return terminal
