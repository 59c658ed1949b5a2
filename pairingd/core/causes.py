"""Why a guest is out, in words for people."""

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
# What versions before wrote instead of a cause.
_FORMER = {
    "they left": Cause.LEFT,
    "they left the session but not the machine": Cause.LEFT,
    "the tmux session ended": Cause.TMUX_GONE,
    "pairingd stops": Cause.DAEMON_STOPPED,
    "pairingd had ended": Cause.DAEMON_STOPPED,
}


def read(why: str) -> Cause:
    """Of a line of the history, which may be an old one."""
    try:
        return Cause(why)
    except ValueError:
        return _FORMER.get(why, Cause.ENDED)
