"""A home with two routers, one behind the other, each with a real miniupnpd.

    guest 5.5.5.2 ── 5.5.5.1 │ second │ 192.168.1.1 ── 192.168.1.7 │ router │ 192.168.77.1 ── host

miniupnpd 2.3.1 maps nothing where its own outer address is private, as older firmware and other
makers' does: the first router runs a copy that takes 192.168.64.0/18 alone for private.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

from tests.e2e.network import FIREWALL, LINKS, MINIUPNPD, PATH, Network, Place, until

FIRST_WAN: Final = "192.168.1.7"
SECOND_LAN: Final = "192.168.1.1"
SHARED_WAN: Final = "100.64.0.7"
SHARED_LAN: Final = "100.64.0.1"
SECOND_CONF: Final = MINIUPNPD.replace("/srv/router", "/srv/second").replace(
    "192.168.77.0/24", "0.0.0.0/0"
)
# As miniupnpd keeps them: address, and how many bits are not the network's.
_HOME: Final = struct.pack("<II", 0xC0A80000, 16)  # 192.168.0.0/16
_ONLY_THE_LAN: Final = struct.pack("<II", 0xC0A84000, 14)  # 192.168.64.0/18
_SHARED: Final = struct.pack("<II", 0x64400000, 22)  # 100.64.0.0/10
_NOBODYS: Final = struct.pack("<II", 0xFFFFFFFF, 0)

_WIRES: Final = {
    "second": """
        link set lo up
        link add wan0 type veth peer name eth0 netns {guest}
        link add lan0 type veth peer name wan0 netns {router}
        addr add 5.5.5.1/24 dev wan0
        addr add {second_lan}/24 dev lan0
        link set wan0 up
        link set lan0 up
        route add default via 5.5.5.2
    """,
}
_WAY_OUT: Final = {"router": "route add default via {second_lan}"}

ANYCAST: Final = """
table ip anycast {
  chain prerouting {
    type nat hook prerouting priority -110;
    ip daddr 192.0.0.9 dnat to 100.64.0.1
  }
}
"""


class TwoRouters(Network):
    """`second_conf` is the second miniupnpd's; "" where that router answers to no protocol.
    `filters`: it drops what is asked of it instead of refusing the connection. `shared`: it is the
    provider's, which has 100.64.0.0/24 towards its customers and a PCP server at 192.0.0.9.
    """

    def __init__(
        self, *, second_conf: str = SECOND_CONF, filters: bool = False, shared: bool = False
    ) -> None:
        super().__init__(wan=SHARED_WAN if shared else FIRST_WAN)
        self._second_lan = SHARED_LAN if shared else SECOND_LAN
        self._second_conf = second_conf
        self._filters = filters

    def start_second(self) -> None:
        self._start_upnp(self.second, "/srv/second")
        pid = self.path("/srv/second/pid")
        until("the second router has its service", pid.exists)

    def is_deaf(self, *, deaf: bool = True) -> None:
        """Drops all that is sent to the second router itself."""
        policy = "drop" if deaf else "accept"
        chain = (
            f"add chain inet ear input {{ type filter hook input priority 0; policy {policy}; }}"
        )
        self.second.run("nft", "-f", "-", given=f"add table inet ear\n{chain}\n")

    def _answers_at_anycast(self) -> None:
        self.second.run("ip", "addr", "add", "192.0.0.9/32", "dev", "lan0")
        self.second.run("nft", "-f", "-", given=ANYCAST)

    def _namespaces(self) -> None:
        super()._namespaces()
        idle = ("--net", "sh", "-c", "echo ready; exec sleep infinity")
        self._nets["second"] = self._anchor(*idle).pid
        router, second = (f"--net=/proc/{self._nets[net]}/ns/net" for net in ("router", "second"))
        prefix = tuple(second if word == router else word for word in self.router.prefix)
        self.second = Place(prefix, "/srv/root", self._stack)

    def _files(self) -> None:
        super()._files()
        self.path("/srv/second").mkdir()
        self.path("/srv/second/conf").write_text(self._second_conf)
        self.path("/srv/second/leases").write_text("")
        found = shutil.which("miniupnpd", path=PATH)
        assert found
        program = Path(found).read_bytes()
        for reserved, instead in ((_HOME, _ONLY_THE_LAN), (_SHARED, _NOBODYS)):
            assert program.count(reserved) == 1, "another miniupnpd than 2.3.1 for little-endian"
            program = program.replace(reserved, instead)
        copy = self.path("/srv/router/miniupnpd")
        copy.write_bytes(program)
        copy.chmod(0o700)

    def _links(self) -> None:
        for place, commands in [*_WIRES.items(), *LINKS.items(), *_WAY_OUT.items()]:
            subprocess.run(
                ["nsenter", f"--target={self._nets[place]}", "--net", "ip", "-batch", "-"],
                input=commands.format(wan=self._wan, second_lan=self._second_lan, **self._nets),
                text=True,
                check=True,
            )
        for router in (self.router, self.second):
            router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            router.run("nft", "-f", "-", given=f"flush ruleset\n{FIREWALL}")
        if self._second_lan == SHARED_LAN:
            self._answers_at_anycast()
        if self._second_conf:
            self.start_second()
        if self._filters:
            self.is_deaf()

    def _start_upnp(self, place: Place, home: str) -> None:
        program = "/srv/router/miniupnpd" if place is self.router else "miniupnpd"
        place.start(
            program, "-d", "-f", f"{home}/conf", "-P", f"{home}/pid", log=self.path(f"{home}/log")
        )
