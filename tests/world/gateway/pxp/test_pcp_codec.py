"""PCP: a response is believed only where every field matches the request."""

import random
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.records import replace
from pairingd.world.gateway.pxp.codec import ProtocolError, from_wire, to_wire
from pairingd.world.gateway.pxp.pcp_codec import (
    AnnounceRequest,
    AnnounceResponse,
    MapRequest,
    MapResponse,
    Result,
    announced,
    epoch_is_continuous,
    renewal_delay,
)

NONCE = bytes(range(12))
HOST = "00000000000000000000ffffc0a84d0a"
NOWHERE = "00000000000000000000ffff00000000"
# The exchange that miniupnpd 2.3.1 had: internal port 8822, external port 22 asked, 23 given.
MAP = MapRequest(
    client=IPv4Address("192.168.77.10"),
    nonce=NONCE,
    internal_port=8822,
    external_port=22,
    external_address=IPv4Address(0),
    lifetime=600,
)
SENT = f"0201 0000 00000258 {HOST} {NONCE.hex()} 06000000 2276 0016 {NOWHERE}"
REPLY = bytes.fromhex(
    f"0281 0000 00000258 0000002c {'00' * 12} {NONCE.hex()} 06000000 2276 0017"
    "00000000000000000000ffff05050501"
)
ANNOUNCE = AnnounceRequest(IPv4Address("192.168.77.10"))
ANNOUNCE_REPLY = bytes.fromhex(f"0280 0000 00000000 0000002c {'00' * 12}")
GLOBAL = IPv6Address("2001:db8:77::10")

ports = st.integers(1, 65535)
seconds = st.integers(0, 2**32 - 1)


def changed(at: int, data: str) -> bytes:
    new = bytes.fromhex(data)
    return REPLY[:at] + new + REPLY[at + len(new) :]


def test_the_requests_are_those_a_real_gateway_understood() -> None:
    assert ANNOUNCE.encode() == bytes.fromhex(f"0200 0000 00000000 {HOST}")
    assert MAP.encode() == bytes.fromhex(SENT)


def test_prefer_failure_is_an_option_without_content() -> None:
    assert replace(MAP, prefer_failure=True).encode() == bytes.fromhex(SENT + "02000000")


def test_an_ipv6_host_sends_plain_ipv6_addresses() -> None:
    request = replace(MAP, client=GLOBAL, external_address=IPv6Address(0), external_port=8822)
    sent = request.encode()
    assert sent[8:24] == GLOBAL.packed
    assert sent[44:] == bytes(16)
    reply = changed(42, "2276")[:44] + GLOBAL.packed
    assert request.decode(reply) == MapResponse(0, 44, 600, 8822, GLOBAL)


def test_real_replies_are_understood() -> None:
    assert ANNOUNCE.decode(ANNOUNCE_REPLY) == AnnounceResponse(0, 44)
    assert MAP.decode(REPLY) == MapResponse(0, 44, 600, 23, IPv4Address("5.5.5.1"))


def test_a_confirmed_deletion_is_understood() -> None:
    request = replace(MAP, lifetime=0, external_port=0)
    reply = bytes.fromhex(
        f"0281 0000 00000000 0000002c {'00' * 12} {NONCE.hex()} 06000000 2276 0000 {NOWHERE}"
    )
    assert request.decode(reply).lifetime == 0


@pytest.mark.attack("a PCP answer has another nonce, port or protocol", "refused")
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param(REPLY[:3], "3 bytes", id="three bytes"),
        pytest.param(REPLY[:20], "20 bytes", id="header cut"),
        pytest.param(REPLY[:56], "56 bytes", id="body cut"),
        pytest.param(REPLY[:24], "24 bytes", id="success without a body"),
        pytest.param(REPLY + b"\0", "61 bytes", id="not a multiple of four"),
        pytest.param(REPLY + bytes(1044), "1104 bytes", id="longer than the RFC allows"),
        pytest.param(changed(0, "00"), "version 0", id="another version"),
        pytest.param(changed(1, "01"), "not a response", id="a request"),
        pytest.param(changed(1, "82"), "opcode 130", id="another opcode"),
        pytest.param(changed(24, "ff"), "another mapping", id="wrong nonce"),
        pytest.param(changed(36, "11"), "another mapping", id="answers for UDP"),
        pytest.param(changed(40, "2277"), "another mapping", id="another internal port"),
        pytest.param(changed(42, "0000"), "external port 0", id="external port 0"),
        pytest.param(changed(44, "20010db8"), "IPv6", id="an IPv6 address for an IPv4 host"),
        pytest.param(REPLY + bytes.fromhex("02000004"), "cut off", id="option cut"),
        pytest.param(REPLY + bytes.fromhex("0200ffff"), "cut off", id="option beyond all"),
    ],
)
def test_a_reply_that_does_not_match_the_request_is_refused(reply: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        MAP.decode(reply)


def test_options_that_were_not_requested_are_ignored() -> None:
    padded = REPLY + bytes.fromhex("02000000 83000003 aabbcc00")
    assert MAP.decode(padded).external_port == 23


def test_an_announcement_is_no_answer_to_a_mapping_request() -> None:
    with pytest.raises(ProtocolError, match="opcode 128"):
        MAP.decode(ANNOUNCE_REPLY)


def test_an_error_names_its_lifetime_and_no_port() -> None:
    refused = changed(3, "0b")
    assert MAP.decode(refused) == MapResponse(Result.CANNOT_PROVIDE_EXTERNAL, 44, 600)
    assert MAP.decode(refused[:24]) == MapResponse(Result.CANNOT_PROVIDE_EXTERNAL, 44, 600)


def test_an_error_with_another_nonce_is_refused() -> None:
    with pytest.raises(ProtocolError, match="another mapping"):
        MAP.decode(changed(24, "ff")[:3] + b"\x02" + changed(24, "ff")[4:])


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("0081 0001", id="version 0 in four bytes"),
        pytest.param("0081 0001 00000009", id="NAT-PMP's eight bytes"),
        pytest.param("0080 0001 00000009", id="NAT-PMP that forgets the opcode"),
        pytest.param(f"0181 0001 00000000 00000009 {'00' * 12}", id="version 1"),
        pytest.param(f"0281 0001 00000000 00000009 {'00' * 12}", id="version 2"),
    ],
)
def test_unsupp_version_is_read_in_the_format_of_any_version(reply: str) -> None:
    assert MAP.decode(bytes.fromhex(reply)).result == Result.UNSUPP_VERSION


