"""pairingd as a unit of a real `systemd --user`: installed, restarted, killed, uninstalled."""

from __future__ import annotations

import json

import pytest

from tests.e2e.account_machine import Machine
from tests.e2e.manager import Manager, why_no_manager
from tests.e2e.network import Network, until
from tests.e2e.people import Guest, Host, speaks

UNIT = ".config/systemd/user/pairingd.service"
SOON = "[Service]\nRestartSec=100ms\n"


@pytest.fixture
def manager(network: Network) -> Manager:
    if reason := why_no_manager():
        pytest.skip(reason)
    manager = Manager(network)
    manager.start()
    return manager


@pytest.fixture
def host(network: Network, manager: Manager) -> Host:
    return Host(network, manager.place)


def main_pid(manager: Manager) -> str:
    return manager.systemctl("show", "--property=MainPID", "--value", "pairingd.service")


def test_a_session_under_systemd(
    network: Network, manager: Manager, host: Host, octocat: Guest
) -> None:
    assert f"write  {network.host.home}/{UNIT}" in host.pairctl("install", "--dry-run").stdout
    assert not network.path(f"{network.host.home}/{UNIT}").exists()
    told = host.asks("install")
    assert told["installed"] is True
    assert str(told["pid"]) == main_pid(manager)
    assert host.asks("install")["pid"] == told["pid"], "again changes nothing"

    command = host.invites(octocat)["command"]
    screen = octocat.joins(command)
    speaks(screen, "guest-is-here", screen)
    guest = str(host.status()["invitations"][0]["connections"][0]["pid"])
    assert "pairingd.service" in manager.group_of(guest)
    server = host.tmux("display-message", "-p", "#{pid}").strip()
    assert "pairingd.service" not in manager.group_of(server)

    again = host.asks("restart")
    assert str(again["pid"]) == main_pid(manager) != str(told["pid"])
    screen.ends()
    until("the way in is open", lambda: network.reaches(22))
    screen = octocat.joins(command)
    screen.shows("guest-is-here")

    drop_in = network.path(f"{network.host.home}/{UNIT}.d")
    drop_in.mkdir()
    (drop_in / "soon.conf").write_text(SOON)
    manager.systemctl("daemon-reload")
    manager.place.run("kill", "-KILL", main_pid(manager))
    screen.ends()
    until("systemd has started it anew", lambda: network.reaches(22))
    assert host.tmux("display-message", "-p", "#{pid}").strip() == server

    door = host.status()["door"]["port"]
    removed = host.asks("uninstall")["removed"]
    assert f"{host.home}/host_ed25519" in removed
    assert host.all_is_closed(door)
    assert host.files() == {"config.toml", "tmux.sock"}
    assert host.tmux("display-message", "-p", "#{pid}").strip() == server
    assert host.pairctl("status", check=False).returncode == 3
    assert not network.path(f"{network.host.home}/{UNIT}").exists()
    assert not list(network.path(network.host.home).rglob("*.wants/pairingd.service"))
    host.tmux("kill-server")
    host.pairctl("uninstall")
    assert host.files() == {"config.toml"}
    assert host.asks("uninstall")["removed"] == []


def test_a_session_in_a_box_under_systemd(manager: Manager, host: Host, octocat: Guest) -> None:
    project = f"{manager.place.home}/project"
    manager.place.run("mkdir", project)
    host.asks("install")
    screen = octocat.joins(host.invites(octocat, options=("--box", project))["command"])
    speaks(screen, "guest-is-here", screen)
    assert host.status()["session"]["confinement"] == "box"


def test_a_session_of_an_account_under_systemd(
    machine_with_account: Machine, manager: Manager, host: Host, octocat: Guest
) -> None:
    host.asks("install")
    screen = octocat.joins(host.invites(octocat, options=("--account", "pair"))["command"])
    speaks(screen, "guest-is-here", screen)
    assert host.status()["session"]["confinement"] == "account"
    host.asks("revoke", "octocat")
    screen.ends()


def test_start_reports_why_the_service_does_not_start(manager: Manager, host: Host) -> None:
    host.pairctl("install")
    host.pairctl("stop")
    host.configure("[door]\nprot = 1\n")
    refused = host.pairctl("start", check=False)
    assert refused.returncode == 3
    assert "door.prot" in refused.stderr
    host.pairctl("stop", check=False)
    assert manager.systemctl("show", "--property=ActiveState", "--value", "pairingd.service") in {
        "inactive",
        "failed",
    }


def test_a_proxy_of_the_terminal_reaches_the_service_by_the_printed_commands(
    manager: Manager, host: Host
) -> None:
    keys_url = "https://127.0.0.1:9/{name}.keys"  # nobody listens, there and at the proxy
    host.configure(f'[router]\nenabled = false\n[providers.work]\nkeys_url = "{keys_url}"\n')
    host.pairctl("install")
    terminal = ("HTTPS_PROXY=http://127.0.0.1:10", f"PAIRING_HOME={host.home}")
    invite = (*terminal, "pairctl", "invite", "work:ann", "--json")
    error = json.loads(manager.place.run(*invite, check=False).stdout)["error"]
    assert "127.0.0.1: Connection refused" in error["message"]
    cause, _, remedy = error["hint"].partition(": ")
    assert "HTTPS_PROXY" in cause
    manager.place.run(*terminal, "sh", "-c", remedy)
    error = json.loads(manager.place.run(*invite, check=False).stdout)["error"]
    assert "the proxy http://127.0.0.1:10 (HTTPS_PROXY)" in error["message"]


def test_the_unit_passes_systemds_own_check(manager: Manager, host: Host) -> None:
    host.pairctl("install")
    manager.place.run("systemd-analyze", "--user", "verify", UNIT)


def test_install_replaces_a_daemon_started_by_hand_with_the_service(
    manager: Manager, host: Host
) -> None:
    first = host.asks("start")["pid"]
    assert f"stop   pairingd (pid {first})" in host.pairctl("install", "--dry-run").stdout
    told = host.asks("install")
    assert str(told["pid"]) == main_pid(manager) != str(first)


def test_another_home_s_service_is_left_alone(
    network: Network, manager: Manager, host: Host
) -> None:
    host.pairctl("install")
    started = manager.place.run("env", f"PAIRING_HOME={host.home}2", "pairctl", "start")
    assert "has started" in started.stdout
    assert host.asks("status")["daemon"]["pid"] == int(main_pid(manager))
    elsewhere = ("env", f"PAIRING_HOME={host.home}2", "pairctl")
    told = json.loads(manager.place.run(*elsewhere, "uninstall", "--json").stdout)
    assert told["installed"] is True
    assert told["kept"] == [f"{network.host.home}/{UNIT}"]
    assert host.asks("status")["daemon"]["pid"] == int(main_pid(manager))
