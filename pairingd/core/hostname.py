"""A name for this network that the user has registered (dynamic DNS): what it is worth, and when
to look again.

A command with the name stays true when the address changes; but only while the name leads to the
address that the router has. So it is printed only where it does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from pairingd.core.addresses import is_dialable
from pairingd.core.model import HostPort, Problem
from pairingd.core.records import replace
from pairingd.core.ways import Endpoint

KINDS = ("direct", "router", "cgnat")  # of endpoints that have this network's address
LOOK_EVERY_S = 300.0  # while the name leads here
LOOK_AGAIN_S = 15.0  # while it does not
LONGEST_LOOK_S = 240.0
UPDATE_AGAIN_S = 60.0  # after a failure, doubled with each
LONGEST_UPDATE_S = 3600.0
PATIENCE_S = 180.0  # in which a name may lead elsewhere before guests get the address


class Name(Struct, frozen=True):
    """What was seen of the name: `addresses` it leads to, none where it cannot be resolved.

    `here` is this network's address then, `since` when the name was first seen not to lead here,
    `looks` how often in a row. `updated` is the address that was handed to the update command at
    `updated_at`, which has failed `failures` times in a row; `failure` says how.
    """

    hostname: str
    addresses: frozenset[str] = frozenset()
    here: str = ""
    since: float | None = None
    looks: int = 0
    updated: str = ""
    updated_at: float = 0.0
    failures: int = 0
    failure: str = ""

    @property
    def leads_here(self) -> bool:
        return self.here in self.addresses

    def resolved(self, here: str, addresses: Collection[str], now: float) -> Name:
        seen = replace(self, here=here, addresses=frozenset(addresses))
        if seen.leads_here:
            return replace(seen, since=None, looks=0)
        again = here == self.here and self.since is not None
        return replace(
            seen, since=self.since if again else now, looks=self.looks + 1 if again else 1
        )

    def needs_update(self, now: float) -> bool:
        """Once for each address; again if the command failed."""
        if not self.here or self.leads_here:
            return False
        if self.updated != self.here:
            return True
        rest = min(UPDATE_AGAIN_S * 2.0 ** min(self.failures - 1, 16), LONGEST_UPDATE_S)
        return self.failures > 0 and not 0 <= now - self.updated_at < rest

    def after_update(self, failure: str, now: float) -> Name:
        count = self.failures + 1 if failure and self.updated == self.here else bool(failure)
        return replace(
            self, updated=self.here, updated_at=now, failures=int(count), failure=failure
        )

    def next_look(self, now: float) -> float:
        if self.leads_here:
            return now + LOOK_EVERY_S
        return now + min(LOOK_AGAIN_S * 2.0 ** min(max(self.looks - 3, 0), 8), LONGEST_LOOK_S)

    def is_stale(self, now: float) -> bool:
        """Whether the name has led elsewhere for so long that guests need the address."""
        return self.since is not None and not 0 <= now - self.since < PATIENCE_S

    def problem(self) -> Problem | None:
        if not self.here or self.leads_here:
            return None
        if self.failure and self.updated == self.here:
            return Problem(
                "hostname-update-failed",
                f"the [router] update command failed: {self.failure}",
                f"run it by hand; {self.hostname} must lead to {self.here}",
            )
        where = ", ".join(sorted(self.addresses)) or "no address"
        return Problem(
            "hostname-stale",
            f"{self.hostname} leads to {where}, and this network has {self.here}",
            "correct it at your DNS provider, or set [router] update to a command that does",
        )


def named(endpoints: Iterable[Endpoint], name: Name | None) -> Iterator[Endpoint]:
    """The same, each with the name before the one with the address that the name leads to."""
    for one in endpoints:
        if name and name.leads_here and one.host == name.here and one.kind in KINDS:
            yield replace(one, host=name.hostname)
        yield one


def address(candidates: Iterable[str]) -> str:
    """This network's, of what was seen of it; "" if none is known that a name could lead to."""
    return next((one for one in candidates if is_dialable(one)), "")


def held_by_name(announced: HostPort | None, hostname: str, way: HostPort) -> HostPort:
    """`way` as guests hold it who were given the name."""
    by_name = hostname and announced and announced.host == hostname
    return replace(way, host=hostname) if by_name else way
