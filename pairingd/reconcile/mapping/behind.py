"""What the mapping lane requests if the router is behind another NAT."""

from __future__ import annotations

from collections.abc import Callable

from pairingd.core.addresses import is_inside
from pairingd.core.cgnat import FIRST_PORT
from pairingd.core.holding_events import Wished
from pairingd.core.model import Mapping, Session
from pairingd.core.network import Network


class Behind:
    """Remembers which networks are behind one. `hole_port` returns the port for a hole there; None:
    make no hole.
    """

    def __init__(self, hole_port: Callable[[Network], int] | None) -> None:
        self._hole_port = hole_port
        self._known: dict[str, bool] = {}  # networks, and whether a hole can be made there

    def wish(
        self, network: Network | None, ports: tuple[int, int] | None, session: Session | None
    ) -> Wished:
        """Wish for a port that can have a hole, unless the host has chosen another port."""
        chosen = session is not None and session.port_chosen
        known = network is not None and network.identity in self._known
        if network is None or ports is None or self._hole_port is None or not known:
            return Wished(ports, chosen)
        if ports[1] < FIRST_PORT:
            if chosen:
                return Wished(ports, chosen)
            ports = ports[0], self._hole_port(network)
        return Wished(ports, chosen, hole=self._known[network.identity])

    def is_new(self, held: Mapping) -> bool:
        """Whether `held` is the first to show that its network is behind another NAT."""
        inside = self._hole_port is not None and is_inside(held.external_host)
        return inside and held.network not in self._known

    def finds(self, held: Mapping | None) -> bool:
        """As `is_new`, and remember it. If the router then gives no better port, it is not asked
        again.
        """
        if self._hole_port is None or held is None:
            return False
        if not is_inside(held.external_host):
            self._known.pop(held.network, None)
            return False
        new = self.is_new(held)
        self._known[held.network] = new or held.external_port >= FIRST_PORT
        return new
