"""The steps that remove an account, in order: first the rule, which closes it; last the record."""

# ruff: noqa: PTH112, PTH118, PTH208

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pairctl.accounts import darwin, linux, shares
from pairctl.accounts.actions import Kill
from pairctl.services.steps import Remove, Rmdir, Run, Write
from pairingd.account.place import as_json
from pairingd.account.programs import sudoers_file
from pairingd.box.shares import holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.accounts.facts import Facts
    from pairctl.services.steps import Step
    from pairingd.account.place import Record


def steps(facts: Facts) -> list[Step]:
    """The steps for all that exists of it; empty if nothing does."""
    plan = list(_rule(facts))
    if facts.recorded:
        system = darwin if facts.system == "darwin" else linux
        if facts.exists:
            plan += [*system.stopped(facts), Kill(facts.name)]
        for directory in facts.recorded.shared:
            plan += shares.unshared(directory, facts, ())
        plan += system.gone(facts)
    return [*plan, *_files(facts)]


def unshare(facts: Facts, directory: str) -> list[Step]:
    """Unshare one directory; the account stays. The record lists it until the end."""
    record = without(facts.record, directory)
    back = shares.unshared(directory, facts, record.shared)
    return [*back, Write(facts.account.record_file, as_json(record))]


def without(record: Record, directory: str) -> Record:
    """The record once `directory` is no longer shared."""
    return record._replace(
        shared=tuple(other for other in record.shared if other != directory),
        defaults=tuple(place for place in record.defaults if not holds(directory, place)),
    )


def _rule(facts: Facts) -> Iterator[Step]:
    path = sudoers_file(facts.account)
    partial = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.partial")  # noqa: PTH119, PTH120
    # It may exist if its directory cannot be read, as without root.
    if os.path.lexists(path) or (facts.recorded and not os.access(os.path.dirname(path), os.R_OK)):  # noqa: PTH120
        yield Remove(path)
    if os.path.lexists(partial):
        yield Remove(partial)


def _files(facts: Facts) -> Iterator[Step]:
    """Remove the record last, so that the removal of a half removed account can be repeated."""
    account = facts.account
    record = account.record_file
    others: list[str] = []
    if os.path.isdir(account.path):
        names = sorted(os.listdir(account.path))
        others = [path for name in names if (path := os.path.join(account.path, name)) != record]
    if others:
        yield Run(("rm", "-rf", *others))
    if os.path.lexists(record):
        yield Remove(record)
    if os.path.isdir(account.path):
        yield Rmdir(account.path)
    if os.path.isdir(account.root) and set(os.listdir(account.root)) <= {account.name}:
        yield Rmdir(account.root)
