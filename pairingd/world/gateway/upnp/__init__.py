"""UPnP Internet Gateway Device.

ssdp.py         finds descriptions      location.py  judges URLs
soap.py         what can be asked, and how answers are read: description.py, actions.py
markup.py       reads XML               http1.py     reads HTTP
exchange.py     carries it              problems.py  has the errors that people see
finder.py       which device is the gateway; igd.py  one service of it
mappings.py     the adapter for IPv4: adding.py adds and renews, rows.py knows ours again
pinholes.py     the adapter for IPv6
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pairingd.world.gateway.adapter import Adapter, Tools


def adapter(tools: Tools) -> Adapter:
    from pairingd.world.gateway.upnp.mappings import UpnpAdapter

    return UpnpAdapter(tools.settings, tools.clock, tools.mac_of)


def pinhole_adapter(tools: Tools) -> Adapter:
    from pairingd.world.gateway.upnp.pinholes import UpnpPinholes

    return UpnpPinholes(tools.clock)
