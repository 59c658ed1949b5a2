"""A relay of one's own, by a real sshd on another loopback address of this machine."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests import loopback, session
from tests.session import own_stage
from tests.stage import Guest, Stage, Terminal, free_port, is_open, until

ADDRESS = loopback.SECOND  # where a port that is bound to 127.0.0.1 alone is not seen

pytestmark = loopback.needs_second_address


class Relay:
    """An sshd with `options`, a user's key for it, and the stage's host set up to use it."""

    def __init__(self, stage: Stage, **options: str) -> None:
        self._stage = stage
        self.path = stage.path / "relay"
        self.path.mkdir()
        self.port = free_port()
        self.guests_port = free_port()
        for name in ("host", "user"):
            stage.run(*("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.path / name)))
        self.authorized = self.path / "authorized_keys"
        self.authorized.write_text((self.path / "user.pub").read_text())
        self.known_hosts = self.path / "known_hosts"
        key = " ".join((self.path / "host.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[{ADDRESS}]:{self.port} {key}\n")
        settings = {
            "ListenAddress": f"{ADDRESS}:{self.port}",
            "HostKey": self.path / "host",
            "AuthorizedKeysFile": self.authorized,
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "GatewayPorts": "clientspecified",
        } | options
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        (self.path / "sshd_config").write_text("".join(lines))
        (self.path / "ssh_config").write_text(
            f"Host relay\n HostName {ADDRESS}\n Port {self.port}\n User {getpass.getuser()}\n"
            f" IdentityFile {self.path}/user\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {self.known_hosts}\n GlobalKnownHostsFile /dev/null\n"
        )
        program = self.path / "ssh"
        program.write_text(f'#!/bin/sh\nexec ssh -F {self.path}/ssh_config "$@"\n')
        program.chmod(0o700)
        text = (stage.home / "config.toml").read_text().partition("[router]")[0]
        (stage.home / "config.toml").write_text(
            f'{text}[router]\nenabled = false\n[relay]\nssh = "relay"\nssh_program = "{program}"\n'
            f"port = {self.guests_port}\n"
        )

    def configure(self, **keys: object) -> None:
        """Of [relay], in place of what stands there."""
        file = self._stage.home / "config.toml"
        lines = [
            line for line in file.read_text().splitlines() if line.partition(" = ")[0] not in keys
        ]
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        file.write_text("\n".join(lines) + "\n")

    def restricts(self, guest: Guest, port: int) -> None:
        """As docs/config.md has it: the host may listen, and the guest may jump, and no more."""
        ours = (self.path / "user.pub").read_text()
        theirs = guest.key.with_suffix(".pub").read_text()
        no_command = 'restrict,port-forwarding,command="/bin/false"'
        self.authorized.write_text(
            f'{no_command},permitlisten="localhost:*",permitopen="localhost:*" {ours}'
            f'{no_command},permitopen="localhost:{port}",permitlisten="localhost:1" {theirs}'
        )

    def lets_jump(self, guest: Guest) -> tuple[str, ...]:
        """Options of an ssh by which `guest` has an account here, under their own key."""
        with self.authorized.open("a") as keys:
            keys.write(guest.key.with_suffix(".pub").read_text())
        return self.known_to(guest)

    def known_to(self, guest: Guest) -> tuple[str, ...]:
        config = self.path / "guests_ssh_config"
        config.write_text(
            f"Host {ADDRESS}\n UserKnownHostsFile {self.known_hosts}\nHost *\n"
            f" IdentityFile {guest.key}\n IdentitiesOnly yes\n BatchMode yes\n"
            " GlobalKnownHostsFile /dev/null\n"
        )
        return "-F", str(config)

    def start(self) -> None:
        self.log = (self.path / "log").open("ab")
        self.sshd = subprocess.Popen(
            [str(shutil.which("sshd", path="/usr/sbin:/usr/bin")), "-D", "-e", "-f",
             str(self.path / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=self.log,
        )  # fmt: skip
        until(lambda: is_open(self.port, ADDRESS), "the relay's sshd listens")

    def stop(self) -> None:
        """With all its sessions, as when the machine goes down."""
        children = psutil.Process(self.sshd.pid).children(recursive=True)
        for process in children:
            with contextlib.suppress(psutil.NoSuchProcess):  # its connection may just have ended
                process.kill()
        self.sshd.kill()
        self.sshd.wait()
        self.log.close()


stage = own_stage


@pytest.fixture(autouse=True)
def octocat(stage: Stage) -> Guest:
    return stage.guest("octocat")


@pytest.fixture
def relay(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Relay]:
    """Options of its sshd come by indirect parametrization."""
    relay = Relay(stage, **getattr(request, "param", {}))
    relay.start()
    yield relay
    if relay.sshd.returncode is None:
        relay.stop()


def invited(stage: Stage) -> dict[str, Any]:
    """The invitation of octocat, printed once it is known whether the relay helps: `invite` itself
    waits only some seconds for that.
    """
    session.invited(stage, "octocat")
    until(lambda: is_decided(stage.asks("status")), lambda: f"{stage.asks('status')}")
    return stage.asks("invite", "--show", "octocat")


def is_decided(answer: dict[str, Any]) -> bool:
    best = answer["endpoints"][0]
    warnings = [one for one in answer["warnings"] if one["code"].startswith("relay-")]
    return bool(warnings or (best["kind"] != "lan" and best["verified"]))


def warned(answer: dict[str, Any]) -> str:
    [message] = [one["message"] for one in answer["warnings"] if one["code"].startswith("relay-")]
    return str(message)


def code(answer: dict[str, Any]) -> str:
    [found] = [one["code"] for one in answer["warnings"] if one["code"].startswith("relay-")]
    return str(found)


def tunnels(stage: Stage) -> list[int]:
    """The pids of this stage's ssh clients."""
    mark = str(stage.path / "relay" / "ssh_config")
    return [
        one.pid for one in psutil.process_iter(["cmdline"]) if mark in (one.info["cmdline"] or ())
    ]


