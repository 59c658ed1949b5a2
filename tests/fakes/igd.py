"""A scriptable UPnP router on loopback that really forwards.

As a program: `python -m tests.fakes.igd --port 0` prints one line of JSON with its description URL
and serves until it is ended; `GET /mappings` shows its table.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, cast
from xml.sax.saxutils import escape, unescape

from msgspec import Struct

_TYPE = "urn:schemas-upnp-org:service:"
_FIREWALL = _TYPE + "WANIPv6FirewallControl:1"
_PERMANENT_MAX = 604800


class Quirk(StrEnum):
    ONLY_PERMANENT = "only-permanent"  # 725 for every lease
    LEASE_INVALID = "lease-invalid"  # 402 for every lease
    LEASE_AN_HOUR = "lease-an-hour"  # 402 for every lease but 3600 (and none)
    LOW_PORTS_REFUSED = "low-ports-refused"  # 606 below 1024
    SAME_PORT_ONLY = "same-port-only"  # 724 unless both ports are equal
    INTERNAL_PORT_IGNORED = "internal-port-ignored"  # forwards to the external port's number
    LEASE_DROPPED = "lease-dropped"  # says yes, and a mapping with a lease is gone at once
    MADE_LATE = "made-late"  # says yes, and makes it a second later
    OTHER_PORT = "other-port"  # says yes, and makes it 10000 ports higher
    UNSHOWN = "unshown"  # forwards, and says 714 and 713 to who asks what
    DISABLED = "disabled"  # forwards nothing, and lists all it has as disabled
    FREE_AS_EMPTY = "free-as-empty"  # shows a free port as a row without values
    FREE_AS_ZEROS = "free-as-zeros"  # or as one of zeros
    TABLE_LOWER = "table-lower"  # shows the protocol as "tcp"
    TABLE_CUT = "table-cut"  # shows the first row, and fails at the next
    RENEWAL_IGNORED = "renewal-ignored"  # says yes, and the old lease runs on
    RENEWAL_KEEPS_DESCRIPTION = "renewal-keeps-description"
    DESCRIPTION_ALTERED = "description-altered"
    DELETE_SAYS_YES = "delete-says-yes"  # also to who deletes what is not there
    DELETE_IGNORED = "delete-ignored"
    LEASE_SHORT = "lease-short"  # shows 2 s whatever it is
    LEASE_NO_NUMBER = "lease-no-number"
    PORTS_AS_RANGES = "ports-as-ranges"  # internal ones: 80-80
    LEASE_UNTOLD = "lease-untold"  # shows lease 0 whatever it is
    DISCONNECTED = "disconnected"
    DEAD_SERVICE_FIRST = "dead-service-first"  # WANIPConnection:1, before a WANPPPConnection:1
    DOWN_SERVICE_FIRST = "down-service-first"  # likewise, and it says that it is disconnected
    STALE_SERVICE_FIRST = "stale-service-first"  # likewise, and it still shows an address
    PRIVATE_SERVICE_FIRST = "private-service-first"  # connected, to the provider's own network
    NO_WAN_SERVICE = "no-wan-service"
    FAULTS_AND_MAPS = "faults-and-maps"  # 501 for what it has made
    CLIENT_HIDDEN = "client-hidden"  # shows 0.0.0.0 and no description
    CLIENT_NAMED = "client-named"  # shows a host name
    CLIENT_CHANGED = "client-changed"  # forwards to another machine than it was told
    USERINFO_CONTROL = "userinfo-control"  # `http://127.0.0.2:80@…`, whose host is read in two ways
    OFF_HOST_CONTROL = "off-host-control"  # the control URL is at `localhost`, the location is not
    HTTP_DRIP = "http-drip"
    HTTP_ENDLESS = "http-endless"
    XML_BOMB = "xml-bomb"
    XML_BOMB_PREFIXED = "xml-bomb-prefixed"  # its declarations are one once prefixes are taken off
    XML_BOMB_UNPRINTABLE = "xml-bomb-unprintable"  # or what XML does not allow
    UPTIME_ZERO = "uptime-zero"  # always
    STATUS_SILENT = "status-silent"  # never answers to GetStatusInfo
    SOAP_SILENT = "soap-silent"  # describes itself, and never answers a SOAP request
    FIREWALL_OFF = "firewall-off"  # of IPv6: all come through
    NO_PINHOLES = "no-pinholes"  # GetFirewallStatus says that none are allowed
    SAYS_402 = "says-402"  # of a pinhole that is not there, as miniupnpd 2.3.1 does
    TWO_DESCRIPTIONS = "two-descriptions"  # each search is told of both
    SSDP_FLOOD = "ssdp-flood"  # a thousand replies for each search, the true one the last


# What GetStatusInfo and GetExternalIPAddress of the first service answer; no address is a fault.
_FIRST_SERVICES = {
    Quirk.DEAD_SERVICE_FIRST: ("", ""),
    Quirk.DOWN_SERVICE_FIRST: ("Disconnected", ""),
    Quirk.STALE_SERVICE_FIRST: ("Disconnected", "5.5.5.9"),
    Quirk.PRIVATE_SERVICE_FIRST: ("Connected", "10.9.9.9"),
}

_BOMBS = {
    Quirk.XML_BOMB: "<!",
    Quirk.XML_BOMB_PREFIXED: "<a:!",
    Quirk.XML_BOMB_UNPRINTABLE: "<\x01!",
}


class SoapError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Forward(Struct):
    """A row of the table. `lease` 0 has no end."""

    external_port: int
    client: str
    internal_port: int
    description: str
    lease: int
    until: float | None
    server: asyncio.Server | None = None
    timer: asyncio.TimerHandle | None = None

    def remaining(self) -> int:
        return 0 if self.until is None else max(0, round(self.until - time.monotonic()))

    def stop(self) -> None:
        """New connections are refused from now on; those that stand go on, as with conntrack."""
        if self.timer:
            self.timer.cancel()
        if self.server:
            self.server.close()


class Pinhole(Struct):
    client: str
    port: int
    lease: int


@dataclass
class FakeIgd:
    """`async with FakeIgd() as igd:` - then `igd.description_url`, `igd.mappings`, `igd.counts`.

    `listen` is where external ports open; None keeps the table without forwarding anything.
    `failing[action] = code` makes an action fail until it is removed; `failing_once[action]` holds
    codes for the next calls only. `address` is where it listens; on ::1 it is a router's IPv6 side,
    with `pinholes` by their UniqueID. `hang_up` names actions that are done and not answered. `asked_silently` and `emptied` are set when a silent router is
    first asked, and when the last mapping goes.
    """

    port: int = 0
    address: str = "127.0.0.1"
    external_host: str = "5.5.5.1"
    listen: str | None = None
    quirks: set[Quirk] = field(default_factory=set)
    version: int = 1
    wan: str = ""  # the type of its WAN service, such as WANPPPConnection:2
    ssdp: bool = False
    mappings: dict[int, Forward] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failing: dict[str, int] = field(default_factory=dict)
    failing_once: dict[str, list[int]] = field(default_factory=dict)
    pinholes: dict[int, Pinhole] = field(default_factory=dict)
    next_pinhole: int = 1
    hang_up: set[str] = field(default_factory=set)
    answers: dict[str, bytes] = field(default_factory=dict)  # by action, once it is done
    delay: float = 0.0  # seconds, of each answer
    ssdp_port: int = 0
    location: str = ""
    second_location: str = ""
    requested: list[int] = field(default_factory=list)  # external ports, of every AddPortMapping
    started: float = field(default_factory=lambda: time.monotonic() - 100)
    asked_silently: asyncio.Event = field(default_factory=asyncio.Event)
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._http, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.location = self.location or self.description_url
        if self.ssdp:
            loop = asyncio.get_running_loop()
            self._ssdp, _ = await loop.create_datagram_endpoint(
                lambda: _Responder(self), local_addr=(self.address, self.ssdp_port)
            )
            self.ssdp_port = self._ssdp.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self.ssdp:
            self._ssdp.close()
        for forward in self.mappings.values():
            forward.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def description_url(self) -> str:
        return f"http://{self._host}:{self.port}/rootDesc.xml"

    @property
    def _host(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def _wan_type(self) -> str:
        if self.quirks & _FIRST_SERVICES.keys():
            return _TYPE + "WANPPPConnection:1"
        return _TYPE + (self.wan or f"WANIPConnection:{self.version}")

    def add_by_hand(
        self, port: int, client: str, internal_port: int, description: str = "web server"
    ) -> None:
        """A forward that somebody else made."""
        self.mappings[port] = Forward(port, client, internal_port, description, 0, None)

    def reboot(self) -> None:
        """Forget every mapping."""
        self.started = time.monotonic()
        for port in list(self.mappings):
            self._remove(port)

    def age(self, port: int, seconds: float) -> None:
        """Let time pass for one mapping's lease."""
        forward = self.mappings[port]
        assert forward.until is not None
        forward.until -= seconds

    # HTTP

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path = head.split(" ", 2)[:2]
        self.counts[f"{method} {path}"] += 1
        await asyncio.sleep(self.delay)
        length = re.search(r"(?im)^content-length:\s*(\d+)", head)
        body = (await reader.readexactly(int(length[1]))).decode() if length else ""
        if method == "GET" and path == "/mappings":
            await _reply(writer, json.dumps(self._table()), "application/json")
        elif method == "GET" and path.partition("?")[0] == "/rootDesc.xml":
            await self._describe(writer)
        elif method == "POST" and path == "/control":
            await self._soap(body, head, writer)
        elif method == "POST" and path == "/unused":
            await self._unused(head, writer)
        else:
            await _reply(writer, "", status="404 Not Found")

    def _table(self) -> list[dict[str, object]]:
        return [
            {
                "external_port": forward.external_port,
                "protocol": "TCP",
                "client": forward.client,
                "internal_port": forward.internal_port,
                "description": forward.description,
                "lease": forward.lease,
                "remaining": forward.remaining(),
            }
            for forward in self.mappings.values()
        ]

    async def _describe(self, writer: asyncio.StreamWriter) -> None:
        if Quirk.HTTP_DRIP in self.quirks:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                writer.write(b"<")
                await writer.drain()
                await asyncio.sleep(0.1)
        if Quirk.HTTP_ENDLESS in self.quirks:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"<a>" * 20000)
                await writer.drain()
        await _reply(writer, self._description(), "text/xml")

    def _description(self) -> str:
        bomb = ""
        for spelling in self.quirks & _BOMBS.keys():
            levels = (f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
            bomb = f'<!DOCTYPE root [<!ENTITY l0 "lol">{"".join(levels)}]>'
            bomb = bomb.replace("<!", _BOMBS[spelling])
        host = "localhost" if Quirk.OFF_HOST_CONTROL in self.quirks else self._host
        if Quirk.USERINFO_CONTROL in self.quirks:
            host = f"127.0.0.2:80@{host}"
        control = f"http://{host}:{self.port}/control"
        wan = "" if Quirk.NO_WAN_SERVICE in self.quirks else _service(self._wan_type, control)
        if self.quirks & _FIRST_SERVICES.keys():
            wan = _service(f"{_TYPE}WANIPConnection:1", control.replace("/control", "/unused"))
            wan += _service(self._wan_type, control)
        if self.version == 2 and wan:
            wan += _service(_FIREWALL, control)
        common = _service("urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1", control)
        return (
            f'<?xml version="1.0"?>{bomb}<root xmlns="urn:schemas-upnp-org:device-1-0"><device>'
            f"<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:{self.version}"
            f"</deviceType><friendlyName>{'&l9;' if bomb else 'fake'}</friendlyName><deviceList>"
            f"<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>"
            f"<serviceList>{common}</serviceList><deviceList><device>"
            f"<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>"
            f"<serviceList>{wan}</serviceList></device></deviceList></device></deviceList>"
            f"</device></root>"
        )

    async def _unused(self, head: str, writer: asyncio.StreamWriter) -> None:
        """Of the service that is not the way out."""
        (quirk,) = self.quirks & _FIRST_SERVICES.keys()
        status, address = _FIRST_SERVICES[quirk]
        if status and "#GetStatusInfo" in head:
            inner = f"<NewConnectionStatus>{status}</NewConnectionStatus>"
            inner += "<NewLastConnectionError>ERROR_NONE</NewLastConnectionError>"
            inner += "<NewUptime>0</NewUptime>"
            told = _envelope(f"<u:GetStatusInfoResponse>{inner}</u:GetStatusInfoResponse>")
            await _reply(writer, told, "text/xml")
        elif address and "#GetExternalIPAddress" in head:
            inner = f"<NewExternalIPAddress>{address}</NewExternalIPAddress>"
            told = _envelope(
                f"<u:GetExternalIPAddressResponse>{inner}</u:GetExternalIPAddressResponse>"
            )
            await _reply(writer, told, "text/xml")
        else:
            await _reply(writer, _fault(401), "text/xml", "500 Internal Server Error")

    async def _soap(self, body: str, head: str, writer: asyncio.StreamWriter) -> None:
        found = re.search(r'(?im)^soapaction:\s*"?([^#\r\n]*)#(\w+)', head)
        kind, action = found.groups() if found else ("", "")
        self.counts[action] += 1
        if Quirk.STATUS_SILENT in self.quirks and action == "GetStatusInfo":
            return
        if Quirk.SOAP_SILENT in self.quirks:
            self.asked_silently.set()
            await asyncio.sleep(3600)
        values = {name: unescape(value) for name, value in re.findall(r"<(\w+)>([^<]*)</\1>", body)}
        try:
            self._scripted(kind, action)
            values["peer"] = writer.get_extra_info("peername")[0]
            result = await self._act(action, values)
        except SoapError as error:
            await _reply(writer, _fault(error.code), "text/xml", "500 Internal Server Error")
            return
        if action in self.hang_up:
            return
        if action in self.answers:
            writer.write(self.answers[action])
            await writer.drain()
            await asyncio.sleep(3600)  # the connection is kept open
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in result.items())
        answer = _envelope(f"<u:{action}Response>{inner}</u:{action}Response>")
        await _reply(writer, answer, "text/xml")

    def _scripted(self, kind: str, action: str) -> None:
        if kind not in (self._wan_type, _FIREWALL):
            raise SoapError(401)
        if codes := self.failing_once.get(action):
            raise SoapError(codes.pop(0))
        if action in self.failing:
            raise SoapError(self.failing[action])

    # The service

    async def _act(self, action: str, values: dict[str, str]) -> dict[str, str]:
        if Quirk.NO_WAN_SERVICE in self.quirks:
            raise SoapError(401)
        match action:
            case "GetStatusInfo":
                down = Quirk.DISCONNECTED in self.quirks
                uptime = 0 if Quirk.UPTIME_ZERO in self.quirks else time.monotonic() - self.started
                return {
                    "NewConnectionStatus": "Disconnected" if down else "Connected",
                    "NewLastConnectionError": "ERROR_NONE",
                    "NewUptime": str(round(uptime)),
                }
            case "GetConnectionTypeInfo":
                return {"NewConnectionType": "IP_Routed"}
            case "GetExternalIPAddress":
                return {"NewExternalIPAddress": self.external_host}
            case "GetSpecificPortMappingEntry":
                return self._specific(int(values["NewExternalPort"]))
            case "GetGenericPortMappingEntry":
                return self._indexed(int(values["NewPortMappingIndex"]))
            case "AddPortMapping":
                await self._add(values)
                return {}
            case "DeletePortMapping":
                self._delete(int(values["NewExternalPort"]))
                return {}
        return self._pierce(action, values)

    def _pierce(self, action: str, values: dict[str, str]) -> dict[str, str]:
        """WANIPv6FirewallControl:1."""
        match action:
            case "GetFirewallStatus":
                return {
                    "FirewallEnabled": str(int(Quirk.FIREWALL_OFF not in self.quirks)),
                    "InboundPinholeAllowed": str(int(Quirk.NO_PINHOLES not in self.quirks)),
                }
            case "AddPinhole":
                return {"UniqueID": str(self._add_pinhole(values))}
            case "UpdatePinhole":
                self._pinhole(values).lease = int(values["NewLeaseTime"])
                return {}
            case "GetPinholePackets":
                self._pinhole(values)
                return {"PinholePackets": "0"}
            case "DeletePinhole":
                self._pinhole(values)
                if Quirk.DELETE_IGNORED not in self.quirks:
                    del self.pinholes[int(values["UniqueID"])]
                return {}
        raise SoapError(401)

    def _add_pinhole(self, values: dict[str, str]) -> int:
        lease = int(values["LeaseTime"])
        wanted = Pinhole(values["InternalClient"], int(values["InternalPort"]), lease)
        if Quirk.FIREWALL_OFF in self.quirks:
            raise SoapError(702)
        if values["InternalClient"] != values["peer"]:  # as miniupnpd does
            raise SoapError(606)
        if (values["RemoteHost"], values["RemotePort"], values["Protocol"]) != ("", "0", "6"):
            raise SoapError(402)
        if not 0 < lease <= 86400:
            raise SoapError(402)
        for number, held in self.pinholes.items():
            if (held.client, held.port) == (wanted.client, wanted.port):
                held.lease = lease
                return number
        number, self.next_pinhole = self.next_pinhole, self.next_pinhole + 1
        if Quirk.LEASE_DROPPED not in self.quirks:
            self.pinholes[number] = wanted
        return number

    def _pinhole(self, values: dict[str, str]) -> Pinhole:
        held = self.pinholes.get(int(values["UniqueID"]))
        if held is None:
            raise SoapError(402 if Quirk.SAYS_402 in self.quirks else 704)
        if held.client != values["peer"]:  # Action not authorized
            raise SoapError(606)
        return held

    def _held(self, port: int) -> Forward:
        if port not in self.mappings:
            raise SoapError(714)
        return self.mappings[port]

    def _specific(self, port: int) -> dict[str, str]:
        if Quirk.UNSHOWN in self.quirks:
            raise SoapError(714)
        if port not in self.mappings:
            if Quirk.FREE_AS_EMPTY in self.quirks:
                return {"NewInternalClient": "", "NewInternalPort": "", "NewEnabled": ""}
            if Quirk.FREE_AS_ZEROS in self.quirks:
                return {"NewInternalClient": "0.0.0.0", "NewInternalPort": "0", "NewEnabled": "0"}
        return self._row(self._held(port))

    def _indexed(self, index: int) -> dict[str, str]:
        if index and Quirk.TABLE_CUT in self.quirks:
            raise SoapError(501)
        if index >= len(self.mappings) or Quirk.UNSHOWN in self.quirks:
            raise SoapError(713)
        forward = list(self.mappings.values())[index]
        port = {"NewExternalPort": str(forward.external_port)}
        protocol = "tcp" if Quirk.TABLE_LOWER in self.quirks else "TCP"
        return {"NewRemoteHost": "", "NewProtocol": protocol} | port | self._row(forward)

    def _delete(self, port: int) -> None:
        if Quirk.DELETE_SAYS_YES in self.quirks and port not in self.mappings:
            return
        self._held(port)
        if Quirk.DELETE_IGNORED not in self.quirks:
            self._remove(port)

    def _row(self, forward: Forward) -> dict[str, str]:
        told = str(forward.remaining())
        if Quirk.LEASE_UNTOLD in self.quirks:
            told = "0"
        if Quirk.LEASE_SHORT in self.quirks:
            told = "2"
        if Quirk.LEASE_NO_NUMBER in self.quirks:
            told = "infinite"
        client, description = forward.client, forward.description
        if Quirk.CLIENT_HIDDEN in self.quirks:
            client, description = "0.0.0.0", ""
        if Quirk.CLIENT_NAMED in self.quirks:
            client = "marks-laptop.lan"
        internal = str(forward.internal_port)
        if Quirk.PORTS_AS_RANGES in self.quirks:
            internal = f"{internal}-{internal}"
        return {
            "NewInternalPort": internal,
            "NewInternalClient": client,
            "NewEnabled": str(int(Quirk.DISABLED not in self.quirks)),
            "NewPortMappingDescription": description,
            "NewLeaseDuration": told,
        }

    async def _add(self, values: dict[str, str]) -> None:
        port = int(values["NewExternalPort"])
        client = values["NewInternalClient"]
        internal = int(values["NewInternalPort"])
        lease = int(values["NewLeaseDuration"])
        description = values["NewPortMappingDescription"]
        if values["NewProtocol"] != "TCP":  # some routers take no "tcp" for it
            raise SoapError(402)
        if Quirk.CLIENT_CHANGED in self.quirks:
            client = "192.168.7.7"
        self.requested.append(port)
        self._refuse(port, internal, lease)
        before = self.mappings.get(port)
        if before and before.client != client:
            raise SoapError(718)
        if before and Quirk.RENEWAL_IGNORED in self.quirks:
            return
        description = self._described(before, description)
        if Quirk.INTERNAL_PORT_IGNORED in self.quirks:
            internal = port
        if before:
            self._remove(port)
        if lease and Quirk.LEASE_DROPPED in self.quirks:
            return
        until = time.monotonic() + lease if lease else None
        await self._make(Forward(port, client, internal, description, lease, until))
        if Quirk.FAULTS_AND_MAPS in self.quirks:
            raise SoapError(501)

    async def _make(self, forward: Forward) -> None:
        if Quirk.OTHER_PORT in self.quirks:
            forward.external_port += 10000
        row = {forward.external_port: forward}
        if Quirk.MADE_LATE in self.quirks:
            asyncio.get_running_loop().call_later(1, self.mappings.update, row)
            return
        await self._start(forward)
        self.mappings |= row

    def _described(self, before: Forward | None, description: str) -> str:
        if before and Quirk.RENEWAL_KEEPS_DESCRIPTION in self.quirks:
            description = before.description
        if Quirk.DESCRIPTION_ALTERED in self.quirks:
            description = f"UPnP ({description[:6]})"
        return description

    def _refuse(self, port: int, internal: int, lease: int) -> None:
        if Quirk.LOW_PORTS_REFUSED in self.quirks and port < 1024:
            raise SoapError(606)
        if Quirk.SAME_PORT_ONLY in self.quirks and port != internal:
            raise SoapError(724)
        if Quirk.ONLY_PERMANENT in self.quirks and lease:
            raise SoapError(725)
        if Quirk.LEASE_INVALID in self.quirks and lease:
            raise SoapError(402)
        if Quirk.LEASE_AN_HOUR in self.quirks and lease not in (0, 3600):
            raise SoapError(402)
        if not 0 < port < 65536 or not 0 < internal < 65536 or not 0 <= lease <= _PERMANENT_MAX:
            raise SoapError(402)

    async def _start(self, forward: Forward) -> None:
        loop = asyncio.get_running_loop()
        if self.listen is not None:
            try:
                forward.server = await asyncio.start_server(
                    lambda r, w: self._relay(forward, r, w), self.listen, forward.external_port
                )
            except PermissionError:
                raise SoapError(606) from None
            except OSError:
                raise SoapError(729) from None
        if forward.lease:
            forward.timer = loop.call_later(forward.lease, self._expire, forward)

    def _expire(self, forward: Forward) -> None:
        if self.mappings.get(forward.external_port) is forward:
            self._remove(forward.external_port)

    def _remove(self, port: int) -> None:
        self.mappings.pop(port).stop()
        if not self.mappings:
            self.emptied.set()

    # The forwarding

    async def _relay(
        self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        inner: asyncio.StreamWriter | None = None
        try:
            from_inside, inner = await asyncio.open_connection(
                forward.client, forward.internal_port
            )
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, inner))
                both.create_task(_pump(from_inside, writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, inner):
                if end:
                    end.transport.abort()


class _Responder(asyncio.DatagramProtocol):
    def __init__(self, igd: FakeIgd) -> None:
        self._igd = igd

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._igd.counts["M-SEARCH"] += 1
        target = re.search(rb"(?im)^ST:\s*(\S+)", data)
        kind = b"WANIPv6FirewallControl:1" if ":" in addr[0] else b"InternetGatewayDevice:1"
        if not target or kind not in target[1]:
            return
        if Quirk.SSDP_FLOOD in self._igd.quirks:
            for number in range(100):
                self._reply(addr, f"http://127.0.0.1:{number + 1}/x.xml", "upnp:rootdevice")
        self._reply(addr, self._igd.location, target[1].decode())
        if Quirk.TWO_DESCRIPTIONS in self._igd.quirks:
            second = self._igd.second_location or f"{self._igd.location}?2"
            self._reply(addr, second, target[1].decode())

    def _reply(self, addr: tuple[str, int], location: str, target: str) -> None:
        self._transport.sendto(
            f"HTTP/1.1 200 OK\r\nST: {target}\r\nUSN: uuid:fake::{target}\r\nEXT:\r\n"
            f"LOCATION: {location}\r\nCACHE-CONTROL: max-age=120\r\n\r\n".encode(),
            addr,
        )


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _reply(
    writer: asyncio.StreamWriter, body: str, kind: str = "text/plain", status: str = "200 OK"
) -> None:
    content = body.encode(errors="surrogateescape")
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        f"Connection: close\r\n\r\n".encode()
        + content
    )
    await writer.drain()


