"""What of the product asks macOS's programs and kernel, each asked in the bed."""

from __future__ import annotations

from tests.e2e.network import HOST, LAN, Network, until
from tests.mac.machine import Mac

NETWORK = """
import asyncio
from pairingd.world import network
print(asyncio.run(network.current()))
"""
WATCH = """
import asyncio
from pairingd.world.network import changes

async def main():
    changed = asyncio.Event()
    with changes.watch(changed.set):
        print("watching", flush=True)
        await changed.wait()
    print("changed", flush=True)

asyncio.run(main())
"""
NOTIFY = """
import asyncio
from pairingd.world import desktop

async def main():
    shown = desktop.Desktop()
    shown.notify("the \\"router\\" has moved")
    await asyncio.gather(*shown._showing)

asyncio.run(main())
"""
STARTED = """
import os
from pairingd.process import left_over
began = left_over.start_time(os.getpid())
print(repr(left_over.boot()), began == left_over.start_time(os.getpid()))
"""
HUNG_UP = """
import socket
from pairingd.machine import peer

ours, theirs = socket.socketpair()
print(peer.has_hung_up(ours), end=" ")
theirs.shutdown(socket.SHUT_WR)
print(peer.has_hung_up(ours), end=" ")
theirs.close()
print(peer.has_hung_up(ours))
"""
FOLLOW = """
import subprocess
follower = subprocess.Popen(["pairctl", "log", "--follow"], stdout=subprocess.PIPE)
follower.stdout.close()
print(follower.wait(60))
"""
ROLES = """
import psutil, time
from pairingd.world.forced_command import role_of
while not (roles := {role for pid in psutil.pids() if (role := role_of(pid))}):
    time.sleep(0.05)
print(*sorted(roles))
"""
# One client resets the connection before it is accepted, the other one after its identification.
DOOR = """
import asyncio, logging, socket, struct, time
from pairingd.core.admission import Admission
from pairingd.world.door import Arrival, Door
from pairingd.world.door.listener import tune

logging.basicConfig()

def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

async def main():
    door = Door(lambda: print("an sshd"), "", time.time, Admission())
    await door.open(preferred=0, fixed=0)
    reset(socket.create_connection(("127.0.0.1", door.port)))
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.sendall(b"no ssh\\r\\n")
        print("next:", await asyncio.to_thread(client.recv, 8))
    print(door.events.get_nowait().reason.name, door.events.empty())

    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
        accepted, _ = listener.accept()
    client.sendall(b"SSH-2.0-x\\r\\n")
    reset(client)
    tune(accepted)
    left = asyncio.get_running_loop().create_future()
    door.take(Arrival(accepted, "127.0.0.1", left=left.set_result))
    print("an ssh client:", await left, door.events.empty())

asyncio.run(main())
"""


def test_the_network_is_read_from_route_arp_and_ifconfig(mac: Mac, network: Network) -> None:
    link = network.router.run("ip", "-o", "link", "show", "lan0").stdout
    mac_address = link.split("link/ether ")[1].split()[0]
    said = mac.python(NETWORK)
    where = f"interface='en0', address='{HOST}', gateway='{LAN}', gateway_mac='{mac_address}'"
    assert said == f"Network({where}, behind='')"


def test_the_ipv6_address_from_ifconfig_is_never_a_temporary_one(
    mac: Mac, network: Network
) -> None:
    batch = """
addr add 2001:db8:77::10/64 dev en0 nodad
route add default via 2001:db8:77::1
"""
    network.root.run("ip", "-batch", "-", given=batch)
    asked = "from pairingd.world import network; print(network.ipv6_address())"
    seen = "from pairingd.world.network import macos; print(macos.gateway6('en0'))"
    assert mac.python(asked) in {"2001:db8:77::10", "None"}
    assert mac.python(seen) == "2001:db8:77::1"


def test_a_change_of_address_is_noticed_at_once(mac: Mac, network: Network) -> None:
    log = "/private/tmp/watch.log"
    mac.place.start(f"{mac.venv}/bin/python", "-c", WATCH, log=mac.path(log))
    until("it watches", lambda: "watching" in mac.read(log))
    network.root.run("ip", "addr", "add", "192.168.77.44/24", "dev", "en0")
    until("it has changed", lambda: "changed" in mac.read(log))


def test_a_notification_is_an_argument_of_the_script(mac: Mac) -> None:
    mac.python(NOTIFY)
    assert mac.read("/private/tmp/notifications") == 'pairing: the "router" has moved\n'


def test_a_process_is_known_by_the_time_that_the_kernel_recorded(mac: Mac) -> None:
    assert mac.python(STARTED) == "'' True"


def test_a_client_that_has_gone_is_told_from_one_that_only_sends_no_more(mac: Mac) -> None:
    assert mac.python(HUNG_UP) == "False False True"


def test_what_follows_the_log_ends_with_the_reader_of_its_output(mac: Mac) -> None:
    mac.pairctl("start")
    assert mac.python(FOLLOW) == "141", "nothing is left to be written"


def test_what_lies_in_the_place_of_the_socket_is_replaced_or_named(mac: Mac) -> None:
    mac.configure()
    place = f"{mac.support}/pairingd.sock"
    mac.place.run("mkdir", place)
    assert mac.asks("start")["error"]["hint"] == "move it out of the way"
    mac.place.run("rmdir", place)
    mac.place.run("touch", place)
    assert mac.asks("status")["error"]["message"] == "pairingd is not running"
    assert mac.asks("start")["pid"]


def test_the_role_of_another_users_forced_command_is_seen_by_ps(mac: Mac, network: Network) -> None:
    account = ("/Library/pairing/pair/programs/glass.py", "/live/a", "read", "plain", "python")
    network.root.start("sh", "-c", "sleep 3600; :", *account, log=mac.path("/private/tmp/log"))
    assert mac.python(ROLES) == "read"


def test_doctor_reads_the_application_firewall(mac: Mac) -> None:
    states: list[tuple[dict[str, str], str]] = [
        ({}, "ok"),
        ({"state": "1"}, "warn"),
        ({"state": "2"}, "fail"),
        ({"state": "1", "block_all": "enabled"}, "fail"),
    ]
    for given, state in states:
        mac.firewall(**given)
        assert mac.check("firewall")["state"] == state


def test_doctor_reports_the_sleep_settings_and_whether_launchd_has_the_agent(mac: Mac) -> None:
    assert "sleeps when idle for 1 min" in mac.check("sleep")["message"]
    assert "pairctl starts the daemon" in mac.check("service")["message"]
    mac.pairctl("install")
    assert "launchd has" in mac.check("service")["message"]
    mac.pairctl("stop")
    absent = mac.check("service")
    assert absent["state"] == "warn"
    assert "Login Items" in absent["hint"]


def test_a_connection_that_was_reset_meanwhile_is_no_failure_of_the_door(mac: Mac) -> None:
    done = mac.place.run(f"{mac.venv}/bin/python", "-c", DOOR)
    assert done.stdout.splitlines() == [
        "next: b'SSH-2.0-'",
        "NOT_SSH True",
        "an ssh client: True True",
    ]
    assert done.stderr == ""
