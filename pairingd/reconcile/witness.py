"""Notes who reached the door over the internet without a requested port: by this machine's own
public address, or by a port that the user forwards by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from pairingd.core.addresses import ExternalClass, external_class, is_outsider
from pairingd.core.ways import Verified
from pairingd.machine import interfaces
from pairingd.signals import Signals


class Witness:
    """`own_address` returns where guests nearby reach the open door. `external` is the router's
    address, if configured: a connection from it is from our own network. If it is a name, that is
    unknown, so no connection counts.
    """

    def __init__(
        self,
        own_address: Callable[[], str],
        door_port: Callable[[], int | None],
        signals: Signals,
        *,
        external: str = "",
    ) -> None:
        self._own_address = own_address
        self._door_port = door_port
        self._external = external
        self._judges = not external or external_class(external) is not ExternalClass.BOGUS
        self._seen_at: tuple[str, int | None] | None = None
        self._seen: Verified | None = None
        signals.stranger_came.connect(lambda peer: self._note(peer, "stranger"))
        signals.guest_came.connect(lambda peer: self._note(peer, "guest"))

    def seen(self, own_address: str) -> Verified | None:
        """The best evidence for the door as it is open at `own_address`."""
        if self._seen_at != (own_address, self._door_port()):
            self._seen_at = self._seen = None
        return self._seen

    def _note(self, peer: str, seen: Verified) -> None:
        port = self._door_port()
        known = self._seen_at is not None and self._seen_at[1] == port
        if not self._judges or port is None or (known and seen != "guest"):
            return  # a flood must not list the interfaces each time
        own = self._own_address()
        if own and is_outsider(peer, own, self._external) and not interfaces.on_link(peer, own):
            self._seen_at, self._seen = (own, port), seen