def test_a_guest_enters_by_the_relay_and_it_is_closed_with_the_door(
    stage: Stage, relay: Relay, octocat: Guest
) -> None:
    answer = invited(stage)
    best = answer["endpoints"][0]
    assert (best["kind"], best["host"], best["port"]) == ("relay", ADDRESS, relay.guests_port)
    assert (best["protocol"], best["verified"]) == ("ssh", "hairpin")
    assert answer["command"].startswith(f"ssh -p {relay.guests_port} ")
    assert answer["reachability"] == "internet"
    screen = octocat.joins(port=relay.guests_port)
    screen.shows("[pairing]")
    stage.pairctl("end")
    screen.shows("ended the session")
    assert "[pairing]" not in screen.screen()
    until(lambda: not is_open(relay.guests_port, ADDRESS), "the relay listens no more")
    until(lambda: not tunnels(stage), "the tunnel's ssh is gone")


def test_a_relay_that_goes_down_is_used_again_when_it_is_back(stage: Stage, relay: Relay) -> None:
    invited(stage)
    relay.stop()
    until(lambda: stage.asks("status")["warnings"], "the host is warned")
    assert code(stage.asks("status")) == "relay-unreachable"
    assert [one["kind"] for one in stage.asks("status")["endpoints"]] == ["lan"]
    relay.start()
    until(lambda: stage.asks("status")["endpoints"][0]["kind"] == "relay", "it is back")
    assert not [one for one in stage.asks("status")["warnings"] if "relay" in one["code"]]


@pytest.mark.parametrize("relay", [{"GatewayPorts": "no"}], indirect=True)
def test_gatewayports_no_is_noticed_though_sshd_does_not_say_it(stage: Stage, relay: Relay) -> None:
    answer = invited(stage)
    assert code(answer) == "relay-forward-refused"
    assert "GatewayPorts" in warned(answer)
    assert [one["kind"] for one in answer["endpoints"]] == ["lan"]


NO_PORTS = pytest.mark.parametrize("relay", [{"GatewayPorts": "no"}], indirect=True)


def jumps(stage: Stage, options: tuple[str, ...], answer: dict[str, Any]) -> Terminal:
    """The guest's terminal, by the printed command."""
    program, *words = shlex.split(answer["command"])
    return stage.terminal(program, *options, *words)


@NO_PORTS
@pytest.mark.parametrize(
    ("join", "port"), [("jump", "usual"), ("auto", "chosen"), ("auto", "assigned")]
)
def test_a_guest_jumps_through_a_relay_without_gatewayports(
    stage: Stage, relay: Relay, octocat: Guest, join: str, port: str
) -> None:
    wished = {"usual": 0, "chosen": relay.guests_port, "assigned": "assigned"}[port]
    relay.configure(join=join, port=wished)
    options = relay.lets_jump(octocat)
    answer = invited(stage)
    best = answer["endpoints"][0]
    assert (best["kind"], best["host"], best["verified"]) == ("jump", "localhost", "hairpin")
    assert best["via"] == f"{getpass.getuser()}@{ADDRESS}:{relay.port}"
    assert best["port"] == relay.guests_port or port != "chosen"
    assert answer["reachability"] == "internet"
    assert answer["command"] == answer["pinned_command"] == best["command"]
    assert "HostKeyAlias=" in best["command"]
    jumps(stage, options, answer).shows("pairing")
    assert stage.asks("status")["endpoints"][0] == best
    stage.pairctl("end")
    until(lambda: not tunnels(stage), "the tunnel's ssh is gone")


