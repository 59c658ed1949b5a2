"""Whether tmux can draw in this terminal: terminfo(5)."""

from __future__ import annotations

from pairingd.core.refusal import PairingError

_COMMON = "xterm-256color"
_NO_TERMINAL = {"", "dumb", "unknown"}  # set by programs without a real terminal
_CAPABILITIES = ("clear", "cup")  # without them tmux prints "open terminal failed"


def usable(term: str) -> str:
    """The TERM for tmux: `term`, or a common one if this machine has no description of it, as with
    a new terminal over ssh. Raises PairingError `bad-terminal`.
    """
    if term not in _NO_TERMINAL:
        try:
            import curses
        except ImportError:  # a Python built without it: tmux reports the error
            return term
        try:
            curses.setupterm(term, fd=1)
        except curses.error:
            return _COMMON
        if all(curses.tigetstr(name) for name in _CAPABILITIES):
            return term
    called = f"TERM={term}" if term else "TERM is not set"
    raise PairingError(
        "bad-terminal",
        f"tmux cannot draw in this terminal ({called})",
        f"attach from another one; or if it can do more: TERM={_COMMON} pairctl attach",
    )