def test_results_have_the_rfcs_numbers() -> None:
    assert (Result.NOT_AUTHORIZED, Result.UNSUPP_OPTION, Result.NO_RESOURCES) == (2, 5, 8)
    assert (Result.CANNOT_PROVIDE_EXTERNAL, Result.ADDRESS_MISMATCH) == (11, 12)
    assert max(Result).name == "EXCESSIVE_REMOTE_PEERS"


@given(st.ip_addresses())
def test_an_address_survives_the_wire(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert from_wire(to_wire(address)) == (mapped or address)


@given(
    nonce=st.binary(min_size=12, max_size=12),
    client=st.ip_addresses(v=4),
    internal=ports,
    asked=ports,
    given_port=ports,
    outside=st.ip_addresses(v=4),
    lifetime=seconds,
    granted=seconds,
    at=seconds,
    prefer_failure=st.booleans(),
)
def test_every_well_formed_answer_is_read_back(
    nonce: bytes,
    client: IPv4Address,
    internal: int,
    asked: int,
    given_port: int,
    outside: IPv4Address,
    lifetime: int,
    granted: int,
    at: int,
    prefer_failure: bool,
) -> None:
    request = MapRequest(client, nonce, internal, asked, outside, lifetime, prefer_failure)
    sent = request.encode()
    assert len(sent) == 60 + 4 * prefer_failure
    assert (int.from_bytes(sent[4:8]), sent[20:24]) == (lifetime, client.packed)
    reply = b"\2\x81\0\0" + granted.to_bytes(4) + at.to_bytes(4) + bytes(12) + sent[24:42]
    reply += given_port.to_bytes(2) + sent[44:56] + outside.packed
    assert request.decode(reply) == MapResponse(0, at, granted, given_port, outside)


def test_no_bytes_raise_anything_but_a_protocol_error() -> None:
    chance = random.Random(6887)
    for turn in range(20_000):
        data = bytearray(chance.choice([REPLY, ANNOUNCE_REPLY]) + chance.randbytes(turn % 3 * 4))
        if turn % 4 == 0:
            data = bytearray(chance.randbytes(chance.randrange(1200)))
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        cut = chance.choice([len(data), chance.randrange(len(data) + 1)])
        for decode in (MAP.decode, ANNOUNCE.decode, announced):
            try:
                answer = decode(bytes(data[:cut]))
            except ProtocolError:
                continue
            assert isinstance(answer, (MapResponse, AnnounceResponse))


def test_a_restart_is_announced_as_miniupnpd_does() -> None:
    assert announced(bytes.fromhex(f"0280 0000 00000000 00000000 {'00' * 12}")) == AnnounceResponse(
        0, 0
    )


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(ANNOUNCE.encode(), id="a request"),
        pytest.param(REPLY, id="another opcode"),
        pytest.param(ANNOUNCE_REPLY[:3] + b"\3" + ANNOUNCE_REPLY[4:], id="a failure"),
        pytest.param(b"\3\x80\0\1", id="another version"),
        pytest.param(ANNOUNCE_REPLY[:20], id="cut off"),
        pytest.param(ANNOUNCE_REPLY + b"\1\0\0\4", id="an option that is cut off"),
        pytest.param(ANNOUNCE_REPLY + bytes(1100), id="longer than a message may be"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_anything_else_is_no_announcement(datagram: bytes) -> None:
    with pytest.raises(ProtocolError):
        announced(datagram)


@pytest.mark.parametrize(
    ("epoch", "continuous"),
    [
        pytest.param(1160, True, id="the same clock"),
        pytest.param(1148, True, id="a clock one sixteenth slow, two seconds off"),
        pytest.param(1147, False, id="slower than that"),
        pytest.param(1172, True, id="a clock one sixteenth fast, two seconds off"),
        pytest.param(1173, False, id="faster than that"),
        pytest.param(3, False, id="restarted"),
    ],
)
def test_epoch_rule_of_rfc_6887(epoch: int, continuous: bool) -> None:
    assert epoch_is_continuous(1000, 50.0, epoch, 210.0) is continuous


def test_an_epoch_may_go_back_by_one_second_as_packets_overtake_each_other() -> None:
    assert epoch_is_continuous(1000, 50.0, 999, 50.5)
    assert not epoch_is_continuous(1000, 50.0, 998, 50.5)


def test_the_first_renewal_is_spread_over_a_quarter_of_the_last_half() -> None:
    assert renewal_delay(800, lambda low, _: low) == 400
    assert renewal_delay(800, lambda _, high: high) == 500
