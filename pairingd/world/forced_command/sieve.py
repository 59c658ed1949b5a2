"""Of what a hostile program paints, what may reach a person's terminal: what draws there.

A terminal does more than draw. It answers (its colours, its title, its clipboard), and an answer is
typed into whatever reads next, such as the shell from which the host attached. It runs commands
(kitty's remote control), reads files (iTerm2, kitty), prints. So only the control functions with
which a tmux client draws pass, and only whole: those of ECMA-48, and of xterm's ctlseqs. Standard
library only.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re

TYPE_CHECKING = False  # typing itself starts slowly
if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside those that draw there is ENQ, which a terminal answers. C1 controls, U+0080 to U+009F, are
# other names of ESC sequences.
_CONTROLS = "\x00-\x1f\x7f-\x9f"
_UNDRAWN = {ord(c): None for c in map(chr, range(0xA0)) if not c.isprintable()} | {
    ord(c): c for c in "\a\b\t\n\v\f\r\x0e\x0f"
}
_MAX_OSC_CHARS = 1 << 17  # a clipboard's
_CHUNK_BYTES = 1 << 16
_OSC = "(?:0|1|2|8|12|52|112)"  # titles, a hyperlink, the cursor's colour, the clipboard
# No number is above 9999: by larger ones some terminals scroll for minutes (iTerm2's pull request
# 81, GNOME's bug 676090).
_PARAMETERS = "(?! [0-;]{,94} [0-9]{5} ) [0-;]{,99}"
_SEQUENCE = re.compile(
    rf"""
      (?P<text> [^\x1b]+)
    | \x1b \[ (?P<prefix> [<=>?]?) (?P<parameters> {_PARAMETERS}) (?P<name> [\ -/]? [@-~])
    | \x1b \] (?P<osc> {_OSC}) (?P<value> (?: ;[^{_CONTROLS}]* )?) (?: \a | \x1b\\ )
    | \x1b (?P<charset> [()*+]) (?P<set> [0-~])
    | \x1b (?P<escape> [78=>DEM])
    | \x1b (?P<dropped> [\]\[PX^_\ -/])
    | \x1b [0-~]?
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(
    rf"""
    \x1b (?: \[ [0-?]{{,99}} [\ -/]{{,9}} | [\ -/]{{1,9}}
      | \] (?: [0-9]{{,3}} | {_OSC} (?: ;[^{_CONTROLS}]{{,{_MAX_OSC_CHARS}}} )? \x1b? ) )? \Z
    """,
    re.VERBOSE,
)
_IN_OSC = re.compile(f"[^{_CONTROLS}]*")
# Of what does not pass; an ESC begins anew.
_END_OF_STRING = re.compile(r"\x1b\\?|\x18|\x1a")
_END_OF_OSC = re.compile(r"\x1b\\?|\x18|\x1a|\a")
_END_OF_FUNCTION = re.compile(r"[^ -?]")
_END_OF_ESCAPE = re.compile(r"[^ -/]")
_ENDS = {
    "[": _END_OF_FUNCTION,
    "]": _END_OF_OSC,
    **dict.fromkeys("PX^_", _END_OF_STRING),
    **dict.fromkeys(map(chr, range(0x20, 0x30)), _END_OF_ESCAPE),
}

# Control functions by prefix, intermediate and last characters.
_FUNCTIONS = {*"@ABCDEFGHIJKLMPSTXZ`abdefmrstu", " q", "$x", ">m"}
_ONLY = {  # with these parameters
    "J": {"", "0", "1", "2"},  # 3 erases what has scrolled off the screen, tmux's or the shell's
    "t": {"22;0;0", "22;1", "22;2", "23;0;0", "23;1", "23;2"},  # the stack of titles
    ">m": {"", "4", "4;0", "4;1", "4;2"},  # other numbers are other keys' modifiers
}
_MODES = {
    *("4", "34"),  # insert; the Linux console's cursor
    *("?1", "?5", "?7", "?12", "?25", "?47", "?1047", "?1048", "?1049", "?2004", "?2026"),
    *("?1000", "?1002", "?1003", "?1004", "?1005", "?1006"),  # the mouse, and focus
}
_ON_AT_FIRST = {"?7", "?25"}
_OTHER_SCREENS = {"?47", "?1047", "?1049"}
# What a terminal may save and restore with the cursor (DECSC; xterm, VTE, kitty), and what does so.
_OF_THE_CURSOR = {"m", "SO", "8", *"()*+", "4", "?5", "?7"}
_RESTORE = {"?1048", "?1049"}
# Others that stay: the parameters with which they are as at first, and what sets them so.
_STAY = {
    # 10: the usual font; the Linux console shows control characters in others, also after 0.
    "m": (("0;10",), "\x1b[0;10m"),
    " q": (("", "0"), "\x1b[0 q"),
    ">m": (("", "4", "4;0"), "\x1b[>4m"),
    "r": (("",), "\x1b7\x1b[r\x1b8"),  # which moves the cursor
}


