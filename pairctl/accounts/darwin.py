"""macOS: dscl(1), createhomedir(8), dseditgroup(8). Never run; other projects do the same."""

# ruff: noqa: PTH112

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from pairctl.accounts import left
from pairctl.services.steps import ANY, RANDOM, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.accounts.facts import Facts
    from pairctl.services.steps import Step

REAL_NAME = "pairing guests"
_COMMON = ("/private/tmp", "/private/var/tmp")
_JOBS = ("/usr/lib/cron/tabs", "/usr/lib/cron/jobs")


def made(facts: Facts) -> Iterator[Step]:
    """A hidden user in no group but their own. Runs all steps again if the home directory, the last
    step, is missing: creating what exists changes nothing.
    """
    name, number = facts.name, str(facts.new_id)
    if not (facts.exists and os.path.isdir(facts.home)):
        user, group = f"/Users/{name}", f"/Groups/{name}"
        if facts.exists:
            number = str(pwd.getpwnam(name).pw_uid)
        yield _dscl("-create", group)
        yield _dscl("-create", group, "PrimaryGroupID", number)
        yield _dscl("-create", group, "RealName", REAL_NAME)
        yield _dscl("-create", user)
        yield _dscl("-create", user, "IsHidden", "1")
        yield _dscl("-create", user, "RealName", REAL_NAME)
        yield _dscl("-create", user, "NFSHomeDirectory", facts.home)
        yield _dscl("-create", user, "UserShell", facts.shell)
        yield _dscl("-create", user, "PrimaryGroupID", number)
        yield _dscl("-create", user, "UniqueID", number)
        # Without any password anybody could log in at the screen, as other tools' mkuser(8) warns.
        yield Run(
            ("dscl", ".", "-passwd", user, RANDOM),
            note=f"{RANDOM} is 32 random bytes, which are shown and kept nowhere",
        )
        leave = ("dseditgroup", "-o", "edit", "-d", name, "-t", "user", "staff")
        yield Run(leave, soft=ANY)
        yield Run(("createhomedir", "-c", "-u", name))


def stopped(facts: Facts) -> Iterator[Step]:
    """Removes what could start a program as that user later."""
    if facts.exists:
        uid = pwd.getpwnam(facts.name).pw_uid
        yield Run(("launchctl", "bootout", f"user/{uid}"), soft=ANY)
    yield from left.owned(facts.name, _JOBS)


def gone(facts: Facts) -> Iterator[Step]:
    """Removes the user, and the home directory that `made` has made. None of their processes runs
    any more.
    """
    name, home = facts.name, facts.account.home
    if facts.exists:
        yield from left.owned(name, _COMMON)
        yield _dscl("-delete", f"/Users/{name}")
        yield Run(("dscl", ".", "-delete", f"/Groups/{name}"), soft=ANY)
    if facts.exists or os.path.lexists(home):
        yield Run(("rm", "-rf", home))


def _dscl(*arguments: str) -> Run:
    return Run(("dscl", ".", *arguments))
