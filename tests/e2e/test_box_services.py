"""A host with services that run programs for them: none does so for a write guest in a box.

The host has a service manager, a message bus, cron, at, and a program that has its owner's rights.
"""

from __future__ import annotations

import os
import shlex
import shutil
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from tests.boxed import all_played
from tests.e2e.manager import Manager, why_no_manager
from tests.e2e.network import PATH, Network, until
from tests.e2e.people import Guest, Host

PROJECT = "/srv/host/project"
PROGRAMS = ("crontab", "at", "busctl", "dbus-daemon", "systemd-run")
# The directories of Debian's cron and at, which is a program of the user daemon's.
SPOOL = """
mount -t tmpfs -o mode=755 tmpfs /var/spool
install -d -m 1730 -g crontab /var/spool/cron/crontabs
install -d -m 1770 -o daemon -g daemon /var/spool/cron/atjobs /var/spool/cron/atspool
touch /var/spool/cron/atjobs/.SEQ
chown daemon:daemon /var/spool/cron/atjobs/.SEQ
"""


class Attack(NamedTuple):
    """`line` is typed by the guest. It has succeeded if what it prints has `proves` in it."""

    name: str
    line: str
    proves: str


ATTACKS = (
    Attack(
        "the host's message bus (D-Bus)",
        "busctl --address=unix:path={runtime}/bus call org.freedesktop.DBus / org.freedesktop.DBus GetId",
        's "',
    ),
    Attack(
        "a unit of the host's service manager (systemd-run --user)",
        "XDG_RUNTIME_DIR={runtime} systemd-run --user --service-type=oneshot "
        "sh -c 'echo made by a unit >/srv/host/note'; cat /srv/host/note",
        "made by a unit",
    ),
    Attack("a job of cron's", "echo '@daily true by-a-guest' | crontab - ; crontab -l", "by-a-guest"),
    Attack("a job of at's", "echo true | at now + 1 hour; echo jobs: $(atq | wc -l)", "jobs: 1"),
    Attack("a program with its owner's rights (setuid)", "echo uid=$(./as-root -u).", "uid=0."),
)  # fmt: skip


class Scene:
    def __init__(self, network: Network, *, boxed: bool) -> None:
        self.network = network
        manager = Manager(network)
        manager.start()
        self.runtime = manager.runtime
        host = Host(network, manager.place)
        manager.place.start(
            *("dbus-daemon", "--session", "--nofork", f"--address=unix:path={self.runtime}/bus"),
            log=network.path("/srv/bus.log"),
        )
        until("the bus is there", network.path(f"{self.runtime}/bus").exists)
        network.root.run("sh", "-ec", SPOOL)
        manager.place.run("mkdir", PROJECT)
        id_program = shutil.which("id", path=PATH) or "id"
        network.root.run("install", "-m", "4755", id_program, f"{PROJECT}/as-root")
        guest = Guest(network, "octocat")
        options = ("--box", PROJECT) if boxed else ()
        self.screen = guest.joins(host.invites(guest, options=options)["command"])
        self.screen.shows("[pairing]")
        self.screen.enter(f"cd {PROJECT}")

    def succeeds(self, attack: Attack) -> bool:
        number = ATTACKS.index(attack)
        line = attack.line.format(runtime=self.runtime)
        self.network.path(f"{PROJECT}/attack-{number}").write_text(f"{line}\n")
        command = f"sh attack-{number} >sees-{number} 2>&1 </dev/null; touch done-{number}"
        self.screen.enter(f"clear; {command}")
        done = self.network.path(f"{PROJECT}/done-{number}")
        until(f"it has been tried: {shlex.quote(line)}", done.exists)
        seen = self.network.path(f"{PROJECT}/sees-{number}").read_text(errors="replace")
        print(seen)
        return attack.proves in seen


@pytest.fixture(scope="module")
def services(machine: None) -> None:
    reason = why_no_manager()
    missing = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if missing and os.environ.get("PAIRING_REQUIRE_E2E"):
        pytest.fail(f"not installed: {' '.join(missing)}")
    if missing or reason:
        pytest.skip(reason or f"not installed: {' '.join(missing)}")


@pytest.mark.usefixtures("services")
@all_played(ATTACKS, "a write guest in a box", "refused; without a box it succeeds")
def test_no_service_of_the_hosts_works_for_a_guest_in_a_box() -> None:
    with Network() as network:
        scene = Scene(network, boxed=True)
        assert [attack.name for attack in ATTACKS if scene.succeeds(attack)] == []


@pytest.mark.usefixtures("services")
def test_the_same_service_works_without_a_box() -> None:
    with Network() as network:
        scene = Scene(network, boxed=False)
        assert [attack.name for attack in ATTACKS if not scene.succeeds(attack)] == []


def test_hooks_that_cannot_be_made_are_named(network: Network) -> None:
    host = Host(network, network.host)
    guest = Guest(network, "octocat")
    network.host.run("sh", "-ec", f"mkdir -p {PROJECT}/.git; chmod 555 {PROJECT}/.git")
    refused = host.asks("invite", guest.name, "--no-copy", "--box", PROJECT, check=False)["error"]
    assert refused["code"] == "box-failed"
    assert f"{PROJECT}/.git/hooks" in refused["message"]


def test_zsh_begins_with_what_is_shared_and_a_prompt(network: Network) -> None:
    """Without a start-up file it would ask an ordinary user a page of questions."""
    place = replace(network.host, prefix=(*network.host.prefix, "SHELL=/usr/bin/zsh"))
    place.run("mkdir", PROJECT)
    host = Host(network, place)
    guest = Guest(network, "octocat")
    screen = guest.joins(host.invites(guest, options=("--box", PROJECT))["command"])
    screen.shows("[pairing]")
    screen.enter("echo $ZSH_VERSION: $0")
    screen.shows(": /usr/bin/zsh")
    assert "to write:" in screen.screen()
