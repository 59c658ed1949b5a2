"""Where others reach this network, as far as known."""

from __future__ import annotations

from collections.abc import Callable

from pairingd.core import hostname
from pairingd.core.dial import outside_host
from pairingd.core.double_nat import outermost
from pairingd.core.model import HostPort, Mapping
from pairingd.core.ways import Endpoint
from pairingd.home import config
from pairingd.machine import interfaces
from pairingd.reconcile.mapping.lane import MappingLane
from pairingd.state.intent import Intent


class Outside:
    """`own` returns this machine's address for guests nearby."""

    def __init__(
        self,
        settings: config.Router,
        intent: Intent,
        mapping: MappingLane,
        second: MappingLane,
        door_port: Callable[[], int | None],
        own: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._intent = intent
        self._mapping = mapping
        self._second = second
        self._door_port = door_port
        self._own = own

    def forwarded(self) -> HostPort | None:
        """The router's own address and port that lead to the open door, by request or by hand; the
        second router's if that has opened one. None while its answer is pending.
        """
        second = self._second
        if second.needed and not (second.current or second.error):
            return None
        if held := self._held:
            return HostPort(held.external_host, held.external_port)
        session = self._intent.state.session
        if self._settings.enabled or session is None or self._door_port() is None:
            return None
        return HostPort(self._settings.external_host, session.external_port)

    @property
    def _held(self) -> Mapping | None:
        return outermost(self._mapping.current, self._second.current)

    def public(self, hole: Endpoint | None) -> HostPort | None:
        """The endpoint at this network's public address."""
        port, forwarded = self._door_port(), self.forwarded()
        if port is None:
            return None
        candidates = [HostPort(self._own(), port), *([forwarded] if forwarded else [])]
        if hole:
            candidates.append(HostPort(hole.host, hole.port))
        host = hostname.public_address(address.host for address in candidates)
        return next((address for address in candidates if address.host == host), None)

    def towards(self, peer: str) -> str:
        """The public host at which a guest at `peer` reaches this network, "" if unknown."""
        held = self._held
        router = held.external_host if held else ""
        named = self._settings.external_host
        try:
            source = interfaces.source_towards(peer)
        except OSError:
            source = ""
        return outside_host(peer, named, source, router) or self._settings.hostname
