"""A relay by a program of the user's choice: a real one, which forwards and says where."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import loopback
from tests.fakes import tunnel
from tests.session import own_stage
from tests.stage import Guest, Stage, is_open, until

ADDRESS = loopback.SECOND
PROGRAM = shlex.join((sys.executable, str(Path(tunnel.__file__)), ADDRESS, "{port}"))
COLOURED = shlex.join(("sh", "-c", PROGRAM + r" | sed -u 's/.*/\x1b[1;32m&\x1b[0m/'"))
SAYS = "tcp://(?P<host>[^:]+):(?P<port>[0-9]+)"

pytestmark = loopback.needs_second_address


stage = own_stage


@pytest.fixture(autouse=True)
def octocat(stage: Stage) -> Guest:
    return stage.guest("octocat")


def uses(stage: Stage, run: str, says: str = "") -> None:
    file = stage.home / "config.toml"
    text = file.read_text().partition("[router]")[0]
    file.write_text(
        f"{text}[router]\nenabled = false\n[relay.command]\nrun = {json.dumps(run)}\n"
        + f"says = {json.dumps(says)}\n" * bool(says)
    )


def test_a_relay_that_opens_late_is_announced_and_the_host_not_sent_for_another(
    stage: Stage,
) -> None:
    waits = f"while [ ! -e {stage.path}/opens ]; do sleep 0.1; done; exec {PROGRAM}"
    uses(stage, shlex.join(("sh", "-c", waits)), SAYS)
    answer = stage.asks("invite", "octocat", "--no-copy")
    assert [endpoint["kind"] for endpoint in answer["endpoints"]] == ["lan"]
    assert "relay-slow" in codes(answer)
    (stage.path / "opens").touch()
    until(lambda: "endpoint-changed" in codes(stage.asks("status")), "the host is informed")
    status = stage.asks("status")
    assert status["endpoints"][0]["kind"] == "relay"
    assert "relay-slow" not in codes(status)
    assert kinds(stage).count("endpoint-changed") == 1
    assert "unverified" not in kinds(stage)
    stage.asks("invite", "--show", "octocat", "--no-copy")
    assert "endpoint-changed" not in codes(stage.asks("status"))
    stage.pairctl("end")


def test_a_relay_is_not_announced_at_a_start_before_the_router_has_answered(stage: Stage) -> None:
    gate = stage.path / "answers"
    gate.touch()
    waits = f"while [ ! -e {gate} ]; do sleep 0.1; done; echo 5.5.5.5:2222"
    uses(stage, PROGRAM, SAYS)
    file = stage.home / "config.toml"
    by_program = f"""gateway = "127.0.0.1"
        [router.command]
        open = {json.dumps(shlex.join(("sh", "-c", waits)))}
        close = "true"
        """
    file.write_text(file.read_text().replace("enabled = false\n", by_program))
    command = stage.asks("invite", "octocat", "--no-copy")["command"]
    gate.unlink()
    stage.asks("restart")
    until(lambda: stage.asks("status")["endpoints"][0]["kind"] == "relay", "the relay is up")
    assert "endpoint-changed" not in kinds(stage)
    gate.touch()
    until(lambda: stage.asks("status")["mapping"]["state"] == "open", "the port is back")
    assert stage.asks("status")["endpoints"][0]["command"] == command
    assert "endpoint-changed" not in kinds(stage)
    stage.pairctl("end")


def codes(answer: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in answer["warnings"]}


@pytest.mark.parametrize(("run", "says"), [(PROGRAM, SAYS), (PROGRAM, ""), (COLOURED, "")])
def test_a_guest_enters_where_the_program_says_by_the_pinned_command_alone(
    stage: Stage, octocat: Guest, run: str, says: str
) -> None:
    uses(stage, run, says)
    answer = stage.asks("invite", "octocat", "--no-copy")
    best = answer["endpoints"][0]
    assert (best["kind"], best["host"]) == ("relay", ADDRESS)
    assert (best["protocol"], best["verified"]) == ("command", "hairpin")
    assert answer["reachability"] == "internet"
    assert answer["command"] == answer["pinned_command"] == best["command"]
    assert "KnownHostsCommand" in best["command"]
    program, *words = shlex.split(best["command"])
    key = ("-F", "none", "-i", str(octocat.key), "-o", "IdentitiesOnly=yes")
    stage.terminal(program, *key, *words).shows("pairing")
    assert stage.asks("status")["endpoints"][0] == best
    stage.pairctl("end")
    until(lambda: not is_open(best["port"], ADDRESS), "the program has ended")


class Script:
    """A relay program of which the next invitation finds another one."""

    def __init__(self, stage: Stage, says: str) -> None:
        self._stage = stage
        self.path = stage.path / "program"
        uses(stage, f"{self.path} {{port}}", says)

    def warning(self, does: str) -> dict[str, Any]:
        """Of an invitation with the program that `does` this; without one where it is empty."""
        self.path.unlink(missing_ok=True)
        if does:
            self.path.write_text(f"#!/bin/sh\n{does}\n")
            self.path.chmod(0o700)
        answer = self._stage.asks("invite", "octocat", "--no-copy")
        assert [one["kind"] for one in answer["endpoints"]] == ["lan"], does
        [warning] = [one for one in answer["warnings"] if one["code"].startswith("relay-")]
        self._stage.pairctl("end")
        found: dict[str, Any] = warning
        return found


def test_a_failed_relay_program_is_reported_with_its_output(stage: Stage) -> None:
    script = Script(stage, SAYS)
    for does, messages in (
        ("echo no more tunnels today >&2; exit 3", ("no more tunnels today", "status 3")),
        ("echo tcp://-oProxyCommand=x:22; exec sleep 60", ("names no host and port",)),
        ("", ("No such file",)),
    ):
        warning = script.warning(does)
        assert warning["code"] == "relay-unreachable"
        assert [one for one in messages if one not in warning["message"]] == []
        assert "{port}" not in warning["hint"]


def test_a_program_that_names_another_door_gives_no_endpoint(stage: Stage) -> None:
    script = Script(stage, "")
    warning = script.warning("echo relay.example.org:99999; exec sleep 60")
    assert warning["code"] == "relay-unreachable"
    assert "relay.example.org:99999" in warning["message"]
    for named in ("127.0.0.1:1", "a..b:22", f"{64 * 'a'}.example.org:22"):
        warning = script.warning(f"echo {named}; exec sleep 60")
        assert warning["code"] == "relay-forward-refused", named


@pytest.mark.parametrize("word", ["a", "a.", "a:b ", "\\n"])
def test_a_relay_cannot_hold_up_the_daemon_by_what_it_prints(stage: Stage, word: str) -> None:
    """A stranger chooses that. The search for HOST:PORT took 15 s for a line of 64 KiB."""
    line = f"yes '{word}' | head -30000 | tr -d '\\n'; echo"
    floods = f"for i in $(seq 5); do {line}; done"
    names = f"{PROGRAM} | sed -u s,tcp://,, & sleep 1"
    uses(stage, shlex.join(("sh", "-c", f"{floods}; {names}; exec yes '{word}'")))
    assert stage.asks("invite", "octocat", "--no-copy")["endpoints"][0]["kind"] == "relay"
    assert stage.asks("status")["endpoints"][0]["kind"] == "relay"
    stage.pairctl("end")


def test_what_is_no_port_is_reported_on_one_short_line(stage: Stage) -> None:
    script = Script(stage, r"tcp://(?P<host>[^:]+):(?P<port>\S+)")
    for port in (1000 * "9", "\N{FULLWIDTH DIGIT TWO}", "0"):
        warning = script.warning(f"echo tcp://{1000 * 'x'}:{port}; exec sleep 60")
        assert "names no host and port" in warning["message"]
        assert len(warning["message"]) < 300


def test_what_a_relay_program_has_started_ends_with_it(stage: Stage) -> None:
    """A script without `exec`; of its children one has left the group and holds the output."""
    script = stage.path / "relay.sh"
    away = f"setsid sh -c 'echo $$ >{stage.path}/away; exec sleep 3600' &"
    program = PROGRAM.replace("'{port}'", '"$1"')
    script.write_text(f"#!/bin/sh\n{away}\n{program} &\nwait\n")
    script.chmod(0o700)
    uses(stage, f"{script} {{port}}", SAYS)
    for _ in range(2):  # a second session gets a relay, too
        best = stage.asks("invite", "octocat", "--no-copy")["endpoints"][0]
        assert best["kind"] == "relay"
        stage.pairctl("end")
        has_ended(best["port"])
        os.kill(int((stage.path / "away").read_text()), signal.SIGKILL)


def test_a_relay_program_that_dies_is_missed_although_its_child_lives(stage: Stage) -> None:
    waits = f"sleep 3600 & echo $$ >{stage.path}/pid; {PROGRAM} & wait"
    uses(stage, shlex.join(("sh", "-c", waits)), SAYS)
    first = stage.asks("invite", "octocat", "--no-copy")["endpoints"][0]
    os.kill(int((stage.path / "pid").read_text()), signal.SIGKILL)
    has_ended(first["port"])
    until(lambda: "relay-closed" in kinds(stage), "its end is noticed")
    until(lambda: kinds(stage).count("relay-opened") == 2, "it is started again")


def has_ended(port: int) -> None:
    until(lambda: not is_open(port, ADDRESS), "the program's child has ended")


def kinds(stage: Stage) -> list[str]:
    return [event["kind"] for event in stage.asks("log")["events"]]
