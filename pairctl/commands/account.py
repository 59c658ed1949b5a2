"""`pairctl account`."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import TYPE_CHECKING, Any

from pairctl.accounts import create, facts, remove, shares
from pairctl.commands.install import show as show_steps
from pairctl.failures import Usage
from pairctl.services import steps
from pairctl.text import output
from pairingd.account import check
from pairingd.account.programs import sudoers_file
from pairingd.box.shares import resolved
from pairingd.core.refusal import PairingError
from pairingd.core.text import quoted, shell

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.accounts.facts import Facts
    from pairctl.services.steps import Step
    from pairctl.text.output import View
    from pairingd.account.place import Account

_SUDO_TIMEOUT_S = 10.0


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
    observed = facts.observe(account, host)
    if account.name == host:
        raise PairingError(
            "account-taken",
            f"{account.name} is your own user",
            f"choose another name: {facts.again('create', 'pair')}",
        )
    facts.require_own(observed, host)
    before = observed.record
    for directory in args.directories:
        shares.require(directory, host, account.root, (*before.shared, *args.directories))
    shared = tuple(dict.fromkeys((*before.shared, *args.directories)))
    defaults = (*before.defaults, *shares.own_defaults(observed, shared))
    record = facts.programs(host)._replace(shared=shared, defaults=tuple(dict.fromkeys(defaults)))
    observed = observed._replace(record=record)
    plan = create.steps(observed)
    if args.dry_run:
        _show_steps([*plan, *create.proofs(observed)], args)
        return
    if any(True for _ in shares.shared(observed)):
        # A process that a guest has left could move files while setfacl runs.
        facts.require_free(account, facts.who_runs(account))
    again = facts.again("create", account.name, args.directories)
    _perform(plan, again)
    try:
        steps.perform(create.proofs(observed), "")
    except PairingError as failed:
        steps.perform(create.closed(observed), "")
        raise PairingError(
            "rule-ignored",
            f"sudo does not honour the rule, which was removed again: {failed.message}",
            "see that /etc/sudoers includes /etc/sudoers.d in its last line, and that "
            f"{account.root} is not mounted noexec, then: {again}",
        ) from None
    result = {**_summary(observed), "changed": bool(plan)}
    output.result(result, _made, as_json=args.json)


def _remove(account: Account, args: Namespace) -> None:
    observed = facts.observe(account, facts.host())
    # What does not exist belongs to nobody. Root itself may remove any host's account.
    of_root = bool(observed.recorded) and os.geteuid() == 0 and not os.environ.get("SUDO_USER")
    if not of_root and (observed.recorded or observed.exists):
        facts.require_own(observed, facts.host())
    plan = _taken_back(observed, args.directories) if args.directories else remove.steps(observed)
    if args.dry_run:
        _show_steps(plan, args)
        return
    # The steps for a whole account end all of its processes. While those for a directory run, one
    # that a guest has left could move another user's file to where the owner is about to change.
    using = facts.who_runs if args.directories else facts.who_uses
    facts.require_free(account, using(account))
    _perform(plan, facts.again("remove", account.name, args.directories))
    for kept in (step for step in plan if isinstance(step, steps.Keep)):
        output.problem(
            "warning",
            f"{kept.path}: {kept.why}",
            "if it was moved, they went with it: remove them there, as in docs/account.md",
        )
    record = account.record if args.directories else None
    result = {
        "name": account.name,
        "removed": bool(plan) and not args.directories,
        "shared": list(record.shared) if record else [],
    }
    output.result(result, _still_shared if args.directories else _gone, as_json=args.json)


def _taken_back(observed: Facts, directories: list[str]) -> list[Step]:
    plan: list[Step] = []
    for directory in directories:
        if directory not in observed.record.shared:
            raise PairingError(
                "not-shared",
                f"{quoted(directory)} is not shared with {observed.name}",
                f"shared are: {', '.join(map(quoted, observed.record.shared)) or 'none'}",
            )
        plan += remove.unshare(observed, directory)
        observed = observed._replace(record=remove.without(observed.record, directory))
    return plan


def _show(account: Account, args: Namespace) -> int:
    if args.directories or args.dry_run:
        raise Usage("usage", "show changes nothing", shell("pairctl", "account", "show", args.name))
    host = facts.host()
    observed = facts.observe(account, host)
    if not observed.recorded:
        raise facts.no_such(account)
    summary = _summary(observed)
    output.result(summary, _shown, as_json=args.json)
    return 0 if summary["complete"] else 1


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


def _summary(observed: Facts) -> dict[str, Any]:
    account = observed.account
    record = account.record or observed.record
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
        "home": observed.home,
        "programs": [account.guest, account.tmux],
        "runs": {"python": record.python, "sshd": record.sshd, "tmux": record.tmux},
        "rule": sudoers_file(account),
        "shared": list(record.shared),
        "complete": not missing,
        "missing": missing,
    }


def _rule_works(account: Account, host: str) -> bool | None:
    """None if neither the host nor root runs this."""
    if os.geteuid() != 0 and pwd.getpwuid(os.getuid()).pw_name != host:
        return None
    as_host = ("-U", host) if os.geteuid() == 0 else ()
    query = ("sudo", "-n", "-l", *as_host, "-u", account.name)
    try:
        statuses = [
            subprocess.run(
                [*query, program],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SUDO_TIMEOUT_S,
            ).returncode
            for program in (account.guest, account.tmux)
        ]
    except (OSError, subprocess.TimeoutExpired):
        return False
    return statuses == [0, 0]


def _shown(summary: dict[str, Any], _: View) -> str:
    uid = "" if summary["uid"] is None else f" (uid {summary['uid']})"
    programs = "\n          ".join(summary["programs"])
    lines = [
        f"Account   {summary['name']}{uid}, of {summary['host']}",
        f"Home      {summary['home']}",
        f"Programs  {programs}",
        f"Runs      {', '.join(filter(None, summary['runs'].values()))}",
        f"Rule      {summary['rule']}",
        *(f"Shared    {directory}" for directory in summary["shared"]),
    ]
    if summary["missing"]:
        lines += [f"Missing   {part}" for part in summary["missing"]]
        lines.append(f"half done: {facts.again('create', summary['name'])}")
    return "\n".join(lines)


def _made(summary: dict[str, Any], view: View) -> str:
    done = "is complete" if summary["changed"] else "was complete, and nothing was changed"
    invite = shell("pairctl", "invite", "GUEST", "--account", summary["name"])
    return f"{_shown(summary, view)}\n\nthe account {summary['name']} {done}; to use it: {invite}"


def _still_shared(result: dict[str, Any], _: View) -> str:
    still = "".join(f"\n  {directory}" for directory in result["shared"])
    return f"shared with {result['name']}:{still or ' nothing'}"


def _gone(result: dict[str, Any], _: View) -> str:
    if not result["removed"]:
        return f"there is no account {result['name']}; nothing was removed"
    return f"the account {result['name']} was removed, with its home directory"
