"""What a STUN server answers, and what a relay's program prints."""

from __future__ import annotations

import ipaddress
import re

from pairingd.process.tunnel import MAX_LINE_BYTES
from pairingd.world.outgoing import stun
from pairingd.world.relay_command import USUAL
from tests.fuzz.engine import Target

TRANSACTION = bytes(range(12))
_ENDPOINT = re.compile(USUAL.encode())


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


def relay_output(data: bytes) -> str:
    """The endpoint that a line names, if it does."""
    found = [_ENDPOINT.search(line[:MAX_LINE_BYTES]) for line in data.split(b"\n")]
    for named in filter(None, found):
        assert named["host"]
        assert int(named["port"]) < 100_000
    return f"{len([*filter(None, found)])} endpoints"


TARGETS = (Target("stun-answer", stun_answer), Target("relay-output", relay_output))
