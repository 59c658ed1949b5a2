"""The internet between the host and the guest, in the shapes that it has for people.

    host ── router ── carrier ── inet ── fence ── guest
                                  └──── relay

Which of them are there, and how they are joined, a Layout says. `router` is the one at home; `carrier`
is a second one at home, or the provider's; `fence` is the guest's. A wire's ends are called lan0
(inwards) and wan0 (outwards) on all that translate addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Self

from msgspec import Struct, field

from tests.e2e.network import FIREWALL, MINIUPNPD, Network, Place, describes_itself, until
from tests.e2e.relays import PORT as RELAY_PORT
from tests.e2e.relays import serves_ssh

NETS: Final = ("router", "carrier", "inet", "fence", "guest", "relay")
# Addresses that only have to look public: miniupnpd does not forward behind the reserved ones.
PUBLIC: Final = "5.5.5.1"  # the host's side, where it has one
RELAY: Final = "5.5.8.2"
RELAY6: Final = "2a00:8::2"

# Endpoint-independent mapping and filtering: a port that was used leads in from anywhere (RFC 5382
# REQ-1, REQ-3; RFC 6888 REQ-1).
CONE: Final = """
table ip cone {
  map learnt { type inet_service : ipv4_addr . inet_service; flags dynamic, timeout; timeout 300s; }
  chain learn {
    type filter hook prerouting priority -150;
    iifname "lan0" tcp flags & (syn | ack) == syn update @learnt { tcp sport : ip saddr . tcp sport }
  }
  chain inwards {
    type nat hook prerouting priority -101;
    iifname "wan0" dnat ip to tcp dport map @learnt
  }
}
"""
FULL_CONE: Final = f"""{CONE}
table ip carrier {{
  chain outwards {{ type nat hook postrouting priority 100; oifname "wan0" masquerade; }}
  chain itself {{ type filter hook input priority 0; iifname "wan0" ct state new drop; }}
}}
"""
# As routers do: who comes to them from outside, uninvited, gets no answer.
ROUTER: Final = FIREWALL.replace(
    "  chain prerouting {",
    """  chain input {
    type filter hook input priority 0;
    iifname "wan0" meta nfproto ipv4 ct state new drop
  }
  chain prerouting {""",
    1,
)
# A provider's that shares its IPv4 addresses and leaves IPv6 alone.
PASSES_IPV6: Final = ROUTER.replace("ip6 nexthdr icmpv6 accept", "meta nfproto ipv6 accept")


class Miniupnpd(Struct, frozen=True):
    """For the network of its `address`."""

    address: str

    def start(self, internet: Internet, net: str) -> None:
        home = f"/srv/of-{net}"
        files, place = internet.path(home), internet.at(net)
        files.mkdir()
        conf = MINIUPNPD.replace("/srv/router", home)
        conf = conf.replace("192.168.77.0", f"{self.address.rpartition('.')[0]}.0")
        (files / "conf").write_text(conf)
        (files / "leases").touch()
        where = ("-f", f"{home}/conf", "-P", f"{home}/pid")
        place.start("miniupnpd", "-d", *where, log=files / "log")
        until("the router speaks", lambda: describes_itself(place, self.address))


class OurOwn(Struct, frozen=True):
    """PCP and NAT-PMP at `address`, where miniupnpd would forward nothing: behind a private
    `external`. What this one forwards goes to `inside`.
    """

    address: str
    external: str
    inside: str

    def start(self, internet: Internet, net: str) -> None:
        log = internet.path(f"/srv/of-{net}.log")
        words = (f"--address={self.address}", f"--external={self.external}", f"--to={self.inside}")
        internet.at(net).start("python", "-m", "tests.e2e.private_router", *words, log=log)
        until("the router speaks", lambda: "listening" in log.read_text())


Speaker = Miniupnpd | OurOwn


class Layout(Struct, frozen=True):
    """`wires` have the two ends as `net device address...`; `routes` are `destination=gateway`, or
    a gateway alone, by net; `rules` make a net forward. `speaks`: the routers with a mapping service,
    and which. `relay`: its address for this host, "" if out of reach.
    """

    name: str
    about: str
    wires: tuple[tuple[str, str], ...]
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    speaks: Mapping[str, Speaker] = field(default_factory=dict)
    relay: str = RELAY


class Internet(Network):
    """A network of that layout; where there is a relay, its sshd runs."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(upnp=False, relay=True)
        self.layout = layout

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            if self.layout.relay:
                serves_ssh(self, "GatewayPorts clientspecified", address=self.layout.relay)
                self.is_whole()
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_whole(self) -> None:
        """The guest and the host have the internet: what does not get in fails by itself."""
        for place in (self.guest, self.host):
            greets = partial(self.greets, place, self.layout.relay, RELAY_PORT)
            until("the relay is reached", greets)

    def _further_nets(self) -> tuple[str, ...]:
        return NETS

    def at(self, net: str) -> Place:
        return self._place(net, "root")

    def _links(self) -> None:
        made = {net: ["link set lo up"] for net in ("host", *NETS)}
        joined: dict[str, list[str]] = {net: [] for net in made}
        for one, other in self.layout.wires:
            (net, device, *_), (far, far_device, *_) = ends = one.split(), other.split()
            peer = f"{far_device} netns {self._nets[far]}"
            made[net].append(f"link add {device} type veth peer name {peer}")
            for end, name, *addresses in ends:
                joined[end] += [
                    f"addr add {address} dev {name} {'nodad' if ':' in address else ''}"
                    for address in addresses
                ]
                joined[end].append(f"link set {name} up")
        for net, routes in self.layout.routes.items():
            for to, _, via in (route.rpartition("=") for route in routes):
                joined[net].append(f"route add {to or 'default'} via {via}")
        for commands in (made, joined):
            for net, lines in commands.items():
                self._ip(net, "\n".join([*lines, ""]))
        forward = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for net in {"inet", *self.layout.rules}:
            self.at(net).run("sysctl", "-qw", *forward)
        for net, rules in self.layout.rules.items():
            self.at(net).run("nft", "-f", "-", given=rules)
        for net, speaker in self.layout.speaks.items():
            speaker.start(self, net)


GUEST = ("guest eth0 5.5.9.2/24 2a00:9::2/64", "inet guests 5.5.9.254/24 2a00:9::fe/64")
GUESTS_NAT = (
    ("guest eth0 192.168.9.2/24", "fence lan0 192.168.9.1/24"),
    ("fence wan0 5.5.9.2/24", "inet guests 5.5.9.254/24"),
)
RELAY_WIRE = (f"relay eth0 {RELAY}/24 {RELAY6}/64", "inet relays 5.5.8.254/24 2a00:8::fe/64")
OUT = {"guest": ("5.5.9.254", "2a00:9::fe"), "relay": ("5.5.8.254", "2a00:8::fe")}
HOME = ("host eth0 192.168.77.10/24", "router lan0 192.168.77.1/24")
HOST_OUT = {"host": ("192.168.77.1",)}
INTERNET = "inet hosts 5.5.5.254/24"
SPEAKING = {"router": Miniupnpd("192.168.77.1")}
AT_HOME = (
    HOME,
    ("router wan0 192.168.1.7/24", "carrier lan0 192.168.1.1/24"),
    (f"carrier wan0 {PUBLIC}/24", INTERNET),
)
CGNAT = (
    HOME,
    ("router wan0 100.64.0.2/24", "carrier lan0 100.64.0.1/24"),
    (f"carrier wan0 {PUBLIC}/24", INTERNET),
)
BEHIND_TWO = {"router": ("192.168.1.1",), "carrier": ("5.5.5.254",), **HOST_OUT, **OUT}
BEHIND_CGNAT = {"router": ("100.64.0.1",), "carrier": ("5.5.5.254",), **HOST_OUT, **OUT}
TWO = {"router": ROUTER, "carrier": ROUTER}
PRIVATE = {"router": OurOwn("192.168.77.1", "192.168.1.7", "192.168.77.10")}
SHARED = {"router": OurOwn("192.168.77.1", "100.64.0.2", "192.168.77.10")}
HOME6 = ("host eth0 2a00:77::10/64", "router lan0 192.168.77.1/24 2a00:77::1/64")
HOME46 = ("host eth0 192.168.77.10/24 2a00:77::10/64", "router lan0 192.168.77.1/24 2a00:77::1/64")

LAYOUTS: Final = (
    Layout(
        "public address",
        "the machine itself has an address on the internet, as a server has",
        ((f"host eth0 {PUBLIC}/24", INTERNET), GUEST, RELAY_WIRE),
        {"host": ("5.5.5.254",), **OUT},
    ),
    Layout(
        "public IPv6 address",
        "no IPv4 at all, and an IPv6 address without a firewall, as a server has",
        (("host eth0 2a00:77::10/64", "inet hosts 2a00:77::fe/64"), GUEST, RELAY_WIRE),
        {"host": ("2a00:77::fe",), **OUT},
        relay=RELAY6,
    ),
    Layout(
        "NAT",
        "one home router, which speaks UPnP, PCP and NAT-PMP",
        (HOME, (f"router wan0 {PUBLIC}/24", INTERNET), GUEST, RELAY_WIRE),
        {"router": ("5.5.5.254",), **HOST_OUT, **OUT},
        {"router": ROUTER},
        SPEAKING,
    ),
    Layout(
        "double NAT, both speak",
        "two routers at home, one behind the other; both open ports",
        (*AT_HOME, GUEST, RELAY_WIRE),
        BEHIND_TWO,
        TWO,
        PRIVATE | {"carrier": Miniupnpd("192.168.1.1")},
    ),
    Layout(
        "double NAT, one silent",
        "two routers at home; the outer one opens no ports",
        (*AT_HOME, GUEST, RELAY_WIRE),
        BEHIND_TWO,
        TWO,
        PRIVATE,
    ),
    Layout(
        "full-cone CGNAT",
        "the provider shares its address among customers, and lets in who connects to a port in use",
        (*CGNAT, GUEST, RELAY_WIRE),
        BEHIND_CGNAT,
        {"router": ROUTER, "carrier": FULL_CONE},
        SHARED,
    ),
    Layout(
        "filtering CGNAT",
        "the provider shares its address, and lets in only who was connected to",
        (*CGNAT, GUEST, RELAY_WIRE),
        BEHIND_CGNAT,
        TWO,
        SHARED,
    ),
    Layout(
        "CGNAT, and the guest's NAT",
        "the same, and the guest is behind a router of their own",
        (*CGNAT, *GUESTS_NAT, RELAY_WIRE),
        BEHIND_CGNAT
        | {"guest": ("192.168.9.1",), "fence": ("5.5.9.254",), "relay": ("5.5.8.254",)},
        TWO | {"fence": ROUTER},
        SHARED,
    ),
    Layout(
        "office",
        "outgoing connections only, and no router that opens a port",
        (HOME, (f"router wan0 {PUBLIC}/24", INTERNET), GUEST, RELAY_WIRE),
        {"router": ("5.5.5.254",), **HOST_OUT, **OUT},
        {"router": ROUTER},
    ),
    Layout(
        "IPv6 only",
        "no IPv4 at all, and a router whose IPv6 firewall opens by PCP",
        (
            HOME6,
            (f"router wan0 {PUBLIC}/24 2a00:5::1/64", f"{INTERNET} 2a00:5::fe/64"),
            GUEST,
            RELAY_WIRE,
        ),
        {
            "router": ("5.5.5.254", "2a00:5::fe"),
            "host": ("2a00:77::1",),
            "inet": ("2a00:77::/64=2a00:5::1",),
            **OUT,
        },
        {"router": ROUTER},
        SPEAKING,
        RELAY6,
    ),
    Layout(
        "IPv6 and CGNAT",
        "IPv4 shared by the provider, and an IPv6 network of one's own",
        (
            HOME46,
            ("router wan0 100.64.0.2/24 2a00:6::1/64", "carrier lan0 100.64.0.1/24 2a00:6::fe/64"),
            (f"carrier wan0 {PUBLIC}/24 2a00:5::1/64", f"{INTERNET} 2a00:5::fe/64"),
            GUEST,
            RELAY_WIRE,
        ),
        {
            "router": ("100.64.0.1", "2a00:6::fe"),
            "carrier": ("5.5.5.254", "2a00:5::fe", "2a00:77::/64=2a00:6::1"),
            "host": ("192.168.77.1", "2a00:77::1"),
            "inet": ("2a00:6::/64=2a00:5::1", "2a00:77::/64=2a00:5::1"),
            **OUT,
        },
        {"router": ROUTER, "carrier": PASSES_IPV6},
        SPEAKING,
    ),
    Layout(
        "no router",
        "host and guest on one wire, without the internet",
        (("host eth0 192.168.77.10/24", "guest eth0 192.168.77.20/24"),),
        relay="",
    ),
)
