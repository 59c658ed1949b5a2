"""The network of this machine: its default route and gateway."""

from __future__ import annotations

from msgspec import Struct


class Network(Struct, frozen=True):
    """This machine's interface and address on its default route, and the gateway.

    `gateway` is empty if no home router is on that route, `gateway_mac` if it is not known.
    `behind` is set if `gateway` is a second router, in front of the first: the first one's
    external address, our address to the second. `gateway_mac` is then the first one's.
    """

    interface: str
    address: str
    gateway: str
    gateway_mac: str = ""
    behind: str = ""

    @classmethod
    def of(cls, identity: str) -> Network:
        interface, address, gateway, mac, behind, *_ = (*identity.split("/"), *4 * ("",))
        return cls(interface, address, gateway, mac, behind)

    @property
    def identity(self) -> str:
        """Distinguishes this network from others with the same addresses."""
        route = f"{self.interface}/{self.address}/{self.gateway}/{self.gateway_mac}"
        return f"{route}/{self.behind}" if self.behind else route

    @property
    def client(self) -> str:
        """Our address as the gateway sees it."""
        return self.behind or self.address


def router_of(identity: str) -> str:
    """Return the part of a network's identity that does not depend on our interface and address:
    the gateway's address, and after a slash its MAC, or the first router's.
    """
    return "/".join(identity.split("/")[2:4])
