"""A network that this machine is in, as far as its gateway matters."""

from __future__ import annotations

from msgspec import Struct


class Network(Struct, frozen=True):
    """Where this machine is: the way home over its default route.

    `gateway` is empty where no home router is on that route, `gateway_mac` where it is not known.
    `behind` is set where `gateway` is a second router, in front of the first: the first one's
    outside address, by which the second knows us. `gateway_mac` is then the first one's.
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
        """Tells this network from others with the same numbers."""
        here = f"{self.interface}/{self.address}/{self.gateway}/{self.gateway_mac}"
        return f"{here}/{self.behind}" if self.behind else here

    @property
    def client(self) -> str:
        """Our address as the gateway sees it."""
        return self.behind or self.address


def router_of(identity: str) -> str:
    """What stays of a network's identity by whatever interface and address we are in it: the
    gateway's address, and after a slash its MAC, or the first router's.
    """
    return "/".join(identity.split("/")[2:4])
