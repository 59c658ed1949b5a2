"""Who knocks and is not let in: the host sees whose key it was not, and for how long it is out."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pairingd.core.penalties import FREE_FAILURES
from tests.session import attached_host, notes_of_the_desktop
from tests.stage import Guest, Stage, until


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A daemon for each test: what an address has cost outlives a session."""
    with Stage() as stage:
        yield stage


def fingerprint(stage: Stage, guest: Guest) -> str:
    return stage.run("ssh-keygen", "-lf", str(guest.key)).stdout.split()[1]


def invited(stage: Stage, name: str, *more: str) -> tuple[Guest, int]:
    """And the port of the door."""
    guest = stage.guest(name)
    stage.pairctl("invite", name, "--no-copy", *more)
    port: int = stage.asks("status")["door"]["port"]
    return guest, port


def knocking(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.asks("status").get("knocking", [])
    return found


def lines(stage: Stage, kind: str) -> list[dict[str, Any]]:
    session = stage.asks("receipt")["session"]
    events = stage.asks("log")["events"]
    return [one for one in events if one["kind"] == kind and one["session"] == session]


def test_a_refused_key_is_shown_as_not_the_guest_s(stage: Stage) -> None:
    guest, port = invited(stage, "octocat")
    wide, narrow = attached_host(stage, columns=160), attached_host(stage, columns=80)
    for host in (wide, narrow):
        host.shows("[pairing]")
    stranger = stage.guest("stranger")
    key, right = fingerprint(stage, stranger), fingerprint(stage, guest)
    assert stranger.runs(port=port).returncode == 255
    wide.shows(f"see pairctl status: not github:octocat's key, {key}")
    narrow.shows("refused 127.0.0.1; ask for ssh -i, see pairctl status")
    [knock] = until(lambda: knocking(stage), "the knock is in status")
    assert (knock["peer"], knock["fingerprints"], knock["times"]) == ("127.0.0.1", [key], 1)
    assert knock["banned_until"] is None
    assert f"its key {key} does not belong to github:octocat" in knock["message"]
    assert "ssh -i" in knock["hint"]
    assert right in knock["hint"]
    [line] = lines(stage, "refused")
    assert line["text"] == knock["message"]
    assert line["data"]["fingerprints"] == [key]
    shown = stage.pairctl("status").stdout
    assert "Knocking" in shown
    assert key in shown


def test_a_refused_key_of_an_ended_invitation_is_shown_as_that(stage: Stage) -> None:
    _, port = invited(stage, "octocat")
    bob = stage.guest("bob")
    stage.pairctl("invite", "bob", "--no-copy")
    stage.pairctl("revoke", "bob")
    assert bob.runs(port=port).returncode == 255
    [knock] = until(lambda: knocking(stage), "the knock is in status")
    assert "is github:bob's, whose invitation is over (revoked)" in knock["message"]
    assert knock["hint"] == "to invite them again: pairctl invite github:bob"


def test_a_client_that_shares_no_algorithm_is_shown_and_not_kept_out(stage: Stage) -> None:
    guest, port = invited(stage, "octocat")
    for _ in range(FREE_FAILURES + 2):
        old = guest.ssh("-o", "Ciphers=aes128-cbc", port=port)
        assert stage.run(*old, check=False).returncode == 255
    [knock] = until(lambda: knocking(stage), "the knock is in status")
    assert knock["message"].endswith("its ssh has no cipher that this machine's sshd accepts")
    assert "newer ssh client" in knock["hint"]
    assert lines(stage, "banned") == []
    guest.joins(port=port).shows("[pairing]")


def test_a_login_with_another_user_name_is_shown_without_the_name(stage: Stage) -> None:
    guest, port = invited(stage, "octocat")
    words = list(guest.ssh(port=port))
    stage.run(*words[:-1], "-l", "rm -rf x\n\x1b[31m", "127.0.0.1", check=False)
    stage.run(*words[:-1], "-l", "someone", "127.0.0.1", check=False)
    [knock] = until(lambda: knocking(stage), "the knock is in status")
    assert knock["message"].endswith("it used another user name than the command has")
    assert "pairctl invite --show github:octocat" in knock["hint"]
    assert getpass.getuser() not in knock["message"]


def test_a_login_with_another_user_name_explains_no_other_knock_from_there(stage: Stage) -> None:
    guest, port = invited(stage, "octocat")
    words = (*guest.ssh("-o", "PubkeyAuthentication=no", port=port)[:-1], "127.0.0.1")
    stage.run(*words, "-l", "someone", check=False)
    for _ in range(2):
        stage.run(*words, "-l", getpass.getuser(), check=False)
    until(lambda: sum(one["times"] for one in knocking(stage)) == 3, "all are counted")
    found = {one["message"].partition("failed: ")[2]: one["times"] for one in knocking(stage)}
    assert found == {
        "it used another user name than the command has": 1,
        "it offered no key, or did not sign with an invited one": 2,
    }
    text = " ".join(stage.pairctl("receipt").stdout.split())
    assert (text.count("another user name"), text.count(", 2 times: ")) == (1, 1)


def test_a_guest_whose_agent_offers_ten_keys_first_gets_in(stage: Stage) -> None:
    guest, port = invited(stage, "octocat")
    others = [stage.guest(f"other{n}") for n in range(10)]
    keys = [word for one in others for word in ("-i", str(one.key))]
    ssh = guest.ssh(port=port)
    screen = stage.terminal("ssh", *keys, *ssh[1:])
    screen.shows("[pairing]")
    assert knocking(stage) == []
    assert lines(stage, "refused") == []


def test_ten_wrong_keys_are_one_knock_with_the_first_of_them(stage: Stage) -> None:
    _, port = invited(stage, "octocat")
    others = [stage.guest(f"wrong{n}") for n in range(10)]
    keys = [word for one in others for word in ("-i", str(one.key))]
    stage.run("ssh", *keys, *others[0].ssh(port=port)[1:], check=False)
    [knock] = until(lambda: knocking(stage), "the knock is in status")
    assert len(knock["fingerprints"]) == 8
    assert "none of its 10 keys" in knock["message"]
    assert "and 2 more) belongs to github:octocat" in knock["message"]


def test_a_ban_names_the_address_and_the_duration(stage: Stage) -> None:
    _, port = invited(stage, "octocat")
    host = attached_host(stage, columns=160)
    host.shows("[pairing]")
    stranger = stage.guest("stranger")

    def is_banned() -> bool:
        """A ban of a second may be over before the next try comes."""
        return "too many failed logins" in stranger.runs(port=port).stderr

    until(is_banned, "a ban")
    host.shows("127.0.0.1 is kept out for ")
    line = until(lambda: lines(stage, "banned"), "the ban is in the log")[0]
    assert line["data"]["peer"] == "127.0.0.1"
    assert line["data"]["seconds"] >= 1
    assert line["data"]["until"].endswith("Z")
    [knock] = knocking(stage)
    assert knock["times"] > FREE_FAILURES


@pytest.mark.skipif(sys.platform == "darwin", reason="osascript has a fixed path")
def test_the_desktop_is_notified_once_of_a_knock_a_join_and_a_leave(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = notes_of_the_desktop(stage, monkeypatch)
    stage.configure("[host]\nnotify = true\n")
    guest, port = invited(stage, "octocat")
    stranger = stage.guest("stranger")
    for _ in range(2):
        assert stranger.runs(port=port).returncode == 255
    until(lambda: knocking(stage)[0]["times"] == 2, "both are counted")
    screen = guest.joins(port=port)
    screen.shows("[pairing]")
    stage.has_seen(visits=1)
    screen.presses("C-b", "d")
    until(lambda: "octocat left" in notes.read_text(), "the desktop says so")
    said = notes.read_text()
    assert [said.count(text) for text in ("refused", "octocat joined", "octocat left")] == [1, 1, 1]


@pytest.mark.attack("knocks again and again", "the history has a few lines, and the right number")
def test_repeated_knocks_are_counted_and_not_listed(stage: Stage) -> None:
    _, port = invited(stage, "octocat")
    stranger = stage.guest("stranger")
    for _ in range(FREE_FAILURES):
        assert stranger.runs(port=port).returncode == 255
    until(lambda: knocking(stage)[0]["times"] == FREE_FAILURES, "all are counted")
    assert [one["data"]["times"] for one in lines(stage, "refused")] == [1, 1, 2]
    assert stage.asks("receipt")["refused"] == FREE_FAILURES
    stage.pairctl("end")
    until(lambda: len(lines(stage, "refused")) == 4, "the rest is in the history")
    assert stage.asks("receipt")["refused"] == FREE_FAILURES
    assert knocking(stage) == []
