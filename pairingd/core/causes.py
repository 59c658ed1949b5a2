"""Texts for people: why a guest is out."""

from __future__ import annotations

from pairingd.core.model import Cause

WORDS = {
    Cause.EXPIRED: "the time is up",
    Cause.REVOKED: "the host removed them",
    Cause.ENDED: "the host ended the session",
    Cause.LEFT: "they left",
    Cause.TMUX_GONE: "the tmux session ended",
    Cause.DAEMON_STOPPED: "pairingd stopped",
    Cause.DENIED: "the host did not let them in",
    Cause.IDLE: "idle for too long",
    Cause.USED: "the one visit is over",
}
# Texts that earlier versions wrote instead of a cause.
_EARLIER_TEXTS = {
    "they left": Cause.LEFT,
    "they left the session but not the machine": Cause.LEFT,
    "the tmux session ended": Cause.TMUX_GONE,
    "pairingd stops": Cause.DAEMON_STOPPED,
    "pairingd had ended": Cause.DAEMON_STOPPED,
}


def read(text: str) -> Cause:
    """Parse the cause in a line of the history, which an earlier version may have written."""
    try:
        return Cause(text)
    except ValueError:
        return _EARLIER_TEXTS.get(text, Cause.ENDED)
