"""Makes a lane look again early: when the kernel reports changed routes or addresses, or the
gateway reports its restart.

Both are hints: neither complete nor trusted. The lane's own round finds all changes later.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from pairingd import gateways
from pairingd.core.model import Mapping
from pairingd.world.network import changes


class Hints:
    """Calls `moved` and `restarted`. Listens to nothing before `follow`."""

    def __init__(
        self,
        moved: Callable[[], None],
        restarted: Callable[[], None],
        *,
        listen: Callable[..., AbstractContextManager[None]],
    ) -> None:
        self._moved = moved
        self._restarted = restarted
        self._listen = listen
        self._listeners = ExitStack()
        self._followed: tuple[bool, tuple[str, str] | None] = (False, None)

    def follow(self, *, network: bool, held: Mapping | None) -> None:
        """Listen to the network's changes, and to the gateway of `held` if the mapping's protocol
        has announcements.

        Pass None to listen to no gateway. An idle daemon follows nothing, so that nothing wakes it.
        """
        announces = held is not None and gateways.named(held.protocol).announces
        gateway = (held.gateway, held.internal_host) if held and announces else None
        if (network, gateway) == self._followed:
            return
        self._listeners.close()
        if network:
            self._listeners.enter_context(changes.watch(self._moved))
        if gateway:
            self._listeners.enter_context(self._listen(*gateway, self._restarted))
        self._followed = (network, gateway)
