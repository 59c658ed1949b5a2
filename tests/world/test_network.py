import asyncio
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pairingd.core.network import Network
from pairingd.errors import GatewayError
from pairingd.world import network
from pairingd.world.network import changes, linux, macos, towards
from tests.loopback import NO_NAMES
from tests.waiting import WAIT_S

SYSTEM = "pairingd.world.network.changes.system"

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\tFE4DA8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t014DA8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t004DA8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
eth1\t00000000\t0102000A\t0203\t0\t0\t0\t00000080\t0\t0\t0
"""

ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.77.1     0x1         0x2         02:fc:00:00:00:05     *        eth0
192.168.77.1     0x1         0x2         02:fc:00:00:00:06     *        wlan0
192.168.77.9     0x1         0x0         00:00:00:00:00:00     *        eth0
"""

IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 02 40 20 80     eth0
fd000000000000000000000000000002 02 40 00 80     eth0
2a0200000000000000000000000000aa 02 40 00 01     eth0
2a0200000000000000000000000000bb 02 40 00 20     eth0
2a0200000000000000000000000000cc 02 40 00 40     eth0
2a0200000000000000000000000000dd 02 40 00 00     eth0
2a0200000000000000000000000000ee 03 40 00 80    wlan0
"""

ROUTE_GET = """\
   route to: default
destination: default
       mask: default
    gateway: 192.168.1.1
  interface: en0
      flags: <UP,GATEWAY,DONE,STATIC,PRCLONING,GLOBAL>
 recvpipe  sendpipe  ssthresh  rtt,msec    rttvar  hopcount      mtu     expire
       0         0         0         0         0         0      1500         0
"""

ROUTE_GET_VPN = """\
   route to: default
destination: default
       mask: default
  interface: utun4
      flags: <UP,DONE,CLONING,STATIC,GLOBAL>
"""

IFCONFIG = """\
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tinet6 fe80::1c2b:3d4e:5f60:7182%en0 prefixlen 64 secured scopeid 0xe
\tinet6 fd12:3456:789a:1:14a5:1111:2222:3333 prefixlen 64 autoconf secured
\tinet6 2a02:8071:1:2:30:40:50:60 prefixlen 64 deprecated autoconf secured
\tinet6 2a02:8071:1:2:1c:2c:3c:4c prefixlen 64 autoconf temporary
\tinet6 2a02:8071:1:2:5a:5b:5c:5d prefixlen 64 clat46
\tinet6 2a02:8071:1:2:14a5:1111:2222:3333 prefixlen 64 autoconf secured
"""


ROUTES6 = """\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 2a02000000000000000000000000000f 00000200 00000002 00000000 00000003    wlan0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""

ROUTE_GET6 = """\
   route to: ::
destination: ::
       mask: default
    gateway: fe80::1%en0
  interface: en0
      flags: <UP,GATEWAY,DONE,PRCLONING,GLOBAL>
"""


class TestLinuxTables:
    def test_an_ipv6_gateway_is_named_with_its_scope(self) -> None:
        assert linux.default_gateway6(ROUTES6, "eth0") == "fe80::1%eth0"
        assert linux.default_gateway6(ROUTES6, "wlan0") == "2a02::f"
        for nowhere in ("lo", "eth1"):
            assert linux.default_gateway6(ROUTES6, nowhere) == ""

    def test_the_default_route_with_the_lowest_metric_names_the_gateway(self) -> None:
        assert linux.default_gateway(ROUTES, "eth0") == "192.168.77.1"
        assert linux.default_gateway(ROUTES, "wlan0") == "192.168.1.1"

    @pytest.mark.parametrize("interface", ["ppp0", "eth1", "eth9"])
    def test_no_default_route_through_a_gateway_is_no_gateway(self, interface: str) -> None:
        assert linux.default_gateway(ROUTES, interface) == ""

    def test_a_complete_arp_entry_of_the_interface_names_the_mac(self) -> None:
        assert linux.hardware_address(ARP, "192.168.77.1", "eth0") == "02:fc:00:00:00:05"
        assert linux.hardware_address(ARP, "192.168.77.1", "wlan0") == "02:fc:00:00:00:06"
        assert linux.hardware_address(ARP, "192.168.77.9", "eth0") == ""
        assert linux.hardware_address("", "192.168.77.1", "eth0") == ""

    def test_temporary_deprecated_and_tentative_addresses_are_left_out(self) -> None:
        lasting = linux.lasting_addresses(IF_INET6, "eth0")
        assert lasting == ["fe80::fc:ff:fe00:1", "fd00::2", "2a02::dd"]
        assert network.stable_global(lasting) == "2a02::dd"

    def test_a_unique_local_address_is_not_global(self) -> None:
        assert network.stable_global(["fe80::1", "fd00::2"]) is None

    def test_an_icmp_error_names_the_router_that_sent_it(self) -> None:
        address = bytes.fromhex("0200 0000 c0a80101 0000000000000000")
        time_exceeded = bytes.fromhex("71000000 02 0b 00 00 00000000 00000000") + address
        assert linux.offender(time_exceeded) == "192.168.1.1"
        of_this_machine = time_exceeded[:4] + b"\1" + time_exceeded[5:]
        assert linux.offender(of_this_machine) == ""
        assert linux.offender(time_exceeded[:20]) == ""


