"""UPnP Internet Gateway Device: mappings by a child process, pinholes by the daemon itself.

ssdp.py         finds descriptions      location.py  judges URLs
soap.py         what can be asked, and how answers are read: description.py, actions.py
markup.py       reads XML               http1.py     reads HTTP
exchange.py     carries it, by asyncio or by a blocking socket
mappings.py     the adapter for IPv4; child.py runs, answer.py checks, what is in the child:
worker.py (the jobs), gateway.py, speakers.py (miniupnpc, and our own)
pinholes.py     the adapter for IPv6
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pairingd.world.gateway.adapter import Adapter, Tools


def adapter(tools: Tools) -> Adapter:
    from pairingd.world.gateway.upnp.mappings import UpnpAdapter

    return UpnpAdapter(tools.settings, tools.clock)


def pinhole_adapter(tools: Tools) -> Adapter:
    from pairingd.world.gateway.upnp.pinholes import UpnpPinholes

    return UpnpPinholes(tools.clock)
