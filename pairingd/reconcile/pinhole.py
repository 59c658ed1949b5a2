"""IPv6's own lane: a pinhole in the router's firewall, beside the mapping and never before it."""

from __future__ import annotations

from dataclasses import replace

from pairingd.core import plan
from pairingd.errors import PairingError
from pairingd.reconcile.mapping import MappingLane


class PinholeLane(MappingLane):
    """A mapping that translates nothing: guests name the door's own address and port."""

    longest_retry = 600.0
    opened_text = "the router lets IPv6 through to port {port}, the door"

    def _wish(self, here: str | None) -> plan.MappingWish | None:
        wish = super()._wish(here)
        return replace(wish, external_port=wish.internal_port) if wish else None

    def _announce(self) -> None:
        """The first endpoint is announced; this one is another."""

    def _announcing(self) -> None:
        """The mapping's lane listens for both."""

    def _tell_trouble(self, error: PairingError) -> None:
        """Few guests need it."""

    def _nobody_to_ask(self) -> None:
        """Most networks have no IPv6 yet."""
