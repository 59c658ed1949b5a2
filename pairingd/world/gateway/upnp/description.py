"""A device's description of itself. UPnP Device Architecture 2.0 §2.3."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from pairingd.world.gateway.upnp.location import LONGEST, location_host
from pairingd.world.gateway.upnp.markup import BadAnswer, elements
from pairingd.world.gateway.upnp.soap import Call, Service, first

_MAX_SERVICES = 64  # further ones are ignored
# dslforum-org has services of the same names (TR-064), which require a password.
_STANDARD = "urn:schemas-upnp-org:service:"
_WAN = re.compile(_STANDARD + r"WAN(?P<kind>IP|PPP)Connection:(?P<version>\d{1,3})", re.ASCII)
_FIREWALL = re.compile(_STANDARD + r"WANIPv6FirewallControl:\d{1,3}", re.ASCII)


class Description(NamedTuple):
    """`services` are at the description's own host; `elsewhere` are not, and never used."""

    url: str
    name: str
    services: tuple[Service, ...]
    elsewhere: tuple[Service, ...] = ()

    @property
    def wan_services(self) -> list[Service]:
        """Those that keep port mappings, best first: WANIPConnection, then the later version."""
        return sorted(filter(_is_wan, self.services), key=_preference)

    @property
    def firewall(self) -> Service | None:
        """The service that opens pinholes for IPv6."""
        return next(
            (service for service in self.services if _FIREWALL.fullmatch(service.type)), None
        )

    @property
    def names_wan_services_elsewhere(self) -> bool:
        return not self.wan_services and any(map(_is_wan, self.elsewhere))


def describe(url: str) -> Call[Description]:
    return Call("GET", url, {}, "", lambda text: read(text, url))


def read(text: str, url: str) -> Description:
    """The description of the devices at `url`. Raises BadAnswer if it has no service."""
    parsed = elements(text)
    base = first(parsed, "URLBase")
    name = first(parsed, "friendlyName")
    origin = base.text if base is not None and base.text else url
    described = [element.children for element in parsed if element.name == "service"]
    services = [
        Service(children.get("serviceType", ""), _joined(origin, children.get("controlURL", "")))
        for children in described[:_MAX_SERVICES]
    ]
    if not services:
        raise BadAnswer("no UPnP service is described there")
    host = urlsplit(url).hostname or ""
    at_host = tuple(
        service for service in services if host and location_host(service.control_url) == host
    )
    return Description(
        url,
        name.text if name is not None else "",
        at_host,
        tuple(service for service in services if service not in at_host),
    )


def _joined(base: str, control: str) -> str:
    if max(len(base), len(control)) > LONGEST:
        return ""
    try:
        return urljoin(base, control)
    except ValueError:
        return ""


def _is_wan(service: Service) -> bool:
    return _WAN.fullmatch(service.type) is not None


def _preference(service: Service) -> tuple[bool, int]:
    match = _WAN.fullmatch(service.type)
    assert match is not None  # noqa: S101 - _is_wan held
    return match["kind"] != "IP", -int(match["version"])