def _service(kind: str, control: str) -> str:
    return (
        f"<service><serviceType>{kind}</serviceType><serviceId>urn:fake</serviceId>"
        f"<controlURL>{control}</controlURL><eventSubURL>/event</eventSubURL>"
        f"<SCPDURL>/scpd.xml</SCPDURL></service>"
    )


def _envelope(inner: str) -> str:
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Body>{inner}</s:Body></s:Envelope>"
    )


def _fault(code: int) -> str:
    return _envelope(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
        '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0">'
        f"<errorCode>{code}</errorCode><errorDescription>scripted</errorDescription></UPnPError>"
        "</detail></s:Fault>"
    )


async def _serve(igd: FakeIgd) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with igd:
        ready = {
            "description_url": igd.description_url,
            "port": igd.port,
            "ssdp_port": igd.ssdp_port,
        }
        print(json.dumps(ready), flush=True)
        await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.igd")
    parser.add_argument("--port", type=int, default=0, help="of HTTP, on 127.0.0.1")
    parser.add_argument("--external-host", default="127.0.0.1")
    parser.add_argument("--listen", default="127.0.0.1", help="address that external ports open on")
    parser.add_argument("--ssdp-port", type=int, help="answer searches on this loopback UDP port")
    parser.add_argument("--quirk", action="append", default=[], type=Quirk, choices=list(Quirk))
    given = parser.parse_args()
    igd = FakeIgd(
        port=given.port,
        external_host=given.external_host,
        listen=given.listen,
        quirks=set(given.quirk),
        ssdp=given.ssdp_port is not None,
        ssdp_port=given.ssdp_port or 0,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(igd))


if __name__ == "__main__":
    main()