@NO_PORTS
def test_the_command_for_a_jump_refuses_another_host_key(
    stage: Stage, relay: Relay, octocat: Guest
) -> None:
    relay.configure(join="jump")
    options = relay.lets_jump(octocat)
    answer = invited(stage)
    relays_key = (relay.path / "host.pub").read_text().split()[1]
    ours = answer["host_key"]["known_hosts"].split()[-1]
    program, *words = shlex.split(answer["command"].replace(ours, relays_key))
    done = stage.run(program, *options, *words, check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_auto_takes_the_port_where_it_works(stage: Stage, relay: Relay, octocat: Guest) -> None:
    relay.configure(join="auto")
    assert invited(stage)["endpoints"][0]["kind"] == "relay"


@NO_PORTS
def test_two_restricted_keys_at_the_relay_are_enough(
    stage: Stage, relay: Relay, octocat: Guest
) -> None:
    relay.configure(join="auto")
    relay.restricts(octocat, relay.guests_port)
    options = relay.known_to(octocat)
    answer = invited(stage)
    assert answer["endpoints"][0]["verified"] == "hairpin"
    jumps(stage, options, answer).shows("pairing")
    there = ("-p", str(relay.port), f"{getpass.getuser()}@{ADDRESS}")
    for asked, refusal in {
        ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "localhost:0:localhost:9"): "forwarding",
        ("-W", f"localhost:{relay.port}"): "administratively prohibited",
        ("-W", f"{ADDRESS}:{relay.guests_port}"): "administratively prohibited",
    }.items():
        done = stage.run("ssh", *options, *asked, *there, check=False)
        assert done.returncode, asked
        assert refusal in done.stderr


def test_a_port_that_the_relay_assigns_is_used(stage: Stage, relay: Relay, octocat: Guest) -> None:
    relay.configure(port="assigned")
    best = invited(stage)["endpoints"][0]
    assert (best["kind"], best["verified"]) == ("relay", "hairpin")
    octocat.joins(port=best["port"]).shows("pairing")
    relay.stop()
    until(lambda: stage.asks("status")["warnings"], "the host is warned")
    relay.start()
    until(lambda: stage.asks("status")["endpoints"][0]["kind"] == "relay", "it is back")
    assert stage.asks("status")["endpoints"][0]["port"] == best["port"]


def test_a_relay_that_assigns_another_port_is_not_reported_as_gatewayports_no(
    stage: Stage, relay: Relay
) -> None:
    real = relay.path / "ssh"
    # As with sish: the relay says yes, and listens elsewhere.
    real.write_text(
        real.read_text().replace(
            "exec ssh -F", f'set -- "$@"\nfor word; do shift\n case $word in *{relay.guests_port}:*)'
            f" word=$(echo \"$word\" | sed 's/{relay.guests_port}:/{free_port()}:/') ;; esac\n"
            ' set -- "$@" "$word"\ndone\nexec ssh -F'
        )
    )  # fmt: skip
    answer = invited(stage)
    assert code(answer) == "relay-forward-refused"
    assert "GatewayPorts" not in warned(answer)


def test_a_failed_ssh_is_reported_with_its_last_output_and_status(
    stage: Stage, relay: Relay
) -> None:
    (relay.path / "ssh").write_text(
        f"#!/bin/sh\ncase \"$*\" in *' -R '*) echo 'the plan has ended' >&2; exit 7 ;; esac\n"
        f'exec ssh -F {relay.path}/ssh_config "$@"\n'
    )
    answer = invited(stage)
    assert code(answer) == "relay-unreachable"
    assert "the plan has ended" in warned(answer)
    assert "status 7" in warned(answer)


@pytest.mark.parametrize("relay", [{"AllowTcpForwarding": "no"}], indirect=True)
def test_a_relay_that_forwards_nothing_is_named(stage: Stage, relay: Relay) -> None:
    assert code(invited(stage)) == "relay-forward-refused"


def test_what_is_wrong_with_the_relay_is_named(stage: Stage, relay: Relay) -> None:
    with socket.create_server(("0.0.0.0", relay.guests_port)):  # taken
        assert code(invited(stage)) == "relay-forward-refused"
    stage.pairctl("end")
    keys = relay.authorized.read_text()
    relay.authorized.write_text("")
    assert code(invited(stage)) == "relay-key-refused"
    stage.pairctl("end")
    relay.authorized.write_text(keys)
    relay.known_hosts.write_text("")
    assert code(invited(stage)) == "relay-host-key"
    assert relay.known_hosts.read_text() == ""
    stage.pairctl("end")
    relay.stop()
    answer = invited(stage)
    assert code(answer) == "relay-unreachable"
    assert "refused" in warned(answer)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux's parent-death signal")
def test_a_killed_daemon_leaves_no_tunnel(stage: Stage, relay: Relay) -> None:
    daemon = stage.daemon()
    invited(stage)
    assert tunnels(stage)
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    until(lambda: not tunnels(stage), "the tunnel's ssh is gone")
    until(lambda: not is_open(relay.guests_port, ADDRESS), "the relay listens no more")
