"""The two that speak to a WAN service in the UPnP child: miniupnpc, and our own SOAP.

miniupnpc does the ordinary case. Our own does what its binding does not show (why a query was
refused, text that is not UTF-8) or not do (other WAN services than a description's first), and all
of it on a Python without miniupnpc.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pairingd.world.gateway.upnp import actions, soap
from pairingd.world.gateway.upnp.actions import TCP, Forward, Status
from pairingd.world.gateway.upnp.exchange import ask_blocking
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Call, Fault, Result, Service

# What the C library says for each code it knows (upnperrors.c); its exceptions carry no number.
CODES = {
    "Invalid Action": 401,
    "Invalid Args": 402,
    "Action Failed": 501,
    "Argument Value Invalid": 600,
    "Argument Value Out of Range": 601,
    "Optional Action Not Implemented": 602,
    "Out of Memory": 603,
    "Human Intervention Required": 604,
    "String Argument Too Long": 605,
    "Action not authorized": 606,
    "SpecifiedArrayIndexInvalid": 713,
    "NoSuchEntryInArray": 714,
    "WildCardNotPermittedInSrcIP": 715,
    "WildCardNotPermittedInExtPort": 716,
    "ConflictInMappingEntry": 718,
    "SamePortValuesRequired": 724,
    "OnlyPermanentLeasesSupported": 725,
    "RemoteHostOnlySupportsWildcard": 726,
    "ExternalPortOnlySupportsWildcard": 727,
    "NoPortMapsAvailable": 728,
    "ConflictWithOtherMechanisms": 729,
    "PortMappingNotFound": 730,
    "ReadOnly": 731,
    "WildCardNotPermittedInIntPort": 732,
}
_SILENT = frozenset({"Miniupnpc HTTP error", "Miniupnpc Socket error"})


class Speaker(Protocol):
    """Asks one WAN service. Every method raises Fault for a refusal, and OSError for silence."""

    def status(self) -> Status: ...

    def connection_type(self) -> str: ...

    def external_address(self) -> str: ...

    def forward_of(self, port: int) -> Forward | None:
        """The forward of an external TCP port, None where there is none."""
        ...

    def forward_at(self, index: int) -> Forward | None:
        """A row of the table, None where there are no more."""
        ...

    def add(self, forward: Forward) -> None: ...

    def delete(self, port: int) -> None: ...


class SoapSpeaker:
    """Our own. Of several services at one control URL it asks the first that knows the action."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services

    def status(self) -> Status:
        return self._ask(actions.status)

    def connection_type(self) -> str:
        return self._ask(actions.connection_type)

    def external_address(self) -> str:
        return self._ask(actions.external_address)

    def forward_of(self, port: int) -> Forward | None:
        return self._row(lambda service: actions.forward_of(service, port))

    def forward_at(self, index: int) -> Forward | None:
        return self._row(lambda service: actions.forward_at(service, index))

    def add(self, forward: Forward) -> None:
        self._ask(lambda service: actions.add_forward(service, forward))

    def delete(self, port: int) -> None:
        self._ask(lambda service: actions.delete_forward(service, port))

    def _row(self, action: Callable[[Service], Call[Forward]]) -> Forward | None:
        try:
            return self._ask(action)
        except Fault as fault:
            if fault.code not in soap.END_OF_TABLE:
                raise
            return None

    def _ask(self, action: Callable[[Service], Call[Result]]) -> Result:
        refusal = Fault(soap.INVALID_ACTION)
        for service in self._services:
            try:
                return ask_blocking(action(service))
            except Fault as fault:
                refusal = fault
            except BadAnswer:
                refusal = Fault(0)
            if refusal.code != soap.INVALID_ACTION:
                break
        raise refusal


class MiniupnpcSpeaker:
    """`upnp` is a miniupnpc.UPnP. `own` makes our own speaker to the same control URL."""

    def __init__(self, upnp: Any, own: Callable[[], Speaker]) -> None:
        self._upnp = upnp
        self._own = own

    def status(self) -> Status:
        connection, uptime, _last_error = self._tried(self._upnp.statusinfo)
        return Status(connection, uptime)

    def connection_type(self) -> str:
        return str(self._tried(self._upnp.connectiontype))

    def external_address(self) -> str:
        return str(self._tried(self._upnp.externalipaddress))

    def forward_of(self, port: int) -> Forward | None:
        row = self._row(self._upnp.getspecificportmapping, port, TCP)
        if row is None:
            return self._own().forward_of(port)
        client, internal_port, description, _enabled, lease = row
        return Forward(port, TCP, client, internal_port, description, max(lease, 0))

    def forward_at(self, index: int) -> Forward | None:
        row = self._row(self._upnp.getgenericportmapping, index)
        if row is None:
            return self._own().forward_at(index)
        port, protocol, (client, internal_port), description, _enabled, _remote_host, lease = row
        return Forward(port, protocol, client, internal_port, description, max(lease, 0))

    def add(self, forward: Forward) -> None:
        self._tried(
            self._upnp.addportmapping,
            forward.external_port,
            forward.protocol,
            forward.client,
            forward.internal_port,
            forward.description,
            "",
            forward.lease,
        )

    def delete(self, port: int) -> None:
        self._tried(self._upnp.deleteportmapping, port, TCP)

    @staticmethod
    def _row(query: Any, *arguments: object) -> Any:
        """None for a refusal, whose code the binding hides, and for text that is not UTF-8."""
        try:
            return query(*arguments)
        except UnicodeDecodeError:
            return None

    @staticmethod
    def _tried(action: Any, *arguments: object) -> Any:
        try:
            return action(*arguments)
        except Exception as error:  # noqa: BLE001 - the binding raises nothing more precise
            if str(error) in _SILENT:
                raise ConnectionError from None
            raise Fault(CODES.get(str(error), 0)) from None
