"""The layouts of the internet are what they say, shown without the product."""

from __future__ import annotations

import pytest

from tests.e2e.internet import LAYOUTS, PUBLIC, RELAY, Internet
from tests.e2e.network import until
from tests.e2e.relays import PORT

HOLE = 50022
# Keeps a connection to the relay open, and greets whoever comes to the port that it was made from.
GREETER = f"""
import socket
def bound():
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("", {HOLE}))
    return one
door, hole = bound(), bound()
hole.connect(("{RELAY}", {PORT}))
door.listen()
print("there is a hole", flush=True)
while True:
    with door.accept()[0] as connection:
        connection.sendall(b"SSH-2.0-greeter\\r\\n")
"""

pytestmark = pytest.mark.usefixtures("machine")


def internet(name: str) -> Internet:
    return Internet(next(layout for layout in LAYOUTS if layout.name == name))


@pytest.mark.parametrize(
    ("name", "lets_in"), [("full-cone CGNAT", True), ("filtering CGNAT", False)]
)
def test_only_a_full_cone_lets_a_stranger_in_by_a_port_in_use(name: str, lets_in: bool) -> None:
    with internet(name) as made:
        router, log = made.at("router"), made.path("/srv/greeter.log")
        router.run("nft", "flush", "chain", "inet", "filter", "input")  # to listen on it itself
        assert not made.greets(made.guest, PUBLIC, HOLE)
        router.start("python3", "-c", GREETER, log=log)
        until("the hole is there", lambda: "hole" in log.read_text())
        assert made.greets(router, "100.64.0.2", HOLE)
        assert made.greets(made.guest, PUBLIC, HOLE) is lets_in


def test_the_guest_s_nat_blocks_incoming_connections() -> None:
    with internet("CGNAT, and the guest's NAT") as made:
        log = made.path("/srv/greeter.log")
        made.guest.start("python3", "-c", GREETER, log=log)
        until("the hole is there", lambda: "hole" in log.read_text())
        assert made.greets(made.guest, "192.168.9.2", HOLE)
        assert not made.greets(made.host, "5.5.9.2", HOLE)
