"""The actions of a router's services, with typed arguments and answers.

WANIPConnection:2 §2.5 (WANPPPConnection has the same), WANIPv6FirewallControl:1 §2.4.
"""

from __future__ import annotations

from typing import NamedTuple

from pairingd.world.gateway.upnp.soap import Call, Service, Values, call

TCP = "TCP"  # in capitals: some routers reject "tcp"
UDP = "UDP"
_IANA_TCP = "6"


class Status(NamedTuple):
    """`uptime` is in seconds."""

    connection: str
    uptime: int


class Forward(NamedTuple):
    """A row of the router's table. `lease` is in seconds, 0 if it never ends."""

    external_port: int
    protocol: str
    client: str
    internal_port: int
    description: str
    lease: int
    enabled: bool = True


class Firewall(NamedTuple):
    enabled: bool
    allows_pinholes: bool


def status(service: Service) -> Call[Status]:
    return call(
        service,
        "GetStatusInfo",
        lambda values: Status(values.text("NewConnectionStatus"), values.seconds("NewUptime")),
    )


def external_address(service: Service) -> Call[str]:
    """The address as the router wrote it, perhaps no address."""
    return call(service, "GetExternalIPAddress", lambda values: values.text("NewExternalIPAddress"))


def forward_of(service: Service, port: int) -> Call[Forward]:
    """The forward of an external TCP port. Fault NO_SUCH_ENTRY: there is none."""
    arguments = {"NewRemoteHost": "", "NewExternalPort": str(port), "NewProtocol": TCP}
    return call(
        service,
        "GetSpecificPortMappingEntry",
        lambda values: _forward(values, port, TCP),
        arguments,
    )


def forward_at(service: Service, index: int) -> Call[Forward]:
    """A row of the table. Fault of END_OF_TABLE: there are no more."""
    return call(
        service,
        "GetGenericPortMappingEntry",
        lambda values: _forward(values, values.port("NewExternalPort"), values.text("NewProtocol")),
        {"NewPortMappingIndex": str(index)},
    )


def add_forward(service: Service, forward: Forward) -> Call[None]:
    arguments = {
        "NewRemoteHost": "",
        "NewExternalPort": str(forward.external_port),
        "NewProtocol": forward.protocol,
        "NewInternalPort": str(forward.internal_port),
        "NewInternalClient": forward.client,
        "NewEnabled": "1",
        "NewPortMappingDescription": forward.description,
        "NewLeaseDuration": str(forward.lease),
    }
    return call(service, "AddPortMapping", _nothing, arguments)


def delete_forward(service: Service, port: int) -> Call[None]:
    arguments = {"NewRemoteHost": "", "NewExternalPort": str(port), "NewProtocol": TCP}
    return call(service, "DeletePortMapping", _nothing, arguments)


def firewall_status(service: Service) -> Call[Firewall]:
    return call(
        service,
        "GetFirewallStatus",
        lambda values: Firewall(
            not values.is_false("FirewallEnabled"), not values.is_false("InboundPinholeAllowed")
        ),
    )


def add_pinhole(service: Service, client: str, port: int, lease: int) -> Call[str]:
    """The pinhole's UniqueID as the router wrote it. Guests may come from any address and port."""
    arguments = {
        "RemoteHost": "",
        "RemotePort": "0",
        "InternalClient": client,
        "InternalPort": str(port),
        "Protocol": _IANA_TCP,
        "LeaseTime": str(lease),
    }
    return call(service, "AddPinhole", lambda values: values.text("UniqueID"), arguments)


def update_pinhole(service: Service, number: str, lease: int) -> Call[None]:
    arguments = {"UniqueID": number, "NewLeaseTime": str(lease)}
    return call(service, "UpdatePinhole", _nothing, arguments)


def pinhole_packets(service: Service, number: str) -> Call[None]:
    """Whether the pinhole is there. CheckPinholeWorking is optional, and fails (709) until a guest
    has connected.
    """
    return call(service, "GetPinholePackets", _nothing, {"UniqueID": number})


def delete_pinhole(service: Service, number: str) -> Call[None]:
    return call(service, "DeletePinhole", _nothing, {"UniqueID": number})


def _forward(values: Values, port: int, protocol: str) -> Forward:
    return Forward(
        external_port=port,
        protocol=protocol,
        client=values.text("NewInternalClient"),
        internal_port=values.port("NewInternalPort"),
        description=values.text("NewPortMappingDescription"),
        lease=values.seconds("NewLeaseDuration"),
        enabled=not values.is_false("NewEnabled"),
    )


def _nothing(_values: Values) -> None:
    return None
