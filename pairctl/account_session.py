"""Making a session as an account: pairingd.account says what it is."""

from __future__ import annotations

import os
import pwd
import time
from typing import TYPE_CHECKING

from pairctl import confined
from pairctl.accounts import facts
from pairctl.birth import First
from pairingd import box
from pairingd.account import check
from pairingd.box import account as scripts
from pairingd.box import shares
from pairingd.box.place import Box, Shares
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line, shell
from pairingd.paths import find_paths

if TYPE_CHECKING:
    from pairingd.account.place import Account, Record

_ENDS_WITHIN_S = 2.0  # what is left of a session that has just ended
_LOOK_AGAIN_S = 0.05


def make(name: str) -> tuple[Box, First]:
    """A session's place with a tmux server of the account, and what its first session begins with.

    Raises PairingError: `bad-account-name`, `no-such-account`, `account-of-another`,
    `account-incomplete`, `account-in-use`, `account-unusable`.
    """
    account, record, user = _ready(name)
    made = Box(find_paths().boxes, f"{os.urandom(4).hex()}@{name}")
    directory = _directory(record, user.pw_dir)
    files = (
        (made.tmux, 0o700, scripts.client(made, account, box.glass()).encode()),
        (made.server, 0o700, scripts.server(made, account).encode()),
    )
    try:
        confined.make(made, files, Shares(directory, "full", 0))
    except confined.NotStartedError as failed:
        raise PairingError(
            "account-unusable",
            f"tmux could not be started as {name}: {failed}",
            f"{shell('pairctl', 'account', 'show', name)} says what it lacks",
        ) from None
    return made, First(directory, _first_words(name, record, user))


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
    """Nothing runs as that user: what an earlier guest has kept from ending could act on the sshd
    of the next one, and the end of this session would end another one of the account's.
    """
    until = time.monotonic() + _ENDS_WITHIN_S
    while [*facts.who_runs(account)] and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN_S)
    facts.require_free(account, facts.who_runs(account))


def _directory(record: Record, home: str) -> str:
    """Where the user is, if that is shared with the account; else its home."""
    here = os.path.realpath(".")
    return here if any(shares.holds(one, here) for one in record.shared) else home


def _first_words(name: str, record: Record, user: pwd.struct_passwd) -> tuple[str, ...]:
    """A shell, after a screen that says as whom it runs."""
    say = 'printf "%s\\n\\n" "$1"; exec "$2" -l'
    shown = ", ".join(one_line(one, 200) for one in record.shared)
    told = (
        f"pairing: this session runs as the user {name}, not as the host.",
        "Of the host's files it has those that all users of this machine may read,",
        f"and to write: {shown}" if shown else "and none to write.",
        f"What {name} runs ends with the session, when its last shell does.",
    )
    return "/bin/sh", "-c", say, "pairing", "\n".join(told), user.pw_shell
