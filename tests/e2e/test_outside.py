"""`pairctl doctor --outside`: a port checker on the internet, and one that lies."""

from __future__ import annotations

import pytest

from tests.e2e.network import GUEST, WAN, Network, until
from tests.e2e.people import Guest, Host

PORT = 8080
# It connects to the address in the URL, if it is to connect at all, and then says what it says.
CHECKER = """
import http.server, socket, sys
class Checker(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if sys.argv[1] == "connects":
            _, host, port = self.path.split("/")
            socket.create_connection((host, int(port)), 5).close()
        said = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
http.server.ThreadingHTTPServer(("", int(sys.argv[3])), Checker).serve_forever()
"""
URL = f"http://{GUEST}:{PORT}/{{host}}/{{port}}"


def checks(network: Network, does: str, says: str) -> None:
    log = network.path("/srv/guest/checker.log")
    network.guest.start("python3", "-c", CHECKER, does, says, str(PORT), log=log)
    ask = ("curl", "-s", "-o", "/dev/null", f"http://{GUEST}:{PORT}/{GUEST}/{PORT}")
    until("it answers", lambda: not network.host.run(*ask, check=False).returncode)


def outside(host: Host) -> tuple[str, str, str]:
    [found] = [
        one for one in host.asks("doctor", "--outside", URL)["checks"] if one["name"] == "outside"
    ]
    return found["state"], found["message"], found["hint"]


@pytest.mark.waits
@pytest.mark.parametrize(
    ("does", "says", "state", "told"),
    [
        ("connects", "reachable: false", "ok", "a connection from the internet reached the door"),
        ("does not", "reachable: true", "warn", f"{GUEST} answers 200: reachable: true"),
    ],
    ids=["connects and says closed", "does not and says open"],
)
def test_only_a_connection_at_the_door_counts(
    network: Network, host: Host, octocat: Guest, does: str, says: str, state: str, told: str
) -> None:
    checks(network, does, says)
    assert outside(host)[:2] == ("warn", "not tested: the door is closed")
    host.invites(octocat)
    for _ in range(2):  # who came before does not count for who is asked now
        found = outside(host)
        assert found[0] == state
        assert told in found[1]
    assert state == "ok" or f"pairctl look {WAN}:22" in found[2]


def test_a_checker_that_cannot_be_asked_is_named(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.invites(octocat)
    state, told, _ = outside(host)
    assert state == "warn"
    assert f"{GUEST} cannot be asked" in told
