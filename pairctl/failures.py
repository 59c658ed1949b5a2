"""What the client itself refuses, and the exit code of every failure.

PairingError    the daemon refused, or something failed   exit 1
├── Unwritable  stdout does not take the result           exit 1
├── Usage       the arguments make no sense               exit 2
├── Interrupted the user stopped it                       exit 130
├── NoDaemon    none could be reached or started          exit 3
│   └── NotRunning  none runs                             exit 3
├── Silent      a daemon runs and does not answer         exit 3
└── Stranger    the socket may be another user's          exit 3
"""

from __future__ import annotations

from pairingd.core.refusal import PairingError

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class Unwritable(PairingError):
    """Stdout does not take the result, and would not take an error either."""


class Usage(PairingError):
    """The arguments make no sense; nothing was sent to the daemon."""


class Interrupted(PairingError):
    """The user stopped the command. The message says what holds now."""


class NoDaemon(PairingError):
    """No daemon could be reached or started."""


class NotRunning(NoDaemon):
    """None runs, as far as the lock shows."""


class Silent(PairingError):
    """A daemon runs and does not answer: starting another would not help."""


class Stranger(PairingError):
    """Another user's process may be at the socket: nothing is sent, and nothing started."""


def exit_code(failure: PairingError) -> int:
    if isinstance(failure, Usage):
        return 2
    if isinstance(failure, Interrupted):
        return INTERRUPTED
    return 3 if isinstance(failure, NoDaemon | Silent | Stranger) else 1
