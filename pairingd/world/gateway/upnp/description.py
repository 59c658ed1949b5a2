"""A device's description of itself. UPnP Device Architecture 2.0 §2.3."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from pairingd.world.gateway.upnp.location import LONGEST, location_host
from pairingd.world.gateway.upnp.markup import BadAnswer, elements
from pairingd.world.gateway.upnp.soap import Call, Service, first

_MOST_SERVICES = 64  # what is described after them is not looked at
# dslforum-org has services of the same names (TR-064), which ask for a password.
_STANDARD = "urn:schemas-upnp-org:service:"
_WAN = re.compile(_STANDARD + r"WAN(?P<kind>IP|PPP)Connection:(?P<version>\d{1,3})", re.ASCII)
_FIREWALL = re.compile(_STANDARD + r"WANIPv6FirewallControl:\d{1,3}", re.ASCII)


class Description(NamedTuple):
    """`services` are at the description's own host; `elsewhere` are not, and never asked."""

    url: str
    name: str
    services: tuple[Service, ...]
    elsewhere: tuple[Service, ...] = ()

    @property
    def wan_services(self) -> list[Service]:
        """Those that keep port mappings, the best first: WANIPConnection, and a later version."""
        return sorted(filter(_is_wan, self.services), key=_preference)

    @property
    def firewall(self) -> Service | None:
        """The service that opens pinholes for IPv6."""
        return next((one for one in self.services if _FIREWALL.fullmatch(one.type)), None)

    @property
    def names_wan_services_elsewhere(self) -> bool:
        return not self.wan_services and any(map(_is_wan, self.elsewhere))


def describe(url: str) -> Call[Description]:
    return Call("GET", url, {}, "", lambda text: read(text, url))


def read(text: str, url: str) -> Description:
    """The description of the devices at `url`. Raises BadAnswer for one without a service."""
    found = elements(text)
    base = first(found, "URLBase")
    name = first(found, "friendlyName")
    origin = base.text if base is not None and base.text else url
    described = [element.children for element in found if element.name == "service"]
    services = [
        Service(one.get("serviceType", ""), _joined(origin, one.get("controlURL", "")))
        for one in described[:_MOST_SERVICES]
    ]
    if not services:
        raise BadAnswer("no UPnP service is described there")
    host = urlsplit(url).hostname or ""
    here = tuple(
        service for service in services if host and location_host(service.control_url) == host
    )
    return Description(
        url,
        name.text if name is not None else "",
        here,
        tuple(service for service in services if service not in here),
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
    found = _WAN.fullmatch(service.type)
    assert found is not None  # noqa: S101 - _is_wan held
    return found["kind"] != "IP", -int(found["version"])
