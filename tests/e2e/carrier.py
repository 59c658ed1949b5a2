"""The test network with a provider's NAT before the host's router, and a NAT of the guest's own.

    host ── router 100.64.0.2 ── provider 5.5.5.1 │ internet 5.5.5.3 │ 5.5.5.2 home ── guest

Every NAT is Linux's: it keeps port numbers where it can, and filters by address and port. The
provider's may be made one that does not filter (full cone). On the internet there is a STUN server.
"""

from __future__ import annotations

import subprocess
from typing import Any, Final

from pairingd.core.records import replace
from tests.e2e.internet import CONE
from tests.e2e.network import GUEST, LAN, LINKS, RELAY, WAN, Network, Place, until

INSIDE: Final = "100.64.0.2"
STUN: Final = f"{RELAY}:3478"
PLACES: Final = ("provider", "internet", "home")

BATCHES: Final = {
    "internet": f"""
        link set lo up
        link add eth0 type bridge
        link add provider type veth peer name wan0 netns {{provider}}
        link add home type veth peer name wan0 netns {{home}}
        link set provider master eth0
        link set home master eth0
        addr add {RELAY}/24 dev eth0
        link set provider up
        link set home up
        link set eth0 up
    """,
    "provider": f"""
        link set lo up
        link add lan0 type veth peer name wan0 netns {{router}}
        addr add {WAN}/24 dev wan0
        addr add 100.64.0.1/24 dev lan0
        link set wan0 up
        link set lan0 up
    """,
    "router": f"""
        link set lo up
        link add lan0 type veth peer name eth0 netns {{host}}
        addr add {INSIDE}/24 dev wan0
        addr add {LAN}/24 dev lan0
        addr add 2001:db8:77::1/64 dev lan0 nodad
        link set wan0 up
        link set lan0 up
        route add default via 100.64.0.1
    """,
    "home": f"""
        link set lo up
        link add lan0 type veth peer name eth0 netns {{guest}}
        addr add {GUEST}/24 dev wan0
        addr add 192.168.9.1/24 dev lan0
        link set wan0 up
        link set lan0 up
    """,
    "guest": """
        link set lo up
        addr add 192.168.9.2/24 dev eth0
        link set eth0 up
        route add default via 192.168.9.1
    """,
    "host": LINKS["host"],
}

NAT: Final = """
table ip nat {
  chain prerouting { type nat hook prerouting priority -100; }
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "wan0" masquerade
  }
  chain input {
    type filter hook input priority 0;
    iifname "wan0" ct state new,invalid drop
  }
  chain forward {
    type filter hook forward priority 0;
    ct status dnat accept
    iifname "wan0" ct state new drop
  }
}
"""


class Carrier(Network):
    """`cone`: the provider's NAT does not filter. `home` is the guest's router; it `resets` what it
    does not know.
    """

    def __init__(self, *, cone: bool = False, resets: bool = False, **options: Any) -> None:
        super().__init__(upnp=False, **options)
        self._cone = cone
        self._resets = resets

    def _namespaces(self) -> None:
        super()._namespaces()
        idle = ("--net", "sh", "-c", "echo ready; exec sleep infinity")
        for name in PLACES:
            self._nets[name] = self._anchor(*idle).pid
        self.provider, self.internet, self.home = map(self._beside_the_router, PLACES)

    def _beside_the_router(self, name: str) -> Place:
        old = f"--net=/proc/{self._nets['router']}/ns/net"
        new = f"--net=/proc/{self._nets[name]}/ns/net"
        prefix = tuple(new if word == old else word for word in self.router.prefix)
        return replace(self.router, prefix=prefix)

    def _links(self) -> None:
        for place, commands in BATCHES.items():
            subprocess.run(
                ["nsenter", f"--target={self._nets[place]}", "--net", "ip", "-batch", "-"],
                input=commands.format(**self._nets),
                text=True,
                check=True,
            )
        for router in (self.router, self.provider, self.home):
            router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            router.run("nft", "-f", "-", given=NAT)
        if self._resets:
            reset = "insert rule ip nat input iifname wan0 ct state new reject with tcp reset"
            self.home.run("nft", *reset.split())
        if self._cone:
            self.provider.run("nft", "-f", "-", given=CONE)
        stun = ("python", "-m", "tests.fakes.stun", "--listen", STUN)
        self.internet.start(*stun, log=self.path("/srv/stun.log"))
        greeting = ("curl", "-s", "--max-time", "2", f"telnet://{STUN}")
        until(
            "the STUN server listens",
            lambda: self.internet.run(*greeting, check=False).returncode in {28, 0},
        )

    def speaks_natpmp(self) -> None:
        """The host's router, which itself has an address of the provider's network."""
        log = self.path("/srv/natpmp.log")
        self.router.start("python", "-m", "tests.e2e.natpmp", INSIDE, log=log)
        listens = ("ss", "-Hlun", "sport = :5351")
        until("the router speaks NAT-PMP", lambda: self.router.run(*listens).stdout)

    def keeps(self, port: int) -> bool:
        """Whether the host is connected to the STUN server from that port."""
        ports = f"sport = :{port} and dport = :3478"
        return bool(self.host.run("ss", "-Htn", "state", "established", ports).stdout)

    def dials(self, port: int) -> bool:
        """Whether the host sends SYNs from that port."""
        return bool(self.host.run("ss", "-Htn", "state", "syn-sent", f"sport = :{port}").stdout)
