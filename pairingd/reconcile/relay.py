"""The relay's lane: a tunnel while the door is open, had anew whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from pairingd.errors import PairingError
from pairingd.intent import Intent
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.store import Process, Store
from pairingd.world.keyscan import Sight
from pairingd.world.processes import boot, start_time
from pairingd.world.relay import Tunnel, forward_refused

log = logging.getLogger(__name__)


class Relay(Protocol):
    """What this lane needs of a relay; world.relay.Relay is the real one."""

    async def open(self, door_port: int) -> Tunnel: ...

    def lost(self, tunnel: Tunnel) -> PairingError: ...


class RelayLane(Lane):
    """`relay` None: not wanted. `look` says what is seen at a host and port."""

    first_retry = 1.0
    longest_retry = 60.0

    def __init__(
        self,
        intent: Intent,
        store: Store,
        relay: Relay | None,
        door_port: Callable[[], int | None],
        look: Callable[[str, int], Awaitable[Sight]],
        clock: Callable[[], float],
        signals: Signals,
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        self._store = store
        self._relay = relay
        self._door_port = door_port
        self._look = look
        self._tunnel: Tunnel | None = None
        self._waiting: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        return self._relay is not None and self._door_port() is not None

    @property
    def current(self) -> tuple[str, int] | None:
        """Where guests enter; our own host key was seen there."""
        tunnel = self._tunnel
        if tunnel is None or tunnel.ended.is_set() or tunnel.door_port != self._door_port():
            return None
        return tunnel.host, tunnel.port

    async def one_pass(self) -> float | None:
        if self._relay is None:
            return None
        port = self._door_port()
        tunnel = self._tunnel
        if tunnel and (tunnel.ended.is_set() or tunnel.door_port != port):
            lost = self._relay.lost(tunnel) if tunnel.ended.is_set() else None
            await self._close()
            if lost and port is not None:
                raise lost  # and be tried again after a moment
        if port is not None and self._tunnel is None:
            await self._open(self._relay, port)
        return None

    async def _open(self, relay: Relay, port: int) -> None:
        tunnel = await relay.open(port)
        try:
            started = start_time(tunnel.process.pid)
            if started is not None:
                self._store.record_process(Process(tunnel.process.pid, started, boot()))
            # Where GatewayPorts is "no" sshd listens on its loopback alone, and does not say so.
            sight = await self._look(tunnel.host, tunnel.port)
        except BaseException:
            await self._end(tunnel)
            raise
        if sight is not Sight.OUR_DOOR:
            await self._end(tunnel)
            raise forward_refused(
                tunnel.host, tunnel.port, "the door cannot be reached there (GatewayPorts no?)"
            )
        self._tunnel = tunnel
        self._waiting = asyncio.create_task(self._wait_for_end(tunnel))
        self._intent.happened(
            "relay-opened",
            f"the relay {tunnel.host} forwards its port {tunnel.port} to the door",
            host=tunnel.host,
            port=tunnel.port,
        )

    async def _wait_for_end(self, tunnel: Tunnel) -> None:
        await tunnel.ended.wait()
        self.poke()

    async def _close(self) -> None:
        tunnel, self._tunnel = self._tunnel, None
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None
        if tunnel:
            await self._end(tunnel)
            self._intent.happened(
                "relay-closed", f"the relay {tunnel.host} no longer forwards to the door"
            )

    async def _end(self, tunnel: Tunnel) -> None:
        await tunnel.close()
        self._store.forget_processes(tunnel.process.pid)
