"""A WAN service of a router asked in SOAP of our own, for what miniupnpc does not tell or not ask.

Its binding hides the code of a refused query, and takes a description's first WAN service even
where that is dead and the next one is not. For the UPnP child alone: this blocks, without a limit
of its own for the whole. UPnP Device Architecture 2.0 §2.3 and §3.1; WANIPConnection:1 §2.4.
"""

from __future__ import annotations

import html
import re
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.sax.saxutils import escape

# In the order in which they are preferred.
KINDS = (
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
_LARGEST = 1 << 18  # bytes of an answer that are looked at
_PATIENCE = 3.0  # seconds for a connection, and for each read


class Refused(Exception):
    """UPnP's error code, 0 for an answer that has none and is no yes."""

    def __init__(self, code: int) -> None:
        super().__init__(f"UPnP error {code}")
        self.code = code


class Elsewhere(Exception):
    """The WAN services of a description are all at other hosts."""


class WanService:
    """Some methods of miniupnpc.UPnP, with its names and shapes.

    They raise Refused, OSError, and ValueError for what should be a number and is none.
    """

    def __init__(self, control: str, kind: str) -> None:
        self.control = control
        self._kind = kind

    def statusinfo(self) -> tuple[str, int]:
        told = self._call("GetStatusInfo")
        return told.get("NewConnectionStatus", ""), int(told.get("NewUptime", "0"))

    def connectiontype(self) -> str:
        return self._call("GetConnectionTypeInfo").get("NewConnectionType", "")

    def externalipaddress(self) -> str:
        return self._call("GetExternalIPAddress").get("NewExternalIPAddress", "")

    def getspecificportmapping(self, port: int, protocol: str) -> tuple[Any, ...]:
        of = {"NewRemoteHost": "", "NewExternalPort": str(port), "NewProtocol": protocol}
        return _row(self._call("GetSpecificPortMappingEntry", **of))

    def getgenericportmapping(self, index: int) -> tuple[Any, ...]:
        told = self._call("GetGenericPortMappingEntry", NewPortMappingIndex=str(index))
        client, internal, description, enabled, lease = _row(told)
        port, protocol = int(told.get("NewExternalPort", "0")), told.get("NewProtocol", "")
        return port, protocol, (client, internal), description, enabled, "", lease

    def addportmapping(
        self,
        port: int,
        protocol: str,
        client: str,
        internal_port: int,
        description: str,
        remote: str,
        lease: int,
    ) -> None:
        self._call(
            "AddPortMapping",
            NewRemoteHost=remote,
            NewExternalPort=str(port),
            NewProtocol=protocol,
            NewInternalPort=str(internal_port),
            NewInternalClient=client,
            NewEnabled="1",
            NewPortMappingDescription=description,
            NewLeaseDuration=str(lease),
        )

    def deleteportmapping(self, port: int, protocol: str) -> None:
        of = {"NewRemoteHost": "", "NewExternalPort": str(port), "NewProtocol": protocol}
        self._call("DeletePortMapping", **of)

    def _call(self, action: str, **arguments: str) -> dict[str, str]:
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in arguments.items())
        body = (
            '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
            's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
            f'<u:{action} xmlns:u="{self._kind}">{inner}</u:{action}></s:Body></s:Envelope>'
        )
        soap = f'Content-Type: text/xml; charset="utf-8"\r\nSOAPAction: "{self._kind}#{action}"\r\n'
        return answered(_http("POST", self.control, soap, body), action)


def services(url: str) -> list[WanService]:
    """The WAN services that the description at `url` names, if at its own host; the best first.

    Raises OSError, and Elsewhere.
    """
    return described(_http("GET", url), url)


def described(text: str, url: str) -> list[WanService]:
    """Those that a description names. Raises Elsewhere."""
    base = _text("URLBase", text) or url
    host = urlsplit(url).hostname or ""
    # Split, and not matched: text full of services without an end would cost its square.
    blocks = (part.partition("</service>") for part in text.split("<service>")[1:])
    all_services = [
        (_text("serviceType", block), _joined(base, _text("controlURL", block)))
        for block, end, _ in blocks
        if end
    ]
    named = [(kind, control) for kind in KINDS for told, control in all_services if told == kind]
    here = [WanService(control, kind) for kind, control in named if is_at(host, control)]
    if named and not here:
        raise Elsewhere
    return here


def answered(text: str, action: str) -> dict[str, str]:
    """What an action answers, by the names of its arguments. Raises Refused."""
    if f"{action}Response" not in text:
        found = re.search(r"errorCode>\s*([0-9]{1,3})\s*<", text)
        raise Refused(int(found[1]) if found else 0)
    return {
        name: html.unescape(value).strip()
        for name, value in re.findall(r"<(?:\w+:)?(New\w+)(?:\s[^<>]*)?>([^<]*)</", text)
    }


def is_at(host: str, url: str) -> bool:
    """Whether who reads `url` in whatever way asks `host`.

    urlsplit takes what is after an "@" for the host, miniupnpc all before the first ":" or "/".
    """
    name = re.escape(f"[{host}]" if ":" in host else host)
    return re.match(rf"http://{name}(:\d{{1,5}})?/", url, re.IGNORECASE) is not None


def _row(told: dict[str, str]) -> tuple[Any, ...]:
    numbers = (int(told.get(name, "0")) for name in ("NewInternalPort", "NewLeaseDuration"))
    internal, lease = numbers
    description = told.get("NewPortMappingDescription", "")
    return told.get("NewInternalClient", ""), internal, description, True, lease


def _joined(base: str, control: str) -> str:
    try:
        return urljoin(base, control)
    except ValueError:  # which is_at refuses
        return ""


def _text(name: str, xml: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", xml)
    return html.unescape(found[1]).strip() if found else ""


def _http(method: str, url: str, headers: str = "", body: str = "") -> str:
    """What is answered, its headers too. Raises OSError, also for an answer of nothing."""
    parts, content = urlsplit(url), body.encode()
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n{headers}"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    said = b""
    address = parts.hostname or "", parts.port or 80
    with socket.create_connection(address, _PATIENCE) as connection:
        connection.sendall(head.encode() + content)
        while len(said) < _LARGEST and (more := connection.recv(1 << 14)):
            said += more
    if not said:
        raise ConnectionResetError
    # A chunk's length stands between two lines of its own (RFC 9112 §7.1), wherever they fall.
    return re.sub(r"\r\n[0-9a-fA-F]{1,8}\r\n", "", said.decode(errors="replace"))
