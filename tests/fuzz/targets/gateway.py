"""What a gateway, or who poses as one, sends in datagrams: PCP, NAT-PMP, announcements, SSDP."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from pairingd.world.gateway.pxp import announcements, natpmp_codec, pcp_codec
from pairingd.world.gateway.pxp.codec import ProtocolError
from pairingd.world.gateway.upnp import ssdp
from pairingd.world.gateway.upnp.location import location_host, repointed
from tests.fuzz import promises
from tests.fuzz.engine import Target

NONCE = bytes(range(12))
GATEWAY = "192.168.1.1"
_PCP4 = pcp_codec.MapRequest(IPv4Address("192.168.1.10"), NONCE, 50111, 22, IPv4Address(0), 600)
_PCP6 = pcp_codec.MapRequest(IPv6Address("2001:db8::5"), NONCE, 50111, 22, IPv6Address(0), 600)
_NATPMP = natpmp_codec.MapRequest(50111, 22, 600)
_MOST = 2**32 - 1


def pcp_map(data: bytes) -> str:
    """A grant is for our nonce and port, and of a port and an address that guests can come to."""
    for request in (_PCP4, _PCP6):
        try:
            answer = request.decode(data)
        except ProtocolError as error:
            said = str(error)
            continue
        assert data[1] & 0x80
        assert 0 <= answer.epoch <= _MOST
        assert 0 <= answer.lifetime <= _MOST
        if answer.result == pcp_codec.Result.SUCCESS:
            assert data[24:36] == NONCE
            assert 0 < answer.external_port < 65536
            assert answer.external_address is not None
            assert answer.external_address.version == request.client.version
        else:
            assert (answer.external_port, answer.external_address) == (0, None)
        return str(answer.result == pcp_codec.Result.SUCCESS)
    return said


def pcp_announce(data: bytes) -> str:
    """An epoch of 32 bits, from a response to ANNOUNCE alone."""
    try:
        answer = pcp_codec.AnnounceRequest(IPv4Address("192.168.1.10")).decode(data)
    except ProtocolError as error:
        return str(error)
    assert 0 <= answer.epoch <= _MOST
    return str(answer.result == pcp_codec.Result.SUCCESS)


def natpmp_map(data: bytes) -> str:
    """A grant is for our port, and of a port."""
    try:
        answer = _NATPMP.decode(data)
    except ProtocolError as error:
        return str(error)
    assert len(data) <= 16
    granted = answer.result == natpmp_codec.Result.SUCCESS
    assert (0 < answer.external_port < 65536) if granted else answer.external_port == 0
    assert 0 <= answer.lifetime <= _MOST
    return str(granted)


def natpmp_address(data: bytes) -> str:
    """An address where the gateway reports success, and nowhere else."""
    try:
        answer = natpmp_codec.AddressRequest().decode(data)
    except ProtocolError as error:
        return str(error)
    assert (answer.address is not None) == (answer.result == natpmp_codec.Result.SUCCESS)
    return str(answer.address is not None)


def announcement(data: bytes) -> str:
    """What says that a gateway has started anew is a success of one of the two protocols."""
    said = announcements._is_announcement(data)
    assert not said or (data[0] in {0, 2} and data[1] == 0x80)
    return str(said)


def ssdp_reply(data: bytes) -> str:
    """A location is a short, printable, plain http URL."""
    reply = ssdp.parse(data)
    if reply is None:
        return "none"
    promises.words(reply.location, 513)
    assert reply.location.lower().startswith("http://")
    assert location_host(reply.location)
    for gateway in (GATEWAY, "fe80::1%eth0"):
        assert location_host(repointed(reply.location, gateway)) in {gateway, None}
    return str(reply.is_gateway)


TARGETS = (
    Target("pcp-map", pcp_map),
    Target("pcp-announce", pcp_announce),
    Target("natpmp-map", natpmp_map),
    Target("natpmp-address", natpmp_address),
    Target("announcement", announcement),
    Target("ssdp-reply", ssdp_reply),
)
