"""A UPnP router's table of mappings, and the raw words of each exchange, which miniupnpc hides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from pairingd.core.text import one_line
from pairingd.world.gateway.upnp.soap import Fault, Igd

_SHOWN = 1500  # characters of one message in the record of exchanges
_WAN = re.compile(r"urn:[\w.-]+:service:(WANIPConnection|WANPPPConnection):\d+")
_NO_SUCH_ENTRY = 714  # NoSuchEntryInArray
_END_OF_TABLE = frozenset({713, _NO_SUCH_ENTRY})  # SpecifiedArrayIndexInvalid; some say the other


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


@dataclass
class RecordedIgd(Igd):
    """As Igd, and what its mappings are. `exchanges` is what was said, both ways."""

    exchanges: list[str] = field(default_factory=list)

    async def external_address(self) -> str:
        answer = await self._wan("GetExternalIPAddress")
        return one_line(answer.get("NewExternalIPAddress", ""), 40)

    async def holder(self, port: int) -> Forward | None:
        """Of an external TCP port; None where it is free."""
        wanted = {"NewExternalPort": str(port), "NewProtocol": "TCP"}
        try:
            answer = await self._wan("GetSpecificPortMappingEntry", NewRemoteHost="", **wanted)
        except Fault as fault:
            if fault.code == _NO_SUCH_ENTRY:
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

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: str
    ) -> tuple[int, str]:
        self.exchanges.append(f"> {method} {url} {headers.get('SOAPAction', '')}".rstrip())
        self._record(">", body)
        status, text = await super()._ask(method, url, headers, body)
        self.exchanges.append(f"< {status}")
        self._record("<", text)
        return status, text

    def _record(self, sign: str, text: str) -> None:
        for line in text[:_SHOWN].splitlines():
            if line.strip():
                self.exchanges.append(f"{sign} {one_line(line, _SHOWN)}")
