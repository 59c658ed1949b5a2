"""The relay's lane: a tunnel while the door is open, opened again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, Protocol

from pairingd.core.ways import Endpoint, Verified
from pairingd.errors import PairingError
from pairingd.process.tunnel import Tunnel
from pairingd.reconcile.journal import journal
from pairingd.reconcile.lane import Lane
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.world.keyscan import Sight
from pairingd.world.relay import forward_refused

log = logging.getLogger(__name__)

Join = Literal["port", "jump", "auto"]

_MAX_PAUSE_S = 60
_LEAVING_LOOKS, _LOOK_INTERVAL_S = 20, 0.05  # for guests who are put out, once the door is closed
_FLUSH_S = 0.25  # for the last bytes that the tunnel has from them to the relay


class Relay(Protocol):
    """What this lane needs of a relay; world has two: Relay and RelayCommand."""

    async def open(self, door_port: int) -> Tunnel: ...

    async def open_jump(self, door_port: int) -> Tunnel: ...

    def inside(self, port: int) -> AbstractAsyncContextManager[tuple[str, int] | None]: ...

    def lost(self, tunnel: Tunnel) -> PairingError: ...

    def unseen(self, tunnel: Tunnel, *, inside: bool) -> PairingError: ...


class RelayLane(Lane):
    """`relay` is None if none is configured. `look` returns what answers at a host and port.
    `join`: guests enter by the relay's port or through its sshd; `auto`: its sshd if the port
    fails. `connected`: whether the door still has a connection.
    """

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
        *,
        connected: Callable[[], bool],
        join: Join = "port",
    ) -> None:
        super().__init__(intent, clock)
        signals.door_changed.connect(self.poke)
        self._store = store
        self._relay = relay
        self._door_port = door_port
        self._look = look
        self._connected = connected
        self._join = join
        self._tunnel: Tunnel | None = None
        self._endpoint: Endpoint | None = None  # of a jump, or a stranger's relay
        self._failed = 0  # tunnels in a row that did not last
        self._lost: PairingError | None = None
        self._opened_at = self._lost_at = 0.0
        self._waiting: asyncio.Task[None] | None = None

    @property
    def needed(self) -> bool:
        return self._relay is not None and self._door_port() is not None

    @property
    def current(self) -> tuple[str, int] | None:
        """The relay's port where guests enter; our own host key was seen there."""
        tunnel = self._tunnel
        return (tunnel.host, tunnel.port) if tunnel and self._is_up and not self._endpoint else None

    @property
    def endpoint(self) -> Endpoint | None:
        """Where guests enter by a jump, or through a stranger's relay."""
        return self._endpoint if self._is_up else None

    @property
    def opening(self) -> bool:
        """Whether the first request to the relay is still pending."""
        return self.needed and not self._is_up and self.error is None

    def outcome(self) -> object:
        return self.current, self.endpoint, str(self.error)

    @property
    def _is_up(self) -> bool:
        tunnel = self._tunnel
        return bool(tunnel and not tunnel.ended.is_set() and tunnel.door_port == self._door_port())

    async def one_pass(self) -> float | None:
        if self._relay is None:
            return None
        tunnel = self._tunnel
        if tunnel and self._door_port() is None and self._connected():
            await self._let_out(tunnel)
        port = self._door_port()
        if tunnel and (tunnel.ended.is_set() or tunnel.door_port != port):
            lost = self._relay.lost(tunnel) if tunnel.ended.is_set() else None
            await self._close()
            if lost:
                self._note_loss(lost)
        if port is not None and self._tunnel is None:
            if self._lost and 0 <= self.clock() - self._lost_at < self._pause_s:
                raise self._lost  # and be tried again later
            await self._open(self._relay, port)
        return None

    async def _let_out(self, tunnel: Tunnel) -> None:
        """Wait until guests who are put out have their screens back and have read why."""
        for _ in range(_LEAVING_LOOKS):
            if not self._connected() or tunnel.ended.is_set():
                break
            await asyncio.sleep(_LOOK_INTERVAL_S)
        await asyncio.sleep(_FLUSH_S)

    @property
    def _pause_s(self) -> float:
        """Between the end of a tunnel and the next one, so that pairingd does not ask a failing
        relay every second.
        """
        return float(min(2**self._failed, _MAX_PAUSE_S))

    def _note_loss(self, lost: PairingError) -> None:
        self._lost, self._lost_at = lost, self.clock()
        lasted = self._lost_at - self._opened_at >= _MAX_PAUSE_S
        self._failed = 0 if lasted else min(self._failed + 1, 10)

    async def _open(self, relay: Relay, port: int) -> None:
        tunnel, endpoint = await self._reach(relay, port)
        self._tunnel, self._endpoint, self._opened_at = tunnel, endpoint, self.clock()
        self._waiting = asyncio.create_task(self._wait_for_end(tunnel))
        self._intent.happened(
            "relay-opened",
            f"the relay {tunnel.host} forwards its port {tunnel.port} to the door",
            host=tunnel.host,
            port=tunnel.port,
        )

    async def _reach(self, relay: Relay, port: int) -> tuple[Tunnel, Endpoint | None]:
        """A tunnel through which the door was reached, and the endpoint if it is not its port."""
        if self._join != "jump":
            try:
                return await self._by_port(relay, port)
            except PairingError as error:
                if self._join == "port" or error.code != "relay-forward-refused":
                    raise
                log.info("%s; trying by jump", error)
        async with self._opening(await relay.open_jump(port)) as tunnel:
            sight = await self._look_inside(relay, tunnel.port)
            if sight is Sight.ANOTHER_SERVER:
                raise forward_refused(tunnel.host, tunnel.port, "another server is there")
            return tunnel, _jump_endpoint(tunnel, sight)

    async def _by_port(self, relay: Relay, port: int) -> tuple[Tunnel, Endpoint | None]:
        async with self._opening(await relay.open(port)) as tunnel:
            if await self._look(tunnel.host, tunnel.port) is Sight.OUR_DOOR:
                return tunnel, _command_endpoint(tunnel) if tunnel.strangers else None
            # With GatewayPorts "no" sshd listens on its loopback only, and does not report it.
            sight = await self._look_inside(relay, tunnel.port)
            if self._join == "auto" and sight is Sight.OUR_DOOR:
                return tunnel, _jump_endpoint(tunnel, sight)
            raise relay.unseen(tunnel, inside=sight is Sight.OUR_DOOR)

    async def _look_inside(self, relay: Relay, port: int) -> Sight:
        """UNSURE also if the relay lets nobody connect to its own loopback."""
        async with relay.inside(port) as near:
            return await self._look(*near) if near else Sight.UNSURE

    @asynccontextmanager
    async def _opening(self, tunnel: Tunnel) -> AsyncIterator[Tunnel]:
        """Journaled, and ended again if the block fails."""
        try:
            journal(self._store, tunnel.pid)
            yield tunnel
        except BaseException:
            await self._end(tunnel)
            raise

    async def _wait_for_end(self, tunnel: Tunnel) -> None:
        await tunnel.ended.wait()
        self.poke()

    async def _close(self) -> None:
        tunnel, self._tunnel, self._endpoint = self._tunnel, None, None
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
        self._store.forget_processes(tunnel.pid)


def _jump_endpoint(tunnel: Tunnel, sight: Sight) -> Endpoint:
    verified: Verified | None = "hairpin" if sight is Sight.OUR_DOOR else None
    return Endpoint("jump", "localhost", tunnel.port, "ssh", verified, tunnel.jump, pinned=True)


def _command_endpoint(tunnel: Tunnel) -> Endpoint:
    return Endpoint("relay", tunnel.host, tunnel.port, "command", "hairpin", pinned=True)