class TestMacosAnswers:
    async def test_traceroute_is_asked_for_the_second_hop_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[str, ...]] = []

        def output(*command: str) -> str:
            asked.append(command)
            return " 2  192.168.1.1  2.113 ms\n"

        monkeypatch.setattr(macos, "_output", output)
        assert await macos.second_hop("198.41.0.4") == "192.168.1.1"
        [command] = asked
        assert command[0] == "/usr/sbin/traceroute"
        assert " ".join(command).endswith("-f 2 -m 2 -q 1 -w 2 198.41.0.4")

    def test_traceroute_names_the_second_hop(self) -> None:
        assert macos.hop(" 2  192.168.1.1  2.113 ms\n") == "192.168.1.1"
        assert macos.hop(" 2  192.168.1.1  2.113 ms !N\n") == "192.168.1.1"
        assert macos.hop(" 2  *\n") == ""
        assert macos.hop(" 1  192.168.0.1  1.003 ms\n") == ""
        assert macos.hop("") == ""

    def test_an_ipv6_gateway_is_named_with_its_scope(self) -> None:
        assert macos.default_gateway6(ROUTE_GET6, "en0") == "fe80::1%en0"
        assert macos.default_gateway6(ROUTE_GET6, "en1") == ""
        assert macos.default_gateway6(ROUTE_GET6.replace("fe80::1%en0", "link#12"), "en0") == ""
        assert macos.default_gateway6("", "en0") == ""

    def test_route_get_names_the_gateway(self) -> None:
        assert macos.default_gateway(ROUTE_GET, "en0") == "192.168.1.1"

    def test_a_default_route_over_another_interface_is_no_gateway(self) -> None:
        assert macos.default_gateway(ROUTE_GET, "en7") == ""
        assert macos.default_gateway(ROUTE_GET_VPN, "utun4") == ""
        assert macos.default_gateway("", "en0") == ""
        assert macos.default_gateway(ROUTE_GET.replace("192.168.1.1", "link#12"), "en0") == ""

    def test_arp_names_the_mac_with_its_zeros(self) -> None:
        answer = "? (192.168.1.1) at 4:fc:0:0:0:a5 on en0 ifscope [ethernet]\n"
        assert macos.hardware_address(answer, "192.168.1.1", "en0") == "04:fc:00:00:00:a5"
        assert macos.hardware_address(answer, "192.168.1.11", "en0") == ""
        assert macos.hardware_address(answer, "192.168.1.1", "en1") == ""

    def test_an_unanswered_arp_request_names_none(self) -> None:
        answer = "? (192.168.1.1) at (incomplete) on en0 ifscope [ethernet]\n"
        assert macos.hardware_address(answer, "192.168.1.1", "en0") == ""

    def test_ifconfig_names_the_address_that_stays(self) -> None:
        lasting = macos.lasting_addresses(IFCONFIG)
        assert network.stable_global(lasting) == "2a02:8071:1:2:14a5:1111:2222:3333"
        assert not any(address.endswith(("4c", "5d")) for address in lasting)

    @pytest.mark.parametrize(
        ("kind", "flags", "is_change"),
        [
            pytest.param(0x1, 0x803, True, id="default route added"),
            pytest.param(0x2, 0x803, True, id="default route deleted"),
            pytest.param(0xC, 0, True, id="address added"),
            pytest.param(0xE, 0x8863, True, id="link changed"),
            pytest.param(0x1, 0x20405, False, id="neighbour learned"),
            pytest.param(0x4, 0x803, False, id="lookup answered"),
            pytest.param(0x7, 0x803, False, id="lookup missed"),
            pytest.param(0xF, 0, False, id="multicast joined"),
        ],
    )
    def test_only_routes_addresses_and_links_are_changes(
        self, kind: int, flags: int, is_change: bool
    ) -> None:
        message = struct.pack("=HBBHHi", 128, 5, kind, 4, 0, flags).ljust(128, b"\0")
        assert macos.is_change(message) is is_change

    def test_a_short_routing_message_is_no_change(self) -> None:
        assert not macos.is_change(b"\x80\0\5\1")


