"""Whether the account for guests, of `pairctl account`, can be used."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pairingd.account import check as check_account
from pairingd.account.place import Account, Record, accounts
from pairingd.account.programs import sudoers_file
from pairingd.core.text import for_terminal
from pairingd.doctor.command import output
from pairingd.doctor.finding import Finding, Subject
from pairingd.errors import Misconfigured
from pairingd.machine.user import user_name


async def check(subject: Subject) -> AsyncIterator[Finding]:
    """Examines only the accounts of this host, and whether the configured one is among them."""
    try:
        us = user_name()
    except Misconfigured:
        return  # the check `user` reports it
    own = [
        (account, record)
        for account in accounts()
        if (record := account.record) and record.host == us
    ]
    for account, record in own:
        yield await _judged(account, record)
    configured = subject.settings.config.guests.account
    if configured and configured not in {account.name for account, _ in own}:
        missing = f"[guests] account is {configured}, and no account of yours is called so"
        yield Finding.warn("account", missing, check_account.remedy(Account(configured)))
    elif not own:
        yield Finding.ok("account", "none; pairctl account --help shows how to make one")


async def _judged(account: Account, record: Record) -> Finding:
    create = check_account.remedy(account)
    if missing := list(check_account.missing(account, record)):
        parts = for_terminal(", ".join(missing[:3]))
        return Finding.warn("account", f"{account.name} is half done: {parts}", create)
    for program in (account.guest, account.tmux):
        answer = await output("sudo", "-n", "-l", "-u", account.name, program)
        if answer is None or answer[0]:
            reason = f"sudo does not run {program} as {account.name} by the rule "
            return Finding.warn("account", reason + sudoers_file(account), create)
    return Finding.ok("account", f"{account.name}, for guests of yours")
