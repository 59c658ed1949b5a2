"""The steps of an invitation as they happen, such as `keys ✓  session ✓  door …`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

from pairctl.text import output

if TYPE_CHECKING:
    from pairingd.protocol.results import Progress

_SIGNS = {"begun": "…", "done": "✓", "failed": "✗"}
_ASCII_SIGNS = {"begun": "...", "done": "ok", "failed": "failed"}


class Steps:
    """On stderr: one line, redrawn, on a terminal; else one line for each finished step."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._view = output.View.of(sys.stderr)
        self._live = output.draws(sys.stderr)
        self._states: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._live and self._states:
            output.tell("")

    def __call__(self, params: dict[str, Any]) -> None:
        """Print a `progress` notification."""
        if not self._shown:
            return
        step: Progress = output.value_for_terminal(params)
        self._states[step["step"]] = step["state"]
        if self._live:
            # CR, then EL, ECMA-48 §8.3.41: erases the rest of a longer line before.
            output.tell(f"\r{self._line(step['text'])}\x1b[K", end="")
        elif step["state"] != "begun":
            line = f"{step['step']} {self._sign(step['state'])} {step['text']}".rstrip()
            output.tell(line)

    def _line(self, text: str) -> str:
        signs = {name: self._sign(state) for name, state in self._states.items()}
        steps = "  ".join(f"{name} {sign}" for name, sign in signs.items())
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or output.WIDTH) - 1
        room = width - len(steps) - 2
        if room < 0:  # a line that wraps could not be redrawn; the newest step is the last
            return steps[-width:]
        for name, state in self._states.items():
            if state != "begun":
                paint = self._view.good if state == "done" else self._view.bad
                signs[name] = paint(signs[name])
        painted = "  ".join(f"{name} {sign}" for name, sign in signs.items())
        return f"{painted}  {self._view.dim(self._view.crop(text, room))}"

    def _sign(self, state: str) -> str:
        return (_SIGNS if self._view.unicode else _ASCII_SIGNS).get(state, "")
