"""Who has come to the door over the internet with no router of ours asked: by this machine's own
public address, or by a port that the user forwards by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from pairingd.core.addresses import ExternalClass, external_class, is_outsider
from pairingd.core.ways import Verified
from pairingd.signals import Signals


class Witness:
    """`own_address` is where guests nearby reach the open door. `external`
    is the router's, where the user has named one: a connection from it is from our own network.
    Where it is a name, that cannot be told, so nothing counts.
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
        self._at: tuple[str, int | None] | None = None
        self._seen: Verified | None = None
        signals.stranger_came.connect(lambda peer: self._note(peer, "stranger"))
        signals.guest_came.connect(lambda peer: self._note(peer, "guest"))

    def seen(self, own_address: str) -> Verified | None:
        """The best evidence for the door as it is open at `own_address`."""
        if self._at != (own_address, self._door_port()):
            self._at = self._seen = None
        return self._seen

    def _note(self, peer: str, seen: Verified) -> None:
        port = self._door_port()
        known = self._at is not None and self._at[1] == port
        if not self._judges or port is None or (known and seen != "guest"):
            return  # a flood does not have the interfaces listed each time
        own = self._own_address()
        if is_outsider(peer, own, self._external):
            self._at, self._seen = (own, port), seen
