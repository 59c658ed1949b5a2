"""The printing edge: results to stdout, messages to stderr, as text or as JSON.

Text from outside reaches a terminal only through `for_terminal` or as ASCII JSON: a guest's key
comment could otherwise move the cursor or rewrite the title.
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

from pairctl.failures import Unwritable
from pairingd.core.refusal import PairingError
from pairingd.core.text import columns, for_terminal
from pairingd.process.inherited import silence

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from _typeshed import HasFileno

WIDTH = 80  # columns; only commands and hints, which are never broken, may exceed it


class View:
    """How text is drawn on one stream: colour, signs, the columns at most, and the present time."""

    __slots__ = ("colour", "columns", "now", "unicode")

    def __init__(
        self, *, now: float, colour: bool = False, unicode: bool = True, columns: int = WIDTH
    ) -> None:
        self.now = now
        self.columns = columns
        self.colour = colour
        self.unicode = unicode

    @classmethod
    def of(cls, stream: TextIO) -> View:
        """NO_COLOR is https://no-color.org: present and not empty."""
        return cls(
            now=time.time(),
            colour=not os.environ.get("NO_COLOR") and draws(stream),
            unicode=(stream.encoding or "").lower().replace("-", "") == "utf8",
            columns=_columns(stream),
        )

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def good(self, text: str) -> str:
        return self._paint("32", text)

    def bad(self, text: str) -> str:
        return self._paint("31", text)

    def warn(self, text: str) -> str:
        return self._paint("33", text)

    def _paint(self, code: str, text: str) -> str:
        """SGR, ECMA-48 §8.3.117."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def crop(self, text: str, width: int) -> str:
        """At most `width` columns; the last is a sign if some are left out."""
        if columns(text) <= width:
            return text
        if width <= 0:
            return ""
        kept = text[: width - 1]
        while columns(kept) >= width:
            kept = kept[:-1]
        return kept + ("…" if self.unicode else "~")


def _columns(stream: TextIO) -> int:
    """Of the terminal, at least WIDTH; without end if it is none."""
    if not stream.isatty():
        return sys.maxsize
    return max(WIDTH, os.get_terminal_size(stream.fileno()).columns)


def draws(stream: TextIO) -> bool:
    """Whether it is a terminal with colours and a cursor that moves."""
    return stream.isatty() and has_sequences()


def has_sequences() -> bool:
    """Whether TERM names a terminal with control sequences: terminfo(5), `dumb`."""
    return os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}


def write(text: str, end: str = "\n") -> None:
    """Write to stdout and flush. Raises Unwritable, or BrokenPipeError if the reader is gone."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        silence(sys.stdout)
        raise
    except OSError as error:
        silence(sys.stdout)
        raise Unwritable(
            "output-failed",
            f"the result could not be written: {error.strerror}",
            "write it to another place; what the command changes is done: pairctl status shows it",
        ) from None


def wait_for(source: HasFileno, seconds: float | None = None) -> None:
    """Until `source` can be read or the time is up. Raises BrokenPipeError once the reader of
    stdout is gone, which would otherwise show only at the next write.
    """
    poll = select.poll()
    poll.register(source, select.POLLIN)
    if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
        # Linux reports POLLERR anyway; macOS POLLHUP, and where no event is requested nothing.
        poll.register(sys.stdout, select.POLLHUP)
    ready = dict(poll.poll(None if seconds is None else seconds * 1000))
    if sys.stdout.fileno() in ready:
        silence(sys.stdout)
        raise BrokenPipeError


def tell(text: str, end: str = "\n") -> None:
    """Write to stderr and flush. Ignores errors, which must not change result or exit code."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def value_for_terminal(value: Any) -> Any:
    """The same JSON value with `for_terminal` of every string."""
    if isinstance(value, str):
        return for_terminal(value)
    if isinstance(value, list):
        return [value_for_terminal(item) for item in value]
    if isinstance(value, dict):
        return {for_terminal(key): value_for_terminal(item) for key, item in value.items()}
    return value


def result(value: Any, render: Callable[[Any, View], str], *, as_json: bool) -> None:
    """One result on stdout: a JSON document, or the text of `rendered`, which may raise."""
    if as_json:
        document(value)
    else:
        write(rendered(value, render))


def rendered(value: Any, render: Callable[[Any, View], str]) -> str:
    """What `render` returns for stdout, of `value` without control characters.

    Raises PairingError `bad-reply` if `value` lacks what `render` needs: an older daemon sent it.
    """
    try:
        return render(value_for_terminal(value), View.of(sys.stdout))
    except KeyError as missing:
        raise PairingError(
            "bad-reply",
            f"pairingd's reply has no {missing}: it is probably older than this pairctl",
            "pairctl restart starts the installed version; --json prints the reply as it is",
        ) from missing


def line(value: Any, render: Callable[[Any, View], str], *, as_json: bool) -> None:
    """As `result`, for one of many: each JSON document is one line (NDJSON)."""
    if as_json:
        write(json.dumps(value))
    else:
        result(value, render, as_json=False)


def document(value: Any) -> None:
    """One JSON document, indented for a terminal."""
    write(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def message(text: str) -> None:
    tell(for_terminal(text))


def problem(kind: str, cause: str, remedy: str) -> None:
    """One line of cause and one of remedy. `kind` is `error` or `warning`."""
    from pairctl.text.times import localized  # late: most commands print none

    view = View.of(sys.stderr)
    paint = view.bad if kind == "error" else view.warn
    lines = f"{paint(kind + ':')} {localized(for_terminal(cause), view.now)}"
    if remedy:
        lines += f"\n{view.dim('hint:')} {for_terminal(remedy)}"
    tell(lines)


def failure(error: PairingError, *, as_json: bool) -> None:
    """The error as one document on stdout; two lines on stderr without JSON, or if stdout fails."""
    if not as_json or isinstance(error, Unwritable):
        problem("error", error.message, error.hint)
        return
    fields = {"code": error.code, "message": error.message, "hint": error.hint}
    try:
        document({"error": {**error.data, **fields}})
    except Unwritable:
        failure(error, as_json=False)
