"""Whether tmux can draw in this terminal: terminfo(5)."""

from __future__ import annotations

from pairingd.core.refusal import PairingError

_COMMON = "xterm-256color"
_NOTHING = {"", "dumb", "unknown"}  # what programs set that have no terminal to speak of
_NEEDED = ("clear", "cup")  # without them tmux says "open terminal failed"


def usable(term: str) -> str:
    """The TERM to give tmux: `term`, or a common one where this machine has no description of it,
    as it happens with a new terminal over ssh. Raises PairingError `bad-terminal`.
    """
    if term not in _NOTHING:
        try:
            import curses
        except ImportError:  # a Python built without it: tmux says what is amiss
            return term
        try:
            curses.setupterm(term, fd=1)
        except curses.error:
            return _COMMON
        if all(curses.tigetstr(name) for name in _NEEDED):
            return term
    called = f"TERM={term}" if term else "TERM is not set"
    raise PairingError(
        "bad-terminal",
        f"tmux cannot draw in this terminal ({called})",
        f"attach from another one; or if it can do more: TERM={_COMMON} pairctl attach",
    )
