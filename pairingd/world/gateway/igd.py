"""A UPnP router asked directly: which services it has, and the raw words of each exchange.

For pinholes and for diagnosis, since miniupnpc has no pinholes and shows neither services nor
exchanges. UPnP Device Architecture 2.0 §2.3 (description) and §3.1 (SOAP). Costs httpx and an XML
parser: to be imported where it is needed.
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

_LARGEST = 256 * 1024
_SECONDS = 4.0  # for one answer, whole
_SHOWN = 1500  # characters of one message in the record of exchanges
MOST_SERVICES = 24
_LONGEST_URL = 512
_MOST_DESCRIBED = 64  # of services; what comes after them is not looked at
_WAN = re.compile(r"urn:[\w.-]+:service:(WANIPConnection|WANPPPConnection):\d+")
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
_END_OF_TABLE = frozenset({713, 714})  # SpecifiedArrayIndexInvalid; some say NoSuchEntryInArray
NO_SUCH_ENTRY = 714


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


@dataclass(frozen=True, slots=True)
class Forward:
    """A row of the router's table, made printable."""

    external_port: str
    protocol: str
    client: str
    internal_port: str
    lease: str
    description: str

    @classmethod
    def of(cls, values: dict[str, str]) -> Self:
        def told(name: str) -> str:
            return one_line(values.get(f"New{name}", ""), 40)

        return cls(
            external_port=told("ExternalPort"),
            protocol=told("Protocol"),
            client=told("InternalClient"),
            internal_port=told("InternalPort"),
            lease=told("LeaseDuration"),
            description=told("PortMappingDescription"),
        )

    def __str__(self) -> str:
        lease = "no end" if self.lease == "0" else f"{self.lease} s left"
        way = f"{self.external_port}/{self.protocol} -> {self.client}:{self.internal_port}"
        return f"{way}  {lease}  {self.description}"


@dataclass(slots=True)
class Igd:
    """The router at a description URL. `exchanges` is what was said, both ways.

    Every call may raise one of FAILURES.
    """

    url: str
    client: httpx.AsyncClient
    name: str = ""
    services: list[Service] = field(default_factory=list)
    exchanges: list[str] = field(default_factory=list)

    @classmethod
    async def at(cls, url: str, client: httpx.AsyncClient) -> Self:
        igd = cls(url, client)
        root = _xml(await igd._ask("GET", url, {}, ""))
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

    async def external_address(self) -> str:
        answer = await self._wan("GetExternalIPAddress")
        return one_line(answer.get("NewExternalIPAddress", ""), 40)

    async def holder(self, port: int) -> Forward | None:
        """Of an external TCP port; None where it is free."""
        wanted = {"NewExternalPort": str(port), "NewProtocol": "TCP"}
        try:
            answer = await self._wan("GetSpecificPortMappingEntry", NewRemoteHost="", **wanted)
        except Fault as fault:
            if fault.code == NO_SUCH_ENTRY:
                return None
            raise
        return Forward.of(wanted | answer)

    async def table(self, most: int) -> list[Forward]:
        """At most `most` rows, in the router's order."""
        rows: list[Forward] = []
        while len(rows) < most:
            index = {"NewPortMappingIndex": str(len(rows))}
            try:
                rows.append(Forward.of(await self._wan("GetGenericPortMappingEntry", **index)))
            except Fault as fault:
                if fault.code in _END_OF_TABLE:
                    break
                raise
        return rows

    async def _wan(self, action: str, **arguments: str) -> dict[str, str]:
        """Asked of the service that keeps the mappings."""
        return await self.call(self.service(_WAN), action, **arguments)

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
        root = _xml(await self._ask("POST", service.control_url, headers, body))
        code = _text(root, "errorCode")
        if code or _first(root, "Fault") is not None:
            raise Fault(int(code) if re.fullmatch(r"\d{1,4}", code, re.ASCII) else 0)
        response = _first(root, f"{action}Response")
        if response is None:
            raise Strange(f"what {service.control_url} says is no answer to {action}")
        return _children(response)

    async def _ask(self, method: str, url: str, headers: dict[str, str], body: str) -> str:
        self.exchanges.append(f"> {method} {url} {headers.get('SOAPAction', '')}".rstrip())
        self._record(">", body)
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
        text = content.decode(errors="replace")
        self.exchanges.append(f"< {response.status_code}")
        self._record("<", text)
        return text

    def _record(self, sign: str, text: str) -> None:
        for line in text[:_SHOWN].splitlines():
            if line.strip():
                self.exchanges.append(f"{sign} {one_line(line, _SHOWN)}")


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
        if urlsplit(joined).hostname != urlsplit(url).hostname:
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
