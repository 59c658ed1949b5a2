"""The user's name for this network (dynamic DNS): whether it leads here, and when to look again.

A command with the name stays valid when the address changes, but only while the name leads to the
router's address. So commands have the name only then.
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
MAX_SHOWN = 4  # of the addresses that a name leads to
PATIENCE_S = 180.0  # for which a name may lead elsewhere before guests get the address


class Name(Struct, frozen=True):
    """The last look at the name: the `addresses` it resolves to, none if it does not resolve.

    `public_address` is this network's address then, `since` when the name first led elsewhere,
    `looks` how often in a row it did. The update command got the address `updated` at `updated_at`
    and has failed `failures` times in a row; `failure` is the last error.
    """

    hostname: str
    addresses: frozenset[str] = frozenset()
    public_address: str = ""
    since: float | None = None
    looks: int = 0
    updated: str = ""
    updated_at: float = 0.0
    failures: int = 0
    failure: str = ""

    @property
    def leads_here(self) -> bool:
        return self.public_address in self.addresses

    def resolved(self, public_address: str, addresses: Collection[str], now: float) -> Name:
        seen = replace(self, public_address=public_address, addresses=frozenset(addresses))
        if seen.leads_here:
            return replace(seen, since=None, looks=0)
        again = public_address == self.public_address and self.since is not None
        return replace(
            seen, since=self.since if again else now, looks=self.looks + 1 if again else 1
        )

    def needs_update(self, now: float) -> bool:
        """True once for each address, and again after a failed command."""
        if not self.public_address or self.leads_here:
            return False
        if self.updated != self.public_address:
            return True
        rest = min(UPDATE_AGAIN_S * 2.0 ** min(self.failures - 1, 16), LONGEST_UPDATE_S)
        return self.failures > 0 and not 0 <= now - self.updated_at < rest

    def after_update(self, failure: str, now: float) -> Name:
        before = self.failures if self.updated == self.public_address else 0
        count = before + 1 if failure else 0
        return replace(
            self, updated=self.public_address, updated_at=now, failures=count, failure=failure
        )

    def next_look(self, now: float) -> float:
        if self.leads_here:
            return now + LOOK_EVERY_S
        return now + min(LOOK_AGAIN_S * 2.0 ** min(max(self.looks - 3, 0), 8), LONGEST_LOOK_S)

    def is_stale(self, now: float) -> bool:
        """Whether the name has led elsewhere for PATIENCE_S, so that guests need the address."""
        return self.since is not None and not 0 <= now - self.since < PATIENCE_S

    def problem(self) -> Problem | None:
        if not self.public_address or self.leads_here:
            return None
        if self.failure and self.updated == self.public_address:
            return Problem(
                "hostname-update-failed",
                f"the [router] update command failed: {self.failure}",
                f"run it by hand; {self.hostname} must lead to {self.public_address}",
            )
        shown = sorted(self.addresses)[:MAX_SHOWN]
        where = ", ".join(shown) or "no address"
        if more := len(self.addresses) - len(shown):
            where += f" and {more} more"
        return Problem(
            "hostname-stale",
            f"{self.hostname} leads to {where}, and this network has {self.public_address}",
            "correct it at your DNS provider, or set [router] update to a command that does",
        )


def named(endpoints: Iterable[Endpoint], name: Name | None) -> Iterator[Endpoint]:
    """Insert before each endpoint with this network's address the same with the name."""
    for endpoint in endpoints:
        if (
            name
            and name.leads_here
            and endpoint.host == name.public_address
            and endpoint.kind in KINDS
        ):
            yield replace(endpoint, host=name.hostname)
        yield endpoint


def public_address(candidates: Iterable[str]) -> str:
    """Return the first candidate that a name could lead to; "" if there is none."""
    return next((candidate for candidate in candidates if is_dialable(candidate)), "")


def held_by_name(announced: HostPort | None, hostname: str, address: HostPort) -> HostPort:
    """Return `address` as in the guests' commands: with the name if they got that."""
    by_name = hostname and announced and announced.host == hostname
    return replace(address, host=hostname) if by_name else address