class TestLanAddress:
    def test_the_default_routes_address_is_best(self) -> None:
        addresses = {"eth0": ["192.168.77.10"], "eth1": ["10.0.0.2"]}
        assert network.best_lan_address("10.0.0.2", addresses) == "10.0.0.2"

    @pytest.mark.parametrize(
        "detour",
        [
            "utun4",
            "feth1234",
            "vnic0",
            "ipsec0",
            "tun0",
            "tap0",
            "wg0",
            "tailscale0",
            "ppp0",
            "docker0",
            "virbr0",
            "br-0123456789ab",
            "vethab12cd3",
            "bridge100",
        ],
    )
    def test_a_vpn_or_container_interface_is_a_detour(self, detour: str) -> None:
        addresses = {"lo": ["127.0.0.1"], detour: ["10.8.0.2"], "eth0": ["192.168.77.10"]}
        assert network.best_lan_address("10.8.0.2", addresses) == "192.168.77.10"
        assert network.best_lan_address(None, addresses) == "192.168.77.10"

    @pytest.mark.parametrize(
        "home", ["eth0", "en0", "wlp3s0", "enxaabbcc", "br-lan", "br0", "bridge0", "veth0"]
    )
    def test_an_ordinary_interface_is_the_way_home(self, home: str) -> None:
        addresses = {"en99": ["192.168.99.9"], home: ["192.168.77.10"]}
        assert network.best_lan_address("192.168.77.10", addresses) == "192.168.77.10"

    def test_the_address_of_a_vpn_is_used_if_there_is_no_other(self) -> None:
        assert network.best_lan_address("10.8.0.2", {"wg0": ["10.8.0.2"]}) == "10.8.0.2"

    def test_without_a_network_there_is_no_address(self) -> None:
        assert network.best_lan_address(None, {"lo": ["127.0.0.1"]}) is None


