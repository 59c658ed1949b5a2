"""Makes a session that runs as an account; pairingd.account describes accounts."""

from __future__ import annotations

import os
import pwd
import time
from typing import TYPE_CHECKING

from pairctl.accounts import facts
from pairctl.tmux import confined
from pairctl.tmux.birth import First
from pairingd import box
from pairingd.account import check
from pairingd.box import account as scripts
from pairingd.box import shares
from pairingd.box.place import Box, Shares
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line, shell
from pairingd.home.paths import find_paths

if TYPE_CHECKING:
    from pairingd.account.place import Account, Record

_END_TIMEOUT_S = 2.0  # for the processes of a session that has just ended
_POLL_INTERVAL_S = 0.05


def make(name: str) -> tuple[Box, First]:
    """Start a tmux server as the account. Return its place and the first program of its session.

    Raises PairingError: `bad-account-name`, `no-such-account`, `account-of-another`,
    `account-incomplete`, `account-in-use`, `account-unusable`.
    """
    account, record, user = _ready(name)
    place = Box(find_paths().boxes, f"{os.urandom(4).hex()}@{name}")
    directory = shares.here(record.shared) or user.pw_dir
    files = (
        (place.tmux, 0o700, scripts.client(place, account, box.glass()).encode()),
        (place.server, 0o700, scripts.server(place, account).encode()),
    )
    try:
        confined.make(place, files, Shares(directory, "full", 0, record.shared))
    except confined.NotStartedError as failed:
        raise PairingError(
            "account-unusable",
            f"tmux could not be started as {name}: {failed}",
            f"{shell('pairctl', 'account', 'show', name)} says what it lacks",
        ) from None
    return place, First(directory, _first_argv(name, record, user))


def _ready(name: str) -> tuple[Account, Record, pwd.struct_passwd]:
    account = facts.named(name)
    record = facts.recorded(account, facts.host())
    if lacks := next(check.missing(account, record), ""):
        raise PairingError(
            "account-incomplete",
            f"the account {name} is not whole: {one_line(lacks, 120)}",
            facts.again("create", name),
        )
    _require_quiet(account)
    return account, record, pwd.getpwnam(name)


def _require_quiet(account: Account) -> None:
    """Raise `account-in-use` if anything runs as that user. A process that an earlier guest left
    could act on the next guest's sshd, and the end of this session would end another session.
    """
    deadline = time.monotonic() + _END_TIMEOUT_S
    while [*facts.who_runs(account)] and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL_S)
    facts.require_free(account, facts.who_runs(account))


def _first_argv(name: str, record: Record, user: pwd.struct_passwd) -> tuple[str, ...]:
    """Print which user the session runs as, then start that user's shell."""
    script = 'printf "%s\\n\\n" "$1"; exec "$2" -l'
    writable = ", ".join(one_line(path, 200) for path in record.shared)
    lines = (
        f"pairing: this session runs as the user {name}, not as the host.",
        "Of the host's files it has those that all users of this machine may read,",
        f"and to write: {writable}" if writable else "and none to write.",
        f"What {name} runs ends with the session, when its last shell does.",
    )
    return "/bin/sh", "-c", script, "pairing", "\n".join(lines), user.pw_shell
