"""A network that this machine is in, as far as its gateway matters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """Where this machine is: the way home over its default route.

    `gateway` is empty where no home router is on that route, `gateway_mac` where it is not known.
    """

    interface: str
    address: str
    gateway: str
    gateway_mac: str = ""

    @property
    def identity(self) -> str:
        """Tells this network from others with the same numbers."""
        return f"{self.interface}/{self.address}/{self.gateway}/{self.gateway_mac}"


def router_of(identity: str) -> str:
    """What stays of a network's identity by whatever interface and address we are in it: the
    gateway's address, and after a slash its MAC.
    """
    return identity.split("/", 2)[-1]
