"""What tells a lane to look again before it is time: the kernel's word that routes or addresses
have changed, and the gateway's that it has started anew.

Both are hints: neither complete nor to be believed. The lane's own round finds all of it, later.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from pairingd.world.gateway.pxp import announcements
from pairingd.world.network import changes


class Hints:
    """Calls `moved` and `restarted`. Listens to nothing until told to."""

    def __init__(
        self,
        moved: Callable[[], None],
        restarted: Callable[[], None],
        *,
        listen: Callable[..., AbstractContextManager[None]] = announcements.listen,
    ) -> None:
        self._moved = moved
        self._restarted = restarted
        self._listen = listen
        self._ears = ExitStack()
        self._followed: tuple[bool, tuple[str, str] | None] = (False, None)

    def follow(self, *, network: bool, gateway: tuple[str, str] | None) -> None:
        """From now on the network's changes, and the `gateway` of that address, from our address.

        Pass None to listen to no gateway. An idle daemon follows nothing, so that nothing wakes it.
        """
        if (network, gateway) == self._followed:
            return
        self._ears.close()
        if network:
            self._ears.enter_context(changes.watch(self._moved))
        if gateway:
            self._ears.enter_context(self._listen(*gateway, self._restarted))
        self._followed = (network, gateway)
