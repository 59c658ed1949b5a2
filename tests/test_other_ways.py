"""Ways in that are not a router's: a port forwarded by hand, a script of the user's own."""

from __future__ import annotations

import sys

import pytest

from tests.session import notes_of_the_desktop, own_stage
from tests.stage import Stage, free_port, until

stage = own_stage


def configured(stage: Stage, text: str) -> None:
    """The stage's forge and door, and `text` in place of its router."""
    path = stage.home / "config.toml"
    path.write_text(path.read_text().partition("[router]")[0] + text)


def test_a_port_forwarded_by_hand_is_an_unverified_endpoint(stage: Stage) -> None:
    guest = stage.guest("octocat")
    door = free_port()
    by_hand = (
        '[router]\nenabled = false\nexternal_host = "home.example.org"\nexternal_port = 2022\n'
    )
    configured(stage, f"port = {door}\n{by_hand}")
    told = stage.asks("invite", "octocat", "--no-copy")
    best = told["endpoints"][0]
    assert best["kind"] == "router"
    assert (best["host"], best["port"]) == ("home.example.org", 2022)
    assert (best["protocol"], best["verified"]) == (None, None)
    assert told["reachability"] == "unverified"
    assert told["command"].startswith("ssh -p 2022 ")
    assert told["endpoints"][1]["port"] == door
    guest.joins(port=door).shows("pairing")
    assert stage.asks("status")["mapping"] is None


def test_unverified_endpoints_are_logged_once_with_what_to_try(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = notes_of_the_desktop(stage, monkeypatch)
    stage.guest("octocat")
    by_hand = (
        '[router]\nenabled = false\nexternal_host = "home.example.org"\nexternal_port = 2022\n'
    )
    configured(stage, f"port = {free_port()}\n{by_hand}")
    stage.asks("invite", "octocat", "--no-copy")
    for _ in range(2):
        [doubt] = [one for one in stage.asks("status")["warnings"] if one["code"] == "unverified"]
        assert "port 2022" in doubt["hint"]
        said = [one for one in stage.asks("log")["events"] if one["kind"] == "unverified"]
        assert [one["text"] for one in said] == [f"{doubt['message']}; {doubt['hint']}"]
        stage.pairctl("restart")
    if sys.platform != "darwin":  # osascript has a fixed path
        until(lambda: notes.exists() and "2022" in notes.read_text(), "the desktop says so")
        assert notes.read_text().count("port 2022") == 1
    stage.pairctl("end")
    assert "unverified" not in str(stage.asks("status")["warnings"])


def test_a_script_in_the_router_s_place_opens_and_closes(stage: Stage) -> None:
    stage.guest("octocat")
    script = stage.path / "router.sh"
    script.write_text(
        f"#!/bin/sh\necho $1 $PAIRING_EXTERNAL_PORT $PAIRING_INTERNAL_PORT >>{stage.path}/calls\n"
        "echo home.example.org:2200\n"
    )
    script.chmod(0o700)
    command = f'[router.command]\nopen = "{script} open"\nclose = "{script} close"\n'
    configured(stage, f'[router]\ngateway = "127.0.0.1"\n{command}')
    told = stage.asks("invite", "octocat", "--no-copy")
    best = told["endpoints"][0]
    assert (best["kind"], best["protocol"], best["verified"]) == ("router", "command", None)
    assert (best["host"], best["port"]) == ("home.example.org", 2200)
    door = stage.asks("status")["door"]["port"]
    stage.pairctl("end")
    calls = stage.path / "calls"
    until(lambda: "close" in calls.read_text(), "the script has closed")
    assert calls.read_text().splitlines() == [f"open 22 {door}", f"close 22 {door}"]


def test_a_failed_router_script_is_reported_with_its_last_output(stage: Stage) -> None:
    stage.guest("octocat")
    fails = """[router.command]\nopen = "sh -c 'echo no route to 10.0.0.1 >&2; exit 9'"\nclose = "true"\n"""
    configured(stage, f'[router]\ngateway = "127.0.0.1"\n{fails}')
    told = stage.asks("invite", "octocat", "--no-copy")
    [warning] = [one for one in told["warnings"] if one["code"] == "router-command-failed"]
    assert "status 9: no route to 10.0.0.1" in warning["message"]
    assert told["reachability"] == "lan"