def is_utf8(environ: Mapping[str, str]) -> bool:
    """Whether a terminal with that environment takes UTF-8: unless its locale names something else.
    C says nothing; Python then sets LC_CTYPE to C.UTF-8 (PEP 538).
    """
    given = (environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next((name for name in given if name not in {"", "C", "POSIX", "C.UTF-8"}), "UTF-8")
    return "UTF8" in locale.upper().replace("-", "")


class Sieve:
    """Takes output in pieces that may be cut anywhere. It is UTF-8; what is not becomes U+FFFD.

    `utf8`: so is the terminal. To another one some bytes of letters are C1 controls: only ASCII
    passes.
    """

    def __init__(self, *, utf8: bool = True) -> None:
        self._utf8 = utf8
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun: list[str] = []  # a sequence that goes on
        self._begun_chars = 0
        self._end: re.Pattern[str] | None = None  # of a sequence that does not pass
        self._undo: dict[str, str] = {}
        self._saved: dict[str, str] = {}  # what may be on again once the cursor is restored

    @property
    def undo(self) -> bytes:
        """What switches off what is still on. The other screen comes late: leaving it restores the
        cursor. After it the margins, which are of both screens, and what was restored.
        """
        late = {**dict.fromkeys(_OTHER_SCREENS, 1), "r": 2, **dict.fromkeys(_OF_THE_CURSOR, 3)}
        restores = self._undo.keys() & {"?1049", "r"}
        on = self._undo | self._saved if restores else self._undo
        return "".join(on[name] for name in sorted(on, key=lambda name: late.get(name, 0))).encode()

    def take(self, output: bytes) -> bytes:
        """What of it may be drawn now."""
        text = self._decoder.decode(output)
        if not self._utf8:
            text = text.encode("ascii", "replace").decode()
        if self._goes_on(text):
            return b""
        if text.isprintable() and not self._begun and not self._end:
            return text.encode()
        text, self._begun = "".join([*self._begun, text]), []
        drawn, at = [], 0
        while at < len(text):
            if self._end:
                end = self._end.search(text, at)
                if not end:
                    break
                at = end.end() if end[0] != "\x1b" else end.start()
                self._end = None
            if not (sequence := _SEQUENCE.match(text, at)):
                break
            if sequence.lastgroup in {None, "dropped"} and (begun := _UNFINISHED.match(text, at)):
                self._begun, self._begun_chars = [begun[0]], len(begun[0])
                break
            drawn.append(self._passed(sequence))
            at = sequence.end()
        return "".join(drawn).encode()

    def copy(self, source: int, target: int) -> int:
        """Copy all output; if `target` is a terminal, what may be drawn. Return 0."""
        is_terminal = os.isatty(target)
        with contextlib.suppress(OSError):  # nobody reads it any more
            while output := os.read(source, _CHUNK_BYTES):
                _write(target, self.take(output) if is_terminal else output)
            _write(target, self.undo)
        return 0

    def _goes_on(self, text: str) -> bool:
        """Whether all of it belongs to an OSC that has begun. What has come of one is read again
        only when it ends, so that many pieces take no more time than one.
        """
        if not self._begun or not self._begun[0].startswith("\x1b]") or self._begun_chars < 9:
            return False
        self._begun_chars += len(text)
        if self._begun[-1].endswith("\x1b") or not _IN_OSC.fullmatch(text):
            return False
        if self._begun_chars > _MAX_OSC_CHARS:
            return False
        self._begun.append(text)
        return True

    def _passed(self, sequence: re.Match[str]) -> str:
        """The sequence if it draws, else nothing. Notes what it switches on or off."""
        match sequence.lastgroup:
            case "text":
                return self._text(sequence["text"])
            case "name":
                passes = self._function_passes(
                    sequence["prefix"], sequence["parameters"], sequence["name"]
                )
            case "value":
                passes = self._osc_passes(sequence["osc"], sequence["value"])
            case "set":
                charset = sequence["charset"]
                self._note(charset, f"\x1b{charset}B", on=sequence["set"] != "B")
                passes = True
            case "escape":
                if sequence["escape"] in "=>":
                    self._note("=", "\x1b>", on=sequence["escape"] == "=")
                if sequence["escape"] == "8":
                    self._undo |= self._saved
                passes = True
            case "dropped":
                self._end = _ENDS[sequence["dropped"]]
                passes = False
            case _:
                passes = False
        return sequence[0] if passes else ""

    def _text(self, text: str) -> str:
        if text.isprintable():
            return text
        if (shift := max(text.rfind("\x0e"), text.rfind("\x0f"))) >= 0:
            self._note("SO", "\x0f", on=text[shift] == "\x0e")
        return text.translate(_UNDRAWN)

    def _function_passes(self, prefix: str, parameters: str, name: str) -> bool:
        if name in {"h", "l"}:
            return self._modes_pass([prefix + mode for mode in parameters.split(";")], name)
        function = prefix + name
        if parameters not in _ONLY.get(function, {parameters}):
            return False
        if function == "u":
            self._undo |= self._saved
        if function in _STAY:
            first, undo = _STAY[function]
            self._note(function, undo, on=parameters not in first)
        return function in _FUNCTIONS

    def _modes_pass(self, modes: list[str], name: str) -> bool:
        if not _MODES.issuperset(modes):
            return False
        opposite = "l" if name == "h" else "h"
        for mode in modes:
            on = (name == "h") != (mode in _ON_AT_FIRST)
            if mode != "?1048":  # which saves the cursor, and restores it
                self._note(mode, f"\x1b[{mode}{opposite}", on=on)
            if mode in _RESTORE and not on:
                self._undo |= self._saved
        return True

    def _osc_passes(self, number: str, value: str) -> bool:
        if number in {"12", "112"}:
            self._note("12", "\x1b]112\a", on=number == "12")
        if number == "8":  # the URI comes after the parameters
            self._note("8", "\x1b]8;;\x1b\\", on=any(value.split(";", 2)[2:]))
        if number == "12":  # a second colour would be another one's
            return not set("?;").intersection(value[1:])
        return "?" not in value or number != "52"  # a question

    def _note(self, name: str, undo: str, *, on: bool) -> None:
        self._undo.pop(name, None)
        if on:
            self._undo[name] = undo
            if name in _OF_THE_CURSOR:
                self._saved[name] = undo


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]
