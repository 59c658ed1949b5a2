"""What a STUN server answers."""

from __future__ import annotations

import ipaddress

from pairingd.world.outgoing import stun
from tests.fuzz.engine import Target

TRANSACTION = bytes(range(12))


def stun_answer(data: bytes) -> str:
    """An address and a port, from the answer to our request."""
    try:
        length = stun.body_length(data[: stun.HEADER_BYTES], TRANSACTION)
        body = data[stun.HEADER_BYTES : stun.HEADER_BYTES + length]
        host, port = stun.mapped_address(body, TRANSACTION)
    except stun.BadAnswer as error:
        return str(error)
    assert data[8:20] == TRANSACTION
    assert length <= stun.MAX_BODY_BYTES
    ipaddress.ip_address(host)
    assert 0 < port < 65536
    return "an address"


TARGETS = (Target("stun-answer", stun_answer),)
