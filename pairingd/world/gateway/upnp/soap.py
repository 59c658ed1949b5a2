"""A UPnP router asked directly: which services it has, and what their actions answer.

For pinholes and for diagnosis, since miniupnpc has no pinholes and shows no services. UPnP Device
Architecture 2.0 §2.3 (description) and §3.1 (SOAP). Costs httpx and an XML parser: to be imported
where it is needed.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import httpx

from pairingd.core.text import one_line
from pairingd.world.gateway.upnp.ssdp import location_host

_LARGEST = 256 * 1024
_SECONDS = 4.0  # for one answer, whole
_LONGEST_URL = 512
_MOST_DESCRIBED = 64  # of services; what comes after them is not looked at
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")


class Strange(Exception):
    """What answers there is no gateway, or none that can be believed."""


class Fault(Exception):
    """UPnP's error code, 0 where there was none."""

    def __init__(self, code: int) -> None:
        super().__init__(f"UPnP error {code}")
        self.code = code


FAILURES = (Strange, Fault, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Service:
    type: str
    control_url: str


@dataclass(slots=True)
class Igd:
    """The router at a description URL. Every call may raise one of FAILURES."""

    url: str
    client: httpx.AsyncClient
    name: str = ""
    services: list[Service] = field(default_factory=list)

    @classmethod
    async def at(cls, url: str, client: httpx.AsyncClient) -> Self:
        igd = cls(url, client)
        _, text = await igd._ask("GET", url, {}, "")
        root = _xml(text)
        igd.name = one_line(_text(root, "friendlyName") or "a router without a name", 40)
        igd.services = list(_services(root, url))
        if not igd.services:
            raise Strange(f"{url} describes no UPnP service")
        return igd

    def service(self, kind: re.Pattern[str]) -> Service:
        """The first whose type is of that kind. Raises Strange where there is none."""
        for service in self.services:
            if kind.fullmatch(service.type):
                return service
        raise Strange(f"{self.url} has no such service as {kind.pattern}")

    async def call(self, service: Service, action: str, **arguments: str) -> dict[str, str]:
        """What the action answers, as the router wrote it. Raises Fault where it answers no."""
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in arguments.items())
        body = (
            '<?xml version="1.0"?>\r\n'
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
            ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
            f'<u:{action} xmlns:u="{service.type}">{inner}</u:{action}></s:Body></s:Envelope>'
        )
        headers = {
            "Content-Type": 'text/xml; charset="utf-8"',
            "SOAPAction": f'"{service.type}#{action}"',
        }
        _, text = await self._ask("POST", service.control_url, headers, body)
        return _answer(text, action)

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: str
    ) -> tuple[int, str]:
        """The status, which tells nothing that the text does not, and the text."""
        content = bytearray()
        # The client's own limit is for each read, and a router can drip for ever.
        async with (
            asyncio.timeout(_SECONDS),
            self.client.stream(method, url, headers=headers, content=body) as response,
        ):
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > _LARGEST:
                    raise Strange(f"{url} answers more than {_LARGEST // 1024} KiB")
        return response.status_code, content.decode(errors="replace")


def client(address: str) -> httpx.AsyncClient:
    """For the LAN: from our own address there, without the environment's proxies."""
    # Plain http only: a context that trusts no one spares loading the CAs.
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(verify=no_tls, local_address=address),
        trust_env=False,
        timeout=_SECONDS,
        headers={"Accept-Encoding": "identity"},
    )


def _xml(text: str) -> ET.Element:
    """No document type, so no entities: what is left of XML is harmless at this size."""
    # Prefixes tell nothing here, and there are routers that use one without declaring it, or that
    # show a device's name with characters that XML 1.0 §2.2 does not know.
    allowed = "".join(c for c in text if c.isprintable() or c in "\t\r\n")
    plain = re.sub(r"(</?)[\w.-]+:", r"\1", allowed.strip())
    if _DECLARATION.search(plain):
        raise Strange("the router's XML brings a document type of its own")
    try:
        return ET.fromstring(plain)  # noqa: S314 - see above
    except ET.ParseError:
        raise Strange("the router's answer is no XML") from None


def _answer(text: str, action: str) -> dict[str, str]:
    root = _xml(text)
    code = _text(root, "errorCode")
    if code or _first(root, "Fault") is not None:
        raise Fault(int(code) if re.fullmatch(r"\d{1,4}", code, re.ASCII) else 0)
    response = _first(root, f"{action}Response")
    if response is None:
        raise Strange(f"that is no answer to {action}")
    return _children(response)


def _services(root: ET.Element, url: str) -> Iterator[Service]:
    """Those whose control URL is where the description is."""
    base = _text(root, "URLBase") or url
    described = (one for one in root.iter() if _tag(one) == "service")
    for element in itertools.islice(described, _MOST_DESCRIBED):
        told = _children(element)
        kind, control = told.get("serviceType", ""), told.get("controlURL", "")
        if max(len(base), len(control)) > _LONGEST_URL:
            raise Strange(f"{url} names a URL that has no end")
        joined = urljoin(base, control)
        if location_host(joined) != urlsplit(url).hostname:
            raise Strange(f"{url} names a control URL on another host")
        yield Service(one_line(kind, 80), joined)


def _children(element: ET.Element) -> dict[str, str]:
    return {_tag(one): (one.text or "").strip() for one in element}


def _text(root: ET.Element, name: str) -> str:
    found = _first(root, name)
    return (found.text or "").strip() if found is not None else ""


def _first(root: ET.Element, name: str) -> ET.Element | None:
    return next((one for one in root.iter() if _tag(one) == name), None)


def _tag(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]
