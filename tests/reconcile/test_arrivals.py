from __future__ import annotations

from pairingd.process import event_loop
from pairingd.reconcile.arrivals import Arrivals
from pairingd.signals import Signals

OURS = [("192.168.1.10", 0), ("5.5.5.1", 22)]


async def test_connections_from_our_own_network_are_not_counted() -> None:
    signals = Signals()
    arrivals = Arrivals(signals)
    for peer in ("5.5.8.2", "5.5.8.2", "5.5.5.1", "2a00::1"):
        signals.stranger_came(peer)
    assert await arrivals.count(OURS) == 2
    assert await arrivals.count([*OURS, ("2a00:77::10", 40000)]) == 3
    assert await arrivals.count([*OURS, ("2a00::10", 40000)]) == 2


def test_a_name_that_no_dns_can_have_is_none_of_our_addresses() -> None:
    signals = Signals()
    arrivals = Arrivals(signals)
    signals.stranger_came("5.5.8.2")
    named = [*OURS, ("a..b", 22)]  # as a relay's program may name itself
    assert event_loop.run(arrivals.count(named)) == 1


async def test_a_flood_from_many_addresses_is_counted_in_bounded_memory() -> None:
    signals = Signals()
    arrivals = Arrivals(signals)
    for number in range(3000):
        signals.stranger_came(f"5.6.{number // 250}.{number % 250}")
    assert await arrivals.count(OURS) == 3000
    assert len(arrivals._times) <= 1024
