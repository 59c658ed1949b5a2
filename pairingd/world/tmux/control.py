"""Commands and their answers on a connection in control mode (tmux(1), CONTROL MODE).

tmux answers each command of a line by a block between `%begin` and `%end` or `%error`, which have
the same three numbers; the last is 1 if the command is ours and not a hook's (measured, tmux 3.3a
and 3.8). After an error it does not run the rest of the line. A block may hold a guest's words, so
each answer ends with a word that they cannot know before (tmux shows past commands to write guests:
show-messages).
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Iterator, Sequence

_GUARD = re.compile(rb"%(begin|end|error) (\d+ \d+ (\d+))\r?\n", re.ASCII)
_MAX_UNENDED = 64  # after an error the end of an answer never comes
_MAX_WAITING = 256  # a guest in a box can have each of many clients led back, and answer nothing
_NOT_IN_A_LINE = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")


class Unsaid(Exception):
    """The connection has ended, and it is unknown whether tmux has run the command."""


class Failed(Exception):
    """tmux's own error message."""


_MAX_OUTPUT_BYTES = 1 << 20  # kept of an answer: a guest in a box can make tmux print anything


class _Waiting:
    def __init__(self, end: str) -> None:
        self.end = end.encode()
        self.output = bytearray()
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class Answers:
    """Pending answers, in the order of their commands."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._unended: deque[bytes] = deque(maxlen=_MAX_UNENDED)  # ends that may still come
        self._numbers = b""  # of the block that has begun
        self._is_own_block = False
        self._block = bytearray()

    def ask(self, argv: Sequence[str]) -> tuple[str, asyncio.Future[str]] | None:
        """The line to send, and the future of tmux's answer, which raises Failed or Unsaid. None if
        the arguments do not fit into a line, or too many commands are unanswered.
        """
        if any(map(_NOT_IN_A_LINE.search, argv)) or len(self._waiting) >= _MAX_WAITING:
            return None
        waiting = _Waiting(secrets.token_hex(16))
        self._waiting.append(waiting)
        last = f"display-message -p {waiting.end.decode()}"
        return f"{' '.join(_quoted(argv))} ; {last}\n", waiting.answer

    def take(self, line: bytes) -> bool:
        """Whether this line of tmux's is part of an answer, and not a notification."""
        guard = _GUARD.fullmatch(line)
        if self._numbers:
            if guard and guard[2] == self._numbers and guard[1] != b"begin":
                self._numbers = b""
                self._ended(failed=guard[1] == b"error")
            else:
                self._block += line[: _MAX_OUTPUT_BYTES - len(self._block)]
            return True
        if guard and guard[1] == b"begin":
            self._numbers, self._is_own_block = guard[2], guard[3] == b"1"
            self._block.clear()
        return guard is not None

    def close(self) -> None:
        """Give up all pending answers, and the current block."""
        self._numbers = b""
        for waiting in self._waiting:
            self._unended.append(waiting.end)
            _settle(waiting, Unsaid())
        self._waiting.clear()

    def _ended(self, *, failed: bool) -> None:
        if not self._is_own_block or not self._waiting:
            return
        waiting, block = self._waiting[0], bytes(self._block)
        if failed:
            self._unended.append(self._waiting.popleft().end)
            _settle(waiting, Failed(block.decode(errors="replace").strip()))
        elif block.rstrip() == waiting.end:
            self._waiting.popleft()
            _settle(waiting, waiting.output.decode(errors="replace"))
        elif block.rstrip() in self._unended:
            waiting.output.clear()  # it was an earlier answer's, whose error was forged
        else:
            waiting.output += block[: _MAX_OUTPUT_BYTES - len(waiting.output)]


def _settle(waiting: _Waiting, answer: str | Exception) -> None:
    if waiting.answer.done():  # nobody waits any more
        return
    if isinstance(answer, str):
        waiting.answer.set_result(answer)
    else:
        waiting.answer.set_exception(answer)
        waiting.answer.exception()  # no warning if nobody awaits it


def _quoted(argv: Sequence[str]) -> Iterator[str]:
    """As tmux parses a line, which differs from arguments: there a `;` at the end of a word ends
    the command, unless a backslash is before it.
    """
    for word in argv:
        bare, ends = word, False
        if word.endswith("\\;"):
            bare = f"{word[:-2]};"
        elif word.endswith(";"):
            bare, ends = word[:-1], True
        if bare or not ends:
            yield "'" + bare.replace("'", "'\\''") + "'"
        if ends:
            yield ";"
