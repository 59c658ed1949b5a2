from __future__ import annotations

from pairingd import report
from pairingd.errors import GatewayError


def test_a_failed_mapping_names_the_gateway_that_was_asked() -> None:
    failure = GatewayError("router-failed", "no", "again")
    told = report.mapping(None, failure, "192.168.1.1", needed=True)
    assert told is not None
    assert (told["state"], told["gateway"]) == ("failed", "192.168.1.1")
    nowhere = report.mapping(None, failure, "", needed=True)
    assert nowhere is not None
    assert nowhere["gateway"] is None
    assert report.mapping(None, None, "192.168.1.1", needed=False) is None
