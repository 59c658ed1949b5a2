"""The steps that complete an account, in order. The sudo rule, which opens it, comes last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pairctl.accounts import darwin, linux, shares
from pairctl.services.steps import Directory, Remove, Run, Write
from pairingd.account import check
from pairingd.account.place import as_json
from pairingd.account.programs import sudoers, sudoers_file
from pairingd.core.refusal import PairingError
from pairingd.core.text import quoted, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.accounts.facts import Facts
    from pairctl.services.steps import Step


def steps(facts: Facts) -> list[Step]:
    """Empty if the account is complete."""
    left = [*_recorded(facts), *_user(facts), *_programs(facts), *shares.shared(facts)]
    return [*left, *rule(facts)]


def rule(facts: Facts) -> Iterator[Step]:
    """Write the sudoers file, which visudo -c checks first: visudo(8)."""
    path, content = sudoers_file(facts.account), sudoers(facts.account, facts.record)
    if not check.is_file(check.File(path, content, 0o440)):
        yield Write(path, content, 0o440, check=("visudo", "-c", "-q", "-f"))


def proofs(facts: Facts) -> list[Run]:
    """Commands that prove the rule: the host runs them without a password, as pairingd will."""
    account, host = facts.account, facts.record.host
    sudo = ("sudo", "-n", "-u", host, "sudo", "-n")
    user = ("-u", account.name)
    return [
        Run((*sudo, "-l", *user, account.guest), note="only to see that the rule works"),
        Run((*sudo, *user, account.tmux, "-V"), note="only to see that the rule works"),
    ]


def closed(facts: Facts) -> list[Step]:
    """Remove only the rule."""
    return [Remove(sudoers_file(facts.account))]


def _recorded(facts: Facts) -> Iterator[Step]:
    account = facts.account
    for path in (account.root, account.path):
        directory = check.Directory(path, 0o755, facts.root)
        if not check.is_directory(directory):
            yield Directory(*directory)
    content = as_json(facts.record)
    if not check.is_file(check.File(account.record_file, content, 0o644)):
        yield Write(account.record_file, content)


def _user(facts: Facts) -> Iterator[Step]:
    system = darwin if facts.system == "darwin" else linux
    yield from system.made(facts)
    home = check.Directory(facts.home, 0o700, f"{facts.name}:{facts.name}")
    if not check.is_directory(home):
        _require_own_home(facts)
        yield Directory(*home)


def _require_own_home(facts: Facts) -> None:
    """Raise PairingError `account-taken` if somebody has given the user another home directory."""
    name, own = facts.name, facts.account.home
    if facts.home != own:
        raise PairingError(
            "account-taken",
            f"the home directory of {name} is now {quoted(facts.home)}, which pairctl has not made",
            "put it back, then repeat the command: "
            + shell("sudo", "usermod", "--home", own, name),
        )


def _programs(facts: Facts) -> Iterator[Step]:
    account, record = facts.account, facts.record
    for directory in check.directories(account, record, facts.root):
        if not check.is_directory(directory):
            yield Directory(*directory)
    for file in check.files(account, record):
        if not check.is_file(file):
            yield Write(*file)
    if not check.has_host_key(account):
        yield from _host_key(facts)


def _host_key(facts: Facts) -> Iterator[Step]:
    """Keeps a complete key: guests have pinned it."""
    account = facts.account
    private, public = account.host_key, account.host_key_pub
    whole = all(os.path.lexists(path) and os.lstat(path).st_size for path in (private, public))
    if not whole:
        yield from (Remove(path) for path in (private, public) if os.path.lexists(path))
        comment = f"pairing {account.name}"
        generate = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", private)
        yield Run(generate)
    yield Run(("chown", f"root:{account.name}", private))
    yield Run(("chmod", "640", private))
    yield Run(("chmod", "644", public))
