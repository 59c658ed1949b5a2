"""`pairctl account`."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import TYPE_CHECKING, Any

from pairctl import output
from pairctl.accounts import create, facts, remove, shares
from pairctl.commands.install import show as show_steps
from pairctl.failures import Usage
from pairctl.services import steps
from pairingd.account import check
from pairingd.account.programs import sudoers_file
from pairingd.box.shares import resolved
from pairingd.core.refusal import PairingError
from pairingd.core.text import quoted, shell

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.accounts.facts import Facts
    from pairctl.output import View
    from pairctl.services.steps import Step
    from pairingd.account.place import Account

_SECONDS = 10.0


def run(args: Namespace) -> int:
    account = facts.named(args.name)
    args.directories = [resolved(directory) for directory in args.directories]
    if args.action == "show":
        return _show(account, args)
    if os.geteuid() != 0 and not args.dry_run:
        raise PairingError(
            "needs-root",
            f"only root can {args.action} an account",
            facts.again(args.action, account.name, args.directories),
        )
    (_create if args.action == "create" else _remove)(account, args)
    return 0


def _create(account: Account, args: Namespace) -> None:
    host = facts.host()
    found = facts.observe(account, host)
    if account.name == host:
        raise PairingError(
            "account-taken",
            f"{account.name} is your own user",
            f"choose another name: {facts.again('create', 'pair')}",
        )
    facts.require_own(found, host)
    before = found.recorded.shared if found.recorded else ()
    for directory in args.directories:
        shares.require(directory, host, account.root, (*before, *args.directories))
    shared = tuple(dict.fromkeys((*before, *args.directories)))
    found = found._replace(record=facts.programs(host)._replace(shared=shared))
    plan = create.steps(found)
    if args.dry_run:
        _show_steps([*plan, *create.proofs(found)], args)
        return
    if any(True for _ in shares.shared(found)):
        # What a guest has left could move things under the hands of setfacl.
        facts.require_free(account, facts.who_runs(account))
    again = facts.again("create", account.name, args.directories)
    _perform(plan, again)
    try:
        steps.perform(create.proofs(found), "")
    except PairingError as failed:
        steps.perform(create.closed(found), "")
        raise PairingError(
            "rule-ignored",
            f"sudo does not honour the rule, which was removed again: {failed.message}",
            "see that /etc/sudoers includes /etc/sudoers.d in its last line, then: " + again,
        ) from None
    told = {**_told(found), "changed": bool(plan)}
    output.result(told, _made, as_json=args.json)


def _remove(account: Account, args: Namespace) -> None:
    found = facts.observe(account, facts.host())
    # Where nothing is there, there is nobody's to be taken; and root itself may remove everybody's.
    of_root = bool(found.recorded) and os.geteuid() == 0 and not os.environ.get("SUDO_USER")
    if not of_root and (found.recorded or found.exists):
        facts.require_own(found, facts.host())
    plan = _taken_back(found, args.directories) if args.directories else remove.steps(found)
    if args.dry_run:
        _show_steps(plan, args)
        return
    facts.require_free(account, facts.who_uses(account))
    _perform(plan, facts.again("remove", account.name, args.directories))
    told = {"name": account.name, "removed": bool(plan) and not args.directories}
    told["shared"] = [] if not args.directories else _shared_still(account)
    output.result(told, _gone, as_json=args.json)


def _taken_back(found: Facts, directories: list[str]) -> list[Step]:
    plan: list[Step] = []
    for directory in directories:
        if directory not in found.record.shared:
            raise PairingError(
                "not-shared",
                f"{quoted(directory)} is not shared with {found.name}",
                f"shared are: {', '.join(map(quoted, found.record.shared)) or 'none'}",
            )
        plan += remove.unshare(found, directory)
        left = tuple(one for one in found.record.shared if one != directory)
        found = found._replace(record=found.record._replace(shared=left))
    return plan


def _show(account: Account, args: Namespace) -> int:
    if args.directories or args.dry_run:
        raise Usage("usage", "show changes nothing", shell("pairctl", "account", "show", args.name))
    host = facts.host()
    found = facts.observe(account, host)
    if not found.recorded:
        raise facts.no_such(account)
    told = _told(found)
    output.result(told, _shown, as_json=args.json)
    return 0 if told["complete"] else 1


def _show_steps(plan: list[Step], args: Namespace) -> None:
    if plan or args.json:
        show_steps(plan, as_json=args.json)
    else:
        output.write("nothing is left to do")


def _perform(plan: list[Step], again: str) -> None:
    try:
        steps.perform(plan, again)
    except PairingError as failed:
        raise PairingError(
            "account-failed", failed.message, f"correct that, then go on with: {again}"
        ) from None


def _told(found: Facts) -> dict[str, Any]:
    account = found.account
    record = account.record or found.record
    missing = list(check.missing(account, record))
    if _rule_works(account, record.host) is False:
        missing.append(f"the rule {sudoers_file(account)}")
    try:
        uid = pwd.getpwnam(account.name).pw_uid
    except KeyError:
        uid = None
    return {
        "name": account.name,
        "host": record.host,
        "uid": uid,
        "home": found.home,
        "programs": [account.guest, account.tmux],
        "runs": {"python": record.python, "sshd": record.sshd, "tmux": record.tmux},
        "rule": sudoers_file(account),
        "shared": list(record.shared),
        "complete": not missing,
        "missing": missing,
    }


def _rule_works(account: Account, host: str) -> bool | None:
    """None where neither the host nor root asks."""
    if os.geteuid() != 0 and pwd.getpwuid(os.getuid()).pw_name != host:
        return None
    whose = ("-U", host) if os.geteuid() == 0 else ()
    ask = ("sudo", "-n", "-l", *whose, "-u", account.name)
    try:
        asked = [
            subprocess.run(
                [*ask, program],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            ).returncode
            for program in (account.guest, account.tmux)
        ]
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked == [0, 0]


def _shared_still(account: Account) -> list[str]:
    record = account.record
    return list(record.shared) if record else []


def _shown(told: dict[str, Any], _: View) -> str:
    uid = "" if told["uid"] is None else f" (uid {told['uid']})"
    programs = "\n          ".join(told["programs"])
    lines = [
        f"Account   {told['name']}{uid}, of {told['host']}",
        f"Home      {told['home']}",
        f"Programs  {programs}",
        f"Runs      {', '.join(filter(None, told['runs'].values()))}",
        f"Rule      {told['rule']}",
        *(f"Shared    {directory}" for directory in told["shared"]),
    ]
    if told["missing"]:
        lines += [f"Missing   {one}" for one in told["missing"]]
        lines.append(f"half done: {facts.again('create', told['name'])}")
    return "\n".join(lines)


def _made(told: dict[str, Any], view: View) -> str:
    done = "is complete" if told["changed"] else "was complete, and nothing was changed"
    invite = shell("pairctl", "invite", "GUEST", "--account", told["name"])
    return f"{_shown(told, view)}\n\nthe account {told['name']} {done}; to use it: {invite}"


def _gone(told: dict[str, Any], _: View) -> str:
    if told["shared"] or not told["removed"]:
        still = "".join(f"\n  {directory}" for directory in told["shared"])
        return f"shared with {told['name']}:{still or ' nothing'}"
    return f"the account {told['name']} was removed, with its home directory"
