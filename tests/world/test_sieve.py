"""What of a hostile program's output may reach a person's terminal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.forced_command.sieve import Sieve
from tests.newest_tmux import newest_tmux
from tests.waiting import WAIT_S, looks

ASKS = {
    "device attributes": "\x1b[c",
    "device attributes, with a parameter": "\x1b[0c",
    "secondary device attributes": "\x1b[>c",
    "tertiary device attributes": "\x1b[=c",
    "status": "\x1b[5n",
    "cursor position": "\x1b[6n",
    "cursor position, DEC": "\x1b[?6n",
    "identify": "\x1bZ",
    "answerback": "\x05",
    "version": "\x1b[>q",
    "keyboard protocol": "\x1b[?u",
    "key modifiers": "\x1b[?4m",
    "a mode": "\x1b[?2004$p",
    "a mode, ANSI": "\x1b[4$p",
    "window size": "\x1b[14t",
    "title": "\x1b[21t",
    "icon": "\x1b[20t",
    "terminal parameters": "\x1b[x",
    "a checksum of the screen": "\x1b[1;1;1;1;24;80*y",
    "graphics": "\x1b[?1;1;0S",
    "a setting": "\x1bP$qm\x1b\\",
    "a capability": "\x1bP+q544e\x1b\\",
    "the foreground": "\x1b]10;?\x1b\\",
    "the background, ended by BEL": "\x1b]11;?\a",
    "the cursor's colour": "\x1b]12;?\a",
    "a colour": "\x1b]4;1;?\a",
    "the clipboard": "\x1b]52;c;?\a",
    "the clipboard, another one": "\x1b]52;pqc;?\x1b\\",
    "the locator": "\x1b['|",
    "by a C1 control": "\x9b6n",
    "by C1 controls": "\x9d10;?\x9c",
}
ACTS = {
    "kitty's remote control": "\x1bP@kitty-cmd{}\x1b\\",
    "kitty reads a file": "\x1b_Gf=100,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
    "iTerm2 writes a file": "\x1b]1337;File=name=eA==:eA==\a",
    "a notification": "\x1b]9;hello\a",
    "the current directory": "\x1b]7;file:///etc\a",
    "prints": "\x1b[5i",
    "moves the window": "\x1b[3;0;0t",
    "another encoding": "\x1b%@",
    "8-bit controls": "\x1b G",
    "the palette": "\x1b]4;1;#ffffff\a",
    "colours after the cursor's": "\x1b]12;red;red;red;red;red;black;red;black\a",
    "other keys' modifiers": "\x1b[>1;2m",
    "answers to come": "\x1b[?2031h",
    "sizes to come": "\x1b[?2048h",
    "one of several modes": "\x1b[?25;2031h",
    "a message": "\x1b^secret\x1b\\",
    "a string": "\x1bXtext\x1b\\",
    "scrolls for minutes": "\x1b[2147483647S",
    "inserts lines for minutes": "\x1b[1;99999L",
    "a tab stop": "\x1bH",
    "no tab stops": "\x1b[3g",
    "erases what has scrolled off": "\x1b[3J",
    "more than a title": "\x1b[22;0;0;21t",
}
DRAWS = (
    *(
        "plain",
        "é漢😀",
        "a\r\nb\tc\a\b",
        "\x1b[m",
        "\x1b[0;1;38;2;1;2;3m",
        "\x1b[4:3m",
        "\x1b[58:5:1m",
    ),
    *(
        "\x1b[2;3H",
        "\x1b[K",
        "\x1b[1;23r",
        "\x1b[3X",
        "\x1b[2@",
        "\x1b[S",
        "\x1b[12b",
        "\x1b[9999d",
        "\x1b[2 q",
    ),
    *("\x1b7x\x1b8", "\x1bM", "\x1b(B", "\x1b(0qqq\x1b(B", "\x0eq\x0f", "\x1b[?1049h", "\x1b[?25l"),
    *("\x1b[?1000;1006h", "\x1b[?1006;1000l", "\x1b=", "\x1b>", "\x1b[4h", "\x1b[>4;2m"),
    *("\x1b[22;0;0t", "\x1b[23;0;0t", "\x1b]2;a title\a", "\x1b]0;a title\x1b\\", "\x1b]112\a"),
    *(
        "\x1b]8;;https://example.org\x1b\\",
        "\x1b]8;;\x1b\\",
        "\x1b]52;c;aGVsbG8=\a",
        "\x1b]12;red\a",
    ),
)


@pytest.mark.attack(
    "a guest in a box has the host's terminal asked, or told to act", "nothing of that reaches it"
)
@pytest.mark.parametrize("hostile", [*ASKS.values(), *ACTS.values()], ids=[*ASKS, *ACTS])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_is_answered_or_acted_upon_does_not_pass(hostile: str, size: int) -> None:
    assert sifted(f"<{hostile}>".encode(), size) in {b"<>", b"<6n>", b"<10;?>"}


@pytest.mark.parametrize("drawing", DRAWS)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_draws_passes_unchanged(drawing: str, size: int) -> None:
    assert sifted(f"<{drawing}>".encode(), size) == f"<{drawing}>".encode()


@pytest.mark.parametrize(
    ("output", "drawn"),
    [
        (b"a\xffb", "a\ufffdb"),
        (b"\x1b\x1b[1mx", "\x1b[1mx"),
        (b"\x1b[1\x1b[mx", "\x1b[mx"),
        (b"\x1b[\x18mx", "mx"),
        (b"\x1bPendless\x18x", "x"),
        (b"\x1bPendless\x1b[1mx", "\x1b[1mx"),
        (b"\x1bPends with no BEL\ax\x1b\\y", "y"),
        (b"\x1b]9;ends with BEL\ax", "x"),
        (b"\x1b]9;cut off\x1b[1mx", "\x1b[1mx"),
        (b"\x1b]2;a\x00b\ax", "x"),
        (b"\x1b[<1mx\x1b[1 !mx", "xx"),
        (b"\x1b#8x", "x"),
        (b"\x1b(\nx", "x"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_sequence_is_dropped_up_to_where_it_goes_wrong(
    output: bytes, drawn: str, size: int
) -> None:
    assert sifted(output, size).decode() == drawn


@pytest.mark.parametrize("size", [1, 1000])
def test_a_sequence_that_is_too_long_is_dropped(size: int) -> None:
    assert sifted(b"\x1b[" + b"1;" * 500 + b"mx", size) == b"x"


def test_a_string_without_end_is_not_kept() -> None:
    sieve = Sieve()
    for opening in (b"\x1b]52;c;", b"\x1bP", b"\x1b]2;"):
        assert sieve.take(opening) == b""
        for _ in range(100):
            assert sieve.take(b"A" * 65536) == b""
        assert sys.getsizeof(sieve._begun) < 1 << 12
        assert sieve.take(b"\x1b\\x")[-1:] == b"x"


@pytest.mark.parametrize(
    ("output", "undo"),
    [
        ("\x1b[?1049h\x1b[?25l\x1b[?1006;1000h", "\x1b[?25h\x1b[?1006l\x1b[?1000l\x1b[?1049l"),
        ("\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", ""),
        ("\x1b[?7l\x1b=\x1b[4h", "\x1b>\x1b[?7h\x1b[4l"),
        ("\x1b[1;31mred", "\x1b[0;10m"),
        ("\x1b[11mcontrols\x1b[m", "\x1b[0;10m"),
        ("\x1b[4 q\x1b]12;red\a\x1b[>4;2m", "\x1b[0 q\x1b]112\a\x1b[>4m"),
        ("\x1b[0 q\x1b]112\a\x1b[>4m", ""),
        ("\x1b(0lqk\x0e", "\x1b(B\x0f"),
        ("\x1b(0lqk\x1b(B\x0e\x0f", ""),
        ("\x1b[?2031h\x1b[?1003;9999h", ""),
        ("\x1b[2;3r\x1b[?1049h", "\x1b[?1049l\x1b7\x1b[r\x1b8"),
        ("\x1b[2;3r\x1b[r", ""),
        ("\x1b[8m\x1b7\x1b[0;10m\x1b8", "\x1b[0;10m"),
        ("\x1b(0\x1b[s\x1b(B\x1b[u", "\x1b(B"),
        ("\x0e\x1b[?1048h\x0f\x1b[?1048l", "\x0f"),
        ("\x1b[?5;7l\x1b[?1049h\x1b[?7h\x1b[?1049l", "\x1b[?7h"),
        ("\x1b[8m\x1b[?1049h", "\x1b[?1049l\x1b[0;10m"),
        ("\x1b[8m\x1b[2;3r\x1b[?1049h\x1b[0;10m", "\x1b[?1049l\x1b7\x1b[r\x1b8\x1b[0;10m"),
        ("\x1b]8;;https://example.org\x1b\\link", "\x1b]8;;\x1b\\"),
        ("\x1b]8;id=1;https://example.org;x\a", "\x1b]8;;\x1b\\"),
        ("\x1b]8;;https://example.org\alink\x1b]8;id=1;\a", ""),
    ],
)
def test_what_was_switched_on_can_be_undone(output: str, undo: str) -> None:
    sieve = Sieve()
    sieve.take(output.encode())
    assert sieve.undo.decode() == undo
    sieve.take(sieve.undo)
    assert sieve.undo == b""


PIECES = st.sampled_from(
    [*ASKS.values(), *ACTS.values(), *DRAWS, "\x1b", "\x1b[", "\x1b]", "\\", ";"]
)


@given(st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=9))), st.integers(1, 9))
def test_cuts_change_nothing_and_what_has_passed_passes_again(
    pieces: list[bytes], size: int
) -> None:
    output = b"".join(pieces)
    drawn = sifted(output, 1 << 20)
    assert sifted(output, size) == drawn
    assert sifted(drawn, size) == drawn


@pytest.mark.parametrize("which", ["tmux", "newest tmux"])
def test_what_a_real_terminal_would_answer_is_not_asked(which: str, short_path: Path) -> None:
    """The terminal is a pane of tmux, which answers many questions."""
    command = str(shutil.which("tmux") if which == "tmux" else newest_tmux())
    at = (command, "-f", "/dev/null", "-S", str(short_path / "sock"))
    questions = "".join(f"{asks}\r\n" for asks in ASKS.values()).encode()
    (short_path / "raw").write_bytes(questions)
    (short_path / "sifted").write_bytes(sifted(questions, 7))
    answers = {}
    for name in ("sifted", "raw"):  # tmux ends with its last session
        script = f"stty raw -echo; cat {name}; dd bs=1 count=1 of={name}.answer 2>/dev/null"
        subprocess.run(
            [*at, "new-session", "-d", "-s", name, "-c", str(short_path), script], check=True
        )
    try:
        for _ in looks(WAIT_S):
            if (short_path / "raw.answer").exists() and (short_path / "raw.answer").stat().st_size:
                break
        subprocess.run([*at, "send-keys", "-t", "sifted", "x"], check=True)
        for _ in looks(WAIT_S):
            if (short_path / "sifted.answer").exists():
                answers = {
                    name: (short_path / f"{name}.answer").read_bytes() for name in ("raw", "sifted")
                }
                if answers["sifted"]:
                    break
        assert answers == {"raw": b"\x1b", "sifted": b"x"}
    finally:
        subprocess.run([*at, "kill-server"], check=False)


def sifted(output: bytes, size: int) -> bytes:
    """What of it passes in pieces of `size`."""
    sieve = Sieve()
    return b"".join(sieve.take(output[at : at + size]) for at in range(0, len(output), size))
