"""What a guest gets, as a real ssh reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.text.handout import beside, handout
from pairctl.text.output import View
from tests.fakes.daemon import FakeDaemon
from tests.pairctl import samples
from tests.test_printed_commands import HOST_KEY

VIEW = View(now=samples.NOW)


def reply(user: str = "mark", host: str = "203.0.113.7", port: int = 2222) -> Any:
    from pairingd.core.ways import Endpoint, ssh_command
    from pairingd.replies.report import known_hosts

    command = ssh_command(user, host, port)
    return {
        **samples.INVITED,
        "command": command,
        "endpoints": [
            {**samples.INVITED["endpoints"][0], "host": host, "port": port} | {"command": command}
        ],
        "host_key": {
            "type": HOST_KEY.type,
            "fingerprint": HOST_KEY.fingerprint,
            "known_hosts": known_hosts(Endpoint("router", host, port), HOST_KEY),
        },
    }


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")
@pytest.mark.parametrize("user", ["mark", "mark smith", "CORP\\mark", "mark@corp.example"])
@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7", "home.example.org"])
def test_ssh_reads_the_block(tmp_path: Path, user: str, host: str) -> None:
    config = tmp_path / "config"
    config.write_text(handout(reply(user, host), "ssh_config", VIEW) + "\n")
    ssh = ["ssh", "-G", "-F", str(config), "pairing"]
    output = subprocess.run(ssh, check=True, capture_output=True, text=True).stdout
    options = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    assert options["user"] == user
    assert options["hostname"] == host
    assert options["port"] == "2222"
    assert options["hostkeyalias"] == "pairing"
    assert options["serveraliveinterval"] == "15"
    assert options["stricthostkeychecking"] in {"yes", "true"}
    assert options["knownhostscommand"] == f"/bin/echo %H {HOST_KEY.type} {HOST_KEY.blob}"


@pytest.mark.parametrize(
    ("option", "form"),
    [
        ("--message", "message"),
        ("--pinned", "pinned"),
        ("--ssh-config", "ssh_config"),
        ("--no-copy", "command"),
    ],
)
def test_each_form_is_printed_and_the_json_stays_the_same(
    sock: Path, capsys: pytest.CaptureFixture[str], option: str, form: str
) -> None:
    words = ["invite", "--show", "octocat", option, "--no-copy"]
    with FakeDaemon(sock, {"show": samples.INVITED}):
        assert main([*words, "-q"]) == 0
        quiet = capsys.readouterr().out
        assert quiet == handout(samples.INVITED, form, VIEW) + "\n" or form == "message"
        assert main(words) == 0
        assert capsys.readouterr().out.endswith(quiet)
        assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == samples.INVITED


def test_the_forms_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invite", "octocat", "--message", "--pinned"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_the_handout_of_a_dialed_guest_says_that_nc_is_needed_and_that_it_is_for_one_visit() -> (
    None
):
    proxy = "nc -p 61001 203.0.113.7 61000"
    dialed: Any = {**reply(), "command": f"ssh -o ProxyCommand='{proxy}' mark@203.0.113.7"}
    best = {**dialed["endpoints"][0], "kind": "dial", "proxy": proxy, "command": dialed["command"]}
    dialed["endpoints"] = [best]
    message = handout(dialed, "message", VIEW)
    assert "It needs nc" in message
    assert "one visit" in message
    assert "one visit" not in handout(reply(), "message", VIEW)
    assert f"    ProxyCommand {proxy}" in handout(dialed, "ssh_config", VIEW).splitlines()
    [(label, about)] = beside(dialed["endpoints"])
    assert label == "Needs"
    assert "ncat" in about


def test_the_command_with_the_address_is_beside_that_with_the_name() -> None:
    by_address = reply()["endpoints"][0]
    by_name = reply(host="me.example.net")["endpoints"][0]
    assert list(beside([by_name, by_address])) == [("Or", by_address["command"])]
    assert list(beside([by_address])) == list(beside([])) == []