async def test_watching_goes_on_without_route_messages(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(f"{SYSTEM}.open_route_socket", refused)
    with changes.watch(lambda: None):
        assert "polling only: Operation not permitted" in caplog.text


async def test_a_burst_of_messages_is_one_change(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.settimeout(0)
    monkeypatch.setattr(f"{SYSTEM}.open_route_socket", lambda: ours)
    monkeypatch.setattr(f"{SYSTEM}.is_change", lambda message: message != b"noise")
    seen: list[bytes] = []
    changed = asyncio.Event()

    def note() -> None:
        seen.append(b"change")
        changed.set()

    with kernels, changes.watch(note, debounce=0.05):
        kernels.send(b"noise")
        for _ in range(20):
            kernels.send(b"route")
        await asyncio.wait_for(changed.wait(), WAIT_S)
        assert seen == [b"change"]
        changed.clear()
        kernels.send(b"route")
        await asyncio.wait_for(changed.wait(), WAIT_S)
    assert seen == [b"change", b"change"]
    assert ours.fileno() == -1


needs_namespaces = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need root on Linux, and iproute2",
)

CHILD = """
import asyncio, sys
from pairingd.world import network
from pairingd.world.network import changes

async def main():
    changed = asyncio.Event()
    with changes.watch(changed.set, debounce=0.05):
        while True:
            print(await network.current(), network.lan_address(), network.ipv6_address(), flush=True)
            await asyncio.wait_for(changed.wait(), float(sys.argv[1]))
            changed.clear()

asyncio.run(main())
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def child_in(name: str) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", name, sys.executable, "-c", CHILD, str(WAIT_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def named_in(name: str, gateway: str, platform: str = "linux") -> str:
    """The network of a `gateway` that the configuration names, or the code of the refusal."""
    code = (
        "import asyncio; from pairingd.errors import GatewayError;"
        "from pairingd.world.network.towards import towards\n"
        f"try: print(asyncio.run(towards({gateway!r}, {platform!r})))\n"
        "except GatewayError as error: print(error.code)"
    )
    command = ["ip", "netns", "exec", name, sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def until(child: subprocess.Popen[str], text: str) -> str:
    """The first line with `text`. The child ends by itself when nothing changes any more."""
    assert child.stdout is not None
    seen = []
    for line in child.stdout:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"{text!r} was not seen in {seen}")


@needs_namespaces
@pytest.mark.parametrize("link", ["eth0", "bridge0"])
def test_a_real_change_of_network_is_noticed_and_reported(link: str) -> None:
    name = f"nw-{os.getpid()}"
    with namespace(f"{name}-host") as host, namespace(f"{name}-router") as router:
        ip("-n", host, "link", "add", link, "type", "veth", "peer", "lan0", "netns", router)
        ip("-n", router, "link", "set", "lan0", "address", "02:00:00:00:00:01", "up")
        ip("-n", router, "addr", "add", "192.168.77.1/24", "dev", "lan0")
        with child_in(host) as child:
            assert until(child, "None") == "None None None\n"
            ip("-n", host, "link", "set", link, "up")
            ip("-n", host, "addr", "add", "192.168.77.10/24", "dev", link)
            ip("-n", host, "route", "add", "default", "via", "192.168.77.1")
            expected = Network(link, "192.168.77.10", "192.168.77.1", "02:00:00:00:00:01")
            assert until(child, "gateway='192") == f"{expected} 192.168.77.10 None\n"
            assert named_in(host, "192.168.77.1") == str(expected)
            assert named_in(host, "198.41.0.4") == str(Network(link, "192.168.77.10", "198.41.0.4"))
            ip("-n", host, "addr", "add", "2a02::10/64", "dev", link, "nodad")
            ip("-n", host, "-6", "route", "add", "default", "via", "2a02::1")
            until(child, "2a02::10")
            ip("-n", host, "tuntap", "add", "home", "mode", "tun")
            ip("-n", host, "addr", "add", "10.8.0.2/24", "dev", "home")
            ip("-n", host, "link", "set", "home", "up")
            ip("-n", host, "route", "replace", "default", "via", "10.8.0.1", "dev", "home")
            tunnelled = Network("home", "10.8.0.2", "")
            assert until(child, str(tunnelled)) == f"{tunnelled} 192.168.77.10 2a02::10\n"
            ip("-n", host, "route", "replace", "default", "via", "192.168.77.1")
            until(child, "gateway='192")


@pytest.mark.parametrize("name", NO_NAMES)
async def test_a_named_gateway_whose_name_leads_nowhere_is_reported_as_that(name: str) -> None:
    with pytest.raises(GatewayError, match="its name could not be resolved") as refused:
        await towards.towards(name)
    assert refused.value.code == "no-gateway"


@needs_namespaces
def test_a_named_gateway_is_located_where_datagrams_to_neighbours_are_denied() -> None:
    """As by Local Network privacy: EHOSTUNREACH, at connect already."""
    with namespace(f"denied-{os.getpid()}") as name:
        for link, address in (
            ("bridge100", "192.168.77.7/24"),  # a detour, although it is beside the gateway
            ("eth0", "192.168.77.10/24"),
            ("eth1", "10.9.8.7/24"),
        ):
            ip("-n", name, "link", "add", link, "type", "veth", "peer", f"{link}-far")
            ip("-n", name, "link", "set", f"{link}-far", "up")
            ip("-n", name, "addr", "add", address, "dev", link)
            ip("-n", name, "link", "set", link, "up")
        ip("-n", name, "route", "add", "default", "via", "192.168.77.1", "dev", "eth0")
        for near in ("192.168.77.0/24", "10.9.8.0/24", "172.16.0.0/12"):
            ip("-n", name, "rule", "add", "pref", "1", "ipproto", "udp", "to", near, "lookup", "77")
        ip("-n", name, "route", "add", "unreachable", "default", "table", "77")
        assert "address='192.168.77.10', gateway='192.168.77.1'" in named_in(
            name, "192.168.77.1", "darwin"
        )
        assert "address='10.9.8.7', gateway='10.9.8.1'" in named_in(name, "10.9.8.1", "darwin")
        assert named_in(name, "172.16.0.1", "darwin") == "local-network-denied"
        assert named_in(name, "192.168.77.1", "linux") == "no-gateway"
        assert named_in(name, "no-such-name.invalid", "darwin") == "no-gateway"
