"""What a UPnP router answers in HTTP and XML."""

from __future__ import annotations

from pairingd.world.gateway.upnp import actions
from pairingd.world.gateway.upnp import description as upnp_description
from pairingd.world.gateway.upnp.http1 import LARGEST, Http
from pairingd.world.gateway.upnp.location import location_host
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Fault, Service
from tests.fuzz import promises
from tests.fuzz.engine import Target

HOST = "192.168.1.1"
URL = f"http://{HOST}:5000/rootDesc.xml"
_SERVICE = Service("urn:schemas-upnp-org:service:WANIPConnection:1", f"http://{HOST}/ctl")
_CALLS = (
    actions.status(_SERVICE),
    actions.external_address(_SERVICE),
    actions.forward_of(_SERVICE, 22),
    actions.forward_at(_SERVICE, 0),
    actions.delete_forward(_SERVICE, 22),
    actions.firewall_status(_SERVICE),
    actions.add_pinhole(_SERVICE, "fd00::9", 50111, 600),
)


def description(data: bytes) -> str:
    """Every service that may be asked is at the host of the description."""
    try:
        found = upnp_description.read(data.decode(errors="replace"), URL)
    except BadAnswer as error:
        return str(error)
    assert len(found.services) + len(found.elsewhere) <= 64
    for service in found.services:
        assert location_host(service.control_url) == HOST
        promises.words(service.control_url, 513)
    assert set(found.wan_services) <= set(found.services)
    kinds = [service.type.rpartition(":")[0].rpartition(":")[2] for service in found.wan_services]
    assert set(kinds) <= {"WANIPConnection", "WANPPPConnection"}
    return f"{len(found.services)} {found.names_wan_services_elsewhere}"


def soap_answer(data: bytes) -> str:
    """Typed values, or a fault with a code of five digits at most."""
    text = data.decode(errors="replace")
    outcomes = []
    for call in _CALLS:
        try:
            value = call.read(text)
        except BadAnswer:
            outcomes.append("strange")
        except Fault as fault:
            promises.number(fault.code, -99999, 99999)
            outcomes.append("fault")
        else:
            if isinstance(value, actions.Forward):
                promises.number(value.lease, 0, 10**10)
            outcomes.append(type(value).__name__)
    return " ".join(outcomes)


def http_answer(data: bytes) -> str:
    """A text of bounded length, whatever comes in whatever pieces."""
    for size in (len(data) or 1, len(data) // 16 + 1, len(data) // 256 + 1):
        http = Http(upnp_description.describe(URL))
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        try:
            texts = (http.receive(piece) for piece in [*pieces, b""])
            text = next(text for text in texts if text is not None)
        except (BadAnswer, ConnectionResetError) as error:
            outcome = str(error)
        else:
            assert len(text) <= LARGEST
            outcome = str(http.status // 100)
    return outcome


TARGETS = (
    Target("upnp-description", description),
    Target("upnp-soap-answer", soap_answer),
    Target("upnp-http-answer", http_answer),
)
