"""Which connection may start an sshd: a stranger costs a process, so strangers are counted.

The limits follow sshd_config(5) MaxStartups, PerSourceMaxStartups and PerSourcePenalties, which
cannot do this for us: each connection has an sshd of its own that knows of no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

MAX_UNAUTHENTICATED = 10
MAX_UNAUTHENTICATED_PER_SOURCE = 3
MAX_PER_GUEST = 8  # authenticated at once; each is a process, for a guest who may only read, too
LOGIN_GRACE = 20.0  # seconds to authenticate
FREE_FAILURES = 5  # a guest may try a few wrong keys before it costs them time
LONGEST_PENALTY = 300.0  # seconds
FORGIVEN_AFTER = 600.0  # seconds without a failure
MAX_SOURCES = 1024  # remembered; the oldest is forgotten first


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_failure: float = 0.0

    @property
    def refused_until(self) -> float:
        beyond = self.failures - FREE_FAILURES
        if beyond <= 0:
            return 0.0
        return self.last_failure + min(2.0 ** min(beyond - 1, 10), LONGEST_PENALTY)


@dataclass(slots=True)
class Admission:
    """Counts connections by source. Tell it of every connection: admit, then settle, each once.

    `shared` are addresses behind which everybody stands, such as the near end of a relay's tunnel:
    one stranger there must not lock the guests out, so only the limit for all together counts.
    """

    shared: frozenset[str] = frozenset()
    _waiting: dict[str, int] = field(default_factory=dict)
    _records: dict[str, _Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shared = frozenset(map(source_of, self.shared))

    def admit(self, peer: str, now: float) -> str | None:
        """None: let it in and count it as unauthenticated. Otherwise the reason to close it."""
        source = source_of(peer)
        if sum(self._waiting.values()) >= MAX_UNAUTHENTICATED:
            return "too many connections are not authenticated yet"
        if source in self.shared:
            self._waiting[source] = self._waiting.get(source, 0) + 1
            return None
        record = self._records.get(source)
        if record and now - record.last_failure >= FORGIVEN_AFTER:
            del self._records[source]
        elif record and now < record.refused_until:
            return "too many failed logins from there"
        if self._waiting.get(source, 0) >= MAX_UNAUTHENTICATED_PER_SOURCE:
            return "too many connections from there are not authenticated yet"
        self._waiting[source] = self._waiting.get(source, 0) + 1
        return None

    def authenticated(self, peer: str) -> None:
        """It got in: it no longer counts, and its source's failures are forgotten."""
        self._leave(source_of(peer))
        self._records.pop(source_of(peer), None)

    def left(self, peer: str, now: float, *, failed: bool) -> None:
        """It went without getting in; `failed` if a login was tried, or the grace time ran out."""
        source = source_of(peer)
        self._leave(source)
        if failed and source not in self.shared:
            record = self._records.pop(source, _Record())
            self._records[source] = _Record(record.failures + 1, now)
            if len(self._records) > MAX_SOURCES:
                del self._records[next(iter(self._records))]

    def _leave(self, source: str) -> None:
        left = self._waiting[source] - 1
        if left:
            self._waiting[source] = left
        else:
            del self._waiting[source]


def source_of(peer: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 that one IPv6 host commonly has whole."""
    try:
        address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
    return str(address)
