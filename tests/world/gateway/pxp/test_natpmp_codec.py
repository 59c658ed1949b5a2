import random
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.gateway.pxp.codec import ProtocolError
from pairingd.world.gateway.pxp.natpmp_codec import (
    AddressRequest,
    AddressResponse,
    MapRequest,
    MapResponse,
    Result,
    announced,
    epoch_is_continuous,
    renewal_delay,
)

# Captured from miniupnpd 2.3.1: internal port 8822, external port 22, one minute.
MAP = MapRequest(8822, 22, 60)
MAP_REPLY = bytes.fromhex("0082 0000 00000000 2276 0016 0000003c")
ADDRESS_REPLY = bytes.fromhex("0080 0000 00000003 05050501")

ports = st.integers(1, 65535)
seconds = st.integers(0, 2**32 - 1)


def test_the_requests_are_those_a_real_gateway_understood() -> None:
    assert AddressRequest().encode() == bytes.fromhex("0000")
    assert MAP.encode() == bytes.fromhex("0002 0000 2276 0016 0000003c")


def test_a_deletion_has_neither_external_port_nor_lifetime() -> None:
    assert MapRequest(8822, 0, 0).encode() == bytes.fromhex("0002 0000 2276 0000 00000000")


def test_real_replies_are_understood() -> None:
    assert AddressRequest().decode(ADDRESS_REPLY) == AddressResponse(0, 3, IPv4Address("5.5.5.1"))
    assert MAP.decode(MAP_REPLY) == MapResponse(0, 0, 22, 60)


def test_a_confirmed_deletion_is_understood() -> None:
    reply = bytes.fromhex("0082 0000 00000009 2276 0000 00000000")
    assert MapRequest(8822, 0, 0).decode(reply) == MapResponse(0, 9, 0, 0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param("", "0 bytes", id="empty"),
        pytest.param("0082 0000 0000", "6 bytes", id="header cut"),
        pytest.param("0082 0000 00000000 2276 0016 0000", "14 bytes, not 16", id="body cut"),
        pytest.param("0082 0000 00000000 2276 0016 0000003c 00", "17 bytes", id="trailing byte"),
        pytest.param("0282 0000 00000000 2276 0016 0000003c", "version 2", id="another version"),
        pytest.param("0002 0000 00000000 2276 0016 0000003c", "opcode 2", id="a request"),
        pytest.param("0081 0000 00000000 2276 0016 0000003c", "opcode 129", id="answers for UDP"),
        pytest.param("0082 0000 00000000 2277 0016 0000003c", "port 8823", id="another port"),
        pytest.param("0082 0000 00000000 2276 0000 0000003c", "port 0", id="external port 0"),
    ],
)
def test_a_reply_that_does_not_match_the_request_is_refused(reply: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        MAP.decode(bytes.fromhex(reply))


def test_an_address_reply_is_no_answer_to_a_mapping_request() -> None:
    with pytest.raises(ProtocolError, match="opcode 128"):
        MAP.decode(ADDRESS_REPLY)


@pytest.mark.parametrize("result", [1, 2, 3, 4, 5, 99])
@pytest.mark.parametrize("size", [8, 12, 16])
def test_an_error_may_be_cut_after_its_header(result: int, size: int) -> None:
    reply = (bytes([0, 0x82, 0, result]) + bytes.fromhex("00000007")).ljust(size, b"\0")
    assert MAP.decode(reply) == MapResponse(result, 7)


def test_results_have_the_rfcs_numbers() -> None:
    assert [result.name for result in sorted(Result)] == [
        "SUCCESS",
        "UNSUPPORTED_VERSION",
        "NOT_AUTHORIZED",
        "NETWORK_FAILURE",
        "OUT_OF_RESOURCES",
        "UNSUPPORTED_OPCODE",
    ]


@given(internal=ports, asked=ports, lifetime=seconds, given_port=ports, granted=seconds, at=seconds)
def test_every_well_formed_answer_is_read_back(
    internal: int, asked: int, lifetime: int, given_port: int, granted: int, at: int
) -> None:
    request = MapRequest(internal, asked, lifetime)
    sent = request.encode()
    assert len(sent) == 12
    assert int.from_bytes(sent[4:6]) == internal
    assert int.from_bytes(sent[6:8]) == asked
    assert int.from_bytes(sent[8:]) == lifetime
    reply = b"\0\x82\0\0" + at.to_bytes(4) + sent[4:6] + given_port.to_bytes(2)
    reply += granted.to_bytes(4)
    assert request.decode(reply) == MapResponse(0, at, given_port, granted)


def test_no_bytes_raise_anything_but_a_protocol_error() -> None:
    chance = random.Random(6886)
    for turn in range(20_000):
        data = bytearray(chance.choice([MAP_REPLY, ADDRESS_REPLY]))
        if turn % 2:
            data = bytearray(chance.randbytes(chance.randrange(40)))
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        for decode in (MAP.decode, AddressRequest().decode, announced):
            try:
                answer = decode(bytes(data[: chance.randrange(41)]))
            except ProtocolError:
                continue
            assert isinstance(answer, (MapResponse, AddressResponse))


def test_a_new_address_is_announced_like_an_answer() -> None:
    assert announced(ADDRESS_REPLY) == AddressResponse(0, 3, IPv4Address("5.5.5.1"))


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(AddressRequest().encode(), id="a request"),
        pytest.param(MAP_REPLY, id="another opcode"),
        pytest.param(bytes.fromhex("0080 0003 00000003"), id="a failure"),
        pytest.param(ADDRESS_REPLY[:11], id="cut off"),
        pytest.param(ADDRESS_REPLY + b"\0", id="too long"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_anything_else_is_no_announcement(datagram: bytes) -> None:
    with pytest.raises(ProtocolError):
        announced(datagram)


@pytest.mark.parametrize(
    ("epoch", "continuous"),
    [
        pytest.param(1800, True, id="the same clock"),
        pytest.param(1700, True, id="a clock at seven eighths"),
        pytest.param(1698, True, id="two seconds off"),
        pytest.param(1697, False, id="slower than that"),
        pytest.param(3, False, id="restarted"),
        pytest.param(9000, True, id="a fast clock loses nothing"),
    ],
)
def test_epoch_rule_of_rfc_6886(epoch: int, continuous: bool) -> None:
    assert epoch_is_continuous(1000, 50.0, epoch, 850.0) is continuous


def test_renewal_is_due_at_half_of_the_lifetime() -> None:
    assert renewal_delay(600) == 300
