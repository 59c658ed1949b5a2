from __future__ import annotations

from pairingd.errors import GatewayError
from pairingd.replies import report


def test_a_failed_mapping_names_the_gateway_that_was_asked() -> None:
    failure = GatewayError("router-failed", "no", "again")
    info = report.mapping(None, failure, "192.168.1.1", needed=True)
    assert info is not None
    assert (info["state"], info["gateway"]) == ("failed", "192.168.1.1")
    nowhere = report.mapping(None, failure, "", needed=True)
    assert nowhere is not None
    assert nowhere["gateway"] is None
    assert report.mapping(None, None, "192.168.1.1", needed=False) is None
