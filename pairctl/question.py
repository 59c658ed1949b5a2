"""The question in the popup, and the keys that answer it. Pure: text in, text out."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from pairctl.text.render import ACCESS
from pairctl.text.times import seconds

if TYPE_CHECKING:
    from pairctl.text.output import View
    from pairingd.protocol.results import Visitor

APPROVE, DENY = b"\x19", b"\x0e"  # Ctrl-Y, Ctrl-N
QUIET_S = 1.0  # without a key, before an answer counts: a typing host has not read the question
_MAX_LINES = 3  # of one value


def answer(typed: bytes, quiet_s: float) -> bool | None:
    """Whether the guest may come in; None if that is no answer. `quiet_s` has passed since the last
    key, or since the question appeared.
    """
    if quiet_s < QUIET_S:
        return None
    return {APPROVE: True, DENY: False}.get(typed)


def question(visitor: Visitor, view: View, size: tuple[int, int], quiet_s: float) -> str:
    """For a terminal of `size` columns and rows. All strings are printable already."""
    columns, rows = size
    left = max(0, round(seconds(visitor["until"]) - view.now))
    lines = [f"Somebody asks to come in ({ACCESS[visitor['access']]}):", ""]
    lines += [view.bold(line) for line in _fitted(visitor["guest"], columns)]
    lines += _fitted(f"key {visitor['fingerprint']}", columns)
    lines += _fitted(f"from {visitor['peer']}", columns)
    lines += ["", f"{left} s to decide; no answer means no.", ""]
    if quiet_s < QUIET_S:
        lines += ["Not yet: first a second without a key."]
    else:
        lines += [view.bold("Ctrl-Y lets them in, Ctrl-N turns them away.")]
    return "\n".join(lines if len(lines) <= rows else filter(None, lines))


def _fitted(text: str, columns: int) -> list[str]:
    return wrap(text, max(columns, 10), max_lines=_MAX_LINES, placeholder=" ...")
