"""Penalties by source address, for connections that ended without a login.

The durations follow sshd_config(5) PerSourcePenalties, which cannot do this here: each connection
has its own sshd, which knows of no other connection.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from msgspec import Struct, field

from pairingd.core.addresses import parse_address

FREE_FAILURES = 5  # a guest may try a few wrong keys without a penalty
LONGEST_PENALTY = 300.0  # seconds
FORGIVEN_AFTER = 600.0  # seconds without a failure
MAX_SOURCES = 1024  # in memory; the oldest is dropped first


class Ban(Struct, frozen=True):
    """A source may not log in for `seconds`, until `until`."""

    until: float
    seconds: float


class _Record(Struct, frozen=True):
    failures: int = 0  # connections that ended without a login
    logins: int = 0  # the part of them in which sshd refused a login
    last: float = 0.0

    def plus(self, now: float, *, login: bool) -> _Record:
        return _Record(self.failures + 1, self.logins + login, now)


class Penalties(Struct):
    """Records failures by source, and the sources from which an invited guest has entered.

    Failures without a login attempt make their source `suspect`: last in the queue, with few
    places, but not refused, because a guest may share the address (NAT). Refused logins ban it.
    A `known` source is exempt from both.
    """

    _records: dict[str, _Record] = field(default_factory=dict)
    _known: dict[str, None] = field(default_factory=dict)  # by last login

    def is_known(self, source: str) -> bool:
        return source in self._known

    def is_suspect(self, source: str, now: float) -> bool:
        """Whether too many of its connections ended without a login, for any reason."""
        record = self._record(source, now)
        return source not in self._known and now < _until(record.failures, record.last)

    def is_banned(self, source: str, now: float) -> bool:
        """Whether sshd has refused its logins too often."""
        return self.ban(source, now) is not None

    def ban(self, source: str, now: float) -> Ban | None:
        record = self._record(source, now)
        until = _until(record.logins, record.last)
        if source in self._known or until <= now:
            return None
        return Ban(until, _penalty(record.logins))

    def failed(self, source: str, now: float, *, login: bool) -> None:
        """A connection ended without a login; `login`: sshd refused one."""
        record = self._record(source, now).plus(now, login=login)
        self._records.pop(source, None)
        self._records[source] = record
        if len(self._records) > MAX_SOURCES:
            del self._records[next(iter(self._records))]

    def forgive(self, source: str) -> None:
        """Somebody logged in from there."""
        self._records.pop(source, None)

    def know(self, source: str) -> None:
        """An invited guest has entered from there."""
        self._known.pop(source, None)
        self._known[source] = None
        if len(self._known) > MAX_SOURCES:
            del self._known[next(iter(self._known))]

    def forget_known(self) -> None:
        """Forget the `known` sources, as the session is over."""
        self._known.clear()

    def _record(self, source: str, now: float) -> _Record:
        record = self._records.get(source, _Record())
        return record if now - record.last < FORGIVEN_AFTER else _Record()


def _until(failures: int, last: float) -> float:
    return last + _penalty(failures) if failures > FREE_FAILURES else 0.0


def _penalty(failures: int) -> float:
    """Return seconds, doubled with each failure beyond the free ones."""
    return min(2.0 ** min(failures - FREE_FAILURES - 1, 10), LONGEST_PENALTY)


def source_of(peer: str) -> str:
    """Return the unit of a penalty: an IPv4 address, or the /64 that is usually one IPv6 host's."""
    address = parse_address(peer.partition("%")[0])
    if address is None:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
    return str(address)
