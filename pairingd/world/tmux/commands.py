"""tmux commands that keep guests in the shared session and in their role, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pairingd.core import shared_session
from pairingd.core.confine import Detach, LeadBack, Steering, Unlock, Weigh
from pairingd.core.news import GUESTS

_OWN_INDEX = 22022  # of array options; nobody else uses it
_MAX_HOOKS = 64  # tmux 3.3a has seven on clients; a server that a guest owns lists any number
_OPTIONS = (
    ("detach-on-destroy", "on"),  # its end does not move guests to another session of the host's
    ("lock-after-time", "0"),  # tmux runs a lock command in each client, where a guest would type
    ("lock-command", ""),
    ("destroy-unattached", "off"),
)


def confine(
    session: str, mark: str, client_hooks: Iterable[str], guests: Iterable[str]
) -> list[str]:
    """Set what keeps guests in the session, and keep the host's hooks and lock off them.

    For this session only, against what tmux.conf sets for all. A hook on clients may move a guest
    who attaches or resizes, and what a hook does is neither hooked nor notified (tmux's notify.c,
    NOHOOKS), so the session has empty ones of its own.

    The hook for all sessions leads back a guest who switches to another one, before it is drawn. It
    knows guests by `ignore-size` (join.sh), or by name: `guests` are the names of their clients.
    It is only a first measure, since a tmux.conf may replace it: see Observer.
    """
    target = f"{session}:"
    named = f"#{{m:* #{{client_name}} *,#{{{GUESTS}}}}}"
    guest = f"#{{||:#{{m:*ignore-size*,#{{client_flags}}}},{named}}}"
    elsewhere = f"#{{!=:#{{session_id}},{session}}}"
    back = f"switch-client -E -t {target}"
    turned = f"if-shell -F '#{{&&:{guest},{elsewhere}}}' '{back}'"
    again = [f"set-option -t {target} {name} '{value}'" for name, value in _OPTIONS]
    again.append("set-option -s exit-unattached off")
    commands = (
        *(("set-option", "-t", target, *option) for option in _OPTIONS),
        ("set-option", "-t", target, shared_session.MARK, mark),
        ("set-option", "-s", "exit-unattached", "off"),
        # A tmux.conf that is sourced from within the session may set them for it alone.
        ("set-hook", "-g", f"after-set-option[{_OWN_INDEX}]", " ; ".join(again)),
        *(("set-hook", "-t", target, hook, "") for hook in client_hooks),
        ("set-option", "-s", GUESTS, f" {' '.join(guests)} "),
        ("set-hook", "-g", f"client-session-changed[{_OWN_INDEX}]", turned),
    )
    # tmux(1), COMMAND PARSING AND EXECUTION: a `;` of its own ends each but the last.
    return [word for command in commands for word in (*command, ";")][:-1]


def client_hooks(output: str) -> frozenset[str]:
    """The hooks on clients that `show-hooks` has printed."""
    hooks = dict.fromkeys(re.findall(r"^client-[a-z-]+", output, re.MULTILINE))
    return frozenset([*hooks][:_MAX_HOOKS])


def steer(action: Steering, session: str) -> tuple[str, ...]:
    """The command that corrects one client."""
    target = f"{session}:"
    match action:
        case LeadBack(client):
            return ("switch-client", "-E", "-c", client, "-t", target)
        case Unlock(client):
            # It is a toggle, and takes ignore-size with it. Without -t tmux moves the client
            # to the session that was used last (measured, tmux 3.3a and 3.7).
            return ("switch-client", "-E", "-r", "-c", client, "-t", target)
        case Weigh(client, counts):
            flag = "!ignore-size" if counts else "ignore-size"
            # Only another command has tmux size the windows anew, such as one that sets an option.
            again = ("set-option", "-t", target, *_OPTIONS[0])
            return ("refresh-client", "-t", client, "-f", flag, ";", *again)
        case Detach(client):
            # Without -P: its hang-up races with the restoring, and mostly wins (measured, 3.3a).
            return ("detach-client", "-t", client)
