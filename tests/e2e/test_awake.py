"""The machine is kept awake by the real systemd-inhibit, against a systemd-logind of our own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.network import Network, Place, until
from tests.e2e.people import Guest, Host, speaks

LOGIND = "/usr/lib/systemd/systemd-logind"
POLKITD = ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd")
# A bus on which everybody may do everything: polkit alone judges.
BUS = """\
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/>
    <allow send_type="method_call"/> <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/> <allow receive_type="signal"/>
    <allow receive_type="method_return"/> <allow receive_type="error"/>
  </policy>
</busconfig>
"""
RUN = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dbus /run/systemd/system
mount -t tmpfs -o mode=755 tmpfs /etc/polkit-1/rules.d
"""
# As logind's own policy has it for who sits at the machine.
AT_THE_MACHINE = """\
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.freedesktop.login1.inhibit-") == 0) return polkit.Result.YES;
});
"""


def why_no_logind() -> str | None:
    polkitd = next(filter(shutil.which, POLKITD), None)
    if not (polkitd and Path("/etc/polkit-1/rules.d").is_dir()):
        return "polkit is not installed"
    missing = [name for name in (LOGIND, "dbus-daemon", "busctl") if not shutil.which(name)]
    return f"{missing[0]} is not installed" if missing else None


class Logind:
    def __init__(self, network: Network, rules: str) -> None:
        self._root: Place = network.root
        self._root.run("sh", "-euc", RUN)
        network.path("/run/dbus/system.conf").write_text(BUS)
        network.path("/etc/polkit-1/rules.d/10-test.rules").write_text(rules)
        log = network.path("/srv/logind.log")
        bus = ("dbus-daemon", "--config-file=/run/dbus/system.conf", "--nofork", "--nopidfile")
        self._root.start(*bus, log=log)
        until("the bus is there", lambda: self._answers("org.freedesktop.DBus"))
        polkitd = next(filter(shutil.which, POLKITD))
        self._root.start(LOGIND, log=log)
        self._root.start(polkitd, "--no-debug", log=log)
        until("logind is there", lambda: self._answers("org.freedesktop.login1"))
        until("polkit is there", lambda: self._answers("org.freedesktop.PolicyKit1"))

    def inhibitors(self) -> list[list[str]]:
        """What, who, why and mode of each: org.freedesktop.login1(5), ListInhibitors."""
        told = self._root.run(
            *("busctl", "--json=short", "call", "org.freedesktop.login1"),
            *("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListInhibitors"),
        ).stdout
        (found,) = json.loads(told)["data"]
        return [one[:4] for one in found]

    def _answers(self, name: str) -> bool:
        ping = ("busctl", "call", name, "/", "org.freedesktop.DBus.Peer", "Ping")
        return self._root.run(*ping, check=False).returncode == 0


@pytest.fixture
def logind(network: Network, request: pytest.FixtureRequest) -> Logind:
    if reason := why_no_logind():
        pytest.skip(reason)
    return Logind(network, request.param)


@pytest.mark.parametrize(
    ("logind", "what"),
    [(AT_THE_MACHINE, "sleep:idle"), ("", "idle")],
    ids=["at the machine", "logged in from elsewhere"],
    indirect=["logind"],
)
def test_the_machine_is_kept_awake_while_a_guest_is_connected(
    what: str, logind: Logind, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    assert logind.inhibitors() == []
    screen = octocat.joins(command)
    speaks(screen, "guest-is-here", screen)
    held = [[what, "pairingd", "a guest is in the pairing session", "block"]]
    until("sleep is inhibited", lambda: logind.inhibitors() == held)
    host.pairctl("revoke", octocat.name)
    screen.ends()
    until("it may sleep again", lambda: logind.inhibitors() == [])


@pytest.mark.parametrize("logind", [AT_THE_MACHINE], indirect=True, ids=["at the machine"])
def test_a_killed_daemon_keeps_nothing_awake(logind: Logind, host: Host, octocat: Guest) -> None:
    screen = octocat.joins(host.invites(octocat)["command"])
    speaks(screen, "guest-is-here", screen)
    until("sleep is inhibited", lambda: len(logind.inhibitors()) == 1)
    host.signals_daemon("KILL")
    until("it may sleep again", lambda: logind.inhibitors() == [])
