"""What a UPnP router answers in XML, and what the child process that asks it makes of that."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from pairingd.core.model import Mapping
from pairingd.core.text import one_line
from pairingd.world.gateway.upnp import answer as upnp_answer
from pairingd.world.gateway.upnp import soap as igd
from pairingd.world.gateway.upnp import wan_service
from tests.fuzz import mutation, promises
from tests.fuzz.engine import Target

HOST = "192.168.1.1"
URL = f"http://{HOST}:5000/rootDesc.xml"
_ACTIONS = ("GetFirewallStatus", "AddPinhole", "GetSpecificPortMappingEntry")
_WANTED = Mapping("m1", "upnp", "eth0", HOST, "", 22, "192.168.1.10", 50111, "0" * 32)


def description(data: bytes) -> str:
    """Every control URL is at the host of the description, for each library that reads it."""
    text = data.decode(errors="replace")
    try:
        root = igd._xml(text)
        name = one_line(igd._text(root, "friendlyName"), 40)
        assert name.isprintable()
        services = list(igd._services(root, URL))
    except igd.FAILURES as error:
        return type(error).__name__
    assert len(services) <= 64
    for service in services:
        assert service.type.isprintable()
        assert urlsplit(service.control_url).hostname == HOST
        try:
            assert httpx.URL(service.control_url).host == HOST
        except httpx.InvalidURL:
            continue  # one of igd.FAILURES, when it is asked
    return str(bool(services))


def soap_answer(data: bytes) -> str:
    """Words by their names, or a fault with a code of four digits at most."""
    text = data.decode(errors="replace")
    said = set()
    for action in _ACTIONS:
        try:
            told = igd._answer(text, action)
        except igd.Strange as error:
            said.add(str(error))
        except igd.Fault as fault:
            promises.number(fault.code, 0, 9999)
            said.add("fault")
        else:
            assert all(isinstance(one, str) for pair in told.items() for one in pair)
            said.add(" ".join(told))
    return " ".join(sorted(said))


def wan_description(data: bytes) -> str:
    """WAN services of three kinds, with control URLs at the host of the description."""
    try:
        services = wan_service.described(data.decode(errors="replace"), URL)
    except wan_service.Elsewhere:
        return "elsewhere"
    for service in services:
        assert service._kind in wan_service.KINDS
        assert urlsplit(service.control).hostname == HOST
        assert wan_service.is_at(HOST, service.control)
    return str(len(services))


class _Told(wan_service.WanService):
    """A service that answers every action with the same text."""

    def __init__(self, text: str) -> None:
        super().__init__(f"http://{HOST}/ctl", wan_service.KINDS[1])
        self._text = text

    def _call(self, action: str, **arguments: str) -> dict[str, str]:
        return wan_service.answered(self._text, action)


def wan_answer(data: bytes) -> str:
    """UPnP's code, or what the names say; numbers that are none are ValueErrors."""
    asked = _Told(data.decode(errors="replace"))
    said = []
    questions: tuple[Any, ...] = (
        asked.statusinfo,
        asked.connectiontype,
        asked.externalipaddress,
        lambda: asked.getspecificportmapping(22, "TCP"),
        lambda: asked.getgenericportmapping(0),
        lambda: asked.deleteportmapping(22, "TCP"),
    )
    for question in questions:
        try:
            question()
            said.append("yes")
        except wan_service.Refused as refused:
            promises.number(refused.code, 0, 999)
            said.append("refused")
        except ValueError:
            said.append("strange")
    return " ".join(said)


def child_answer(data: bytes) -> str:
    """What a child that was taken over may say is read strictly, and told in printable words."""
    try:
        answer = upnp_answer.parse(data)
    except ValueError as error:
        return type(error).__name__
    told = upnp_answer.refusal(answer, _WANTED)
    promises.words(told.message + told.hint, 500)
    return answer.outcome


TARGETS = (
    Target("upnp-description", description),
    Target("upnp-soap-answer", soap_answer),
    Target("wan-description", wan_description),
    Target("wan-answer", wan_answer),
    Target("upnp-child-answer", child_answer, mutation.lines_of_json),
)
