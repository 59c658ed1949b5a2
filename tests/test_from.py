"""`pairctl invite --from` on one machine: what is refused, and whose the command is. The guests are
at addresses of documentation (RFC 5737), which nobody answers; tests/e2e/test_dial.py lets one in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pairingd.core.refusal import PairingError
from tests.stage import Guest, Stage

GUEST = "198.51.100.1"


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with Stage() as stage:
        stage.daemon()
        yield stage


@pytest.fixture
def stage(shared: Stage) -> Iterator[Stage]:
    for name in ("octocat", "hubot"):
        Guest(shared, name)
    yield shared
    shared.is_cleared()


def invites(stage: Stage, *argv: str) -> Any:
    return stage.asks("invite", *argv, "--no-copy")


@pytest.mark.parametrize(
    ("guests", "address", "code"),
    [
        (["octocat", "hubot"], GUEST, "from-one-guest"),
        (["octocat"], "192.168.1.5", "bad-address"),
        (["octocat"], "home.example.org", "bad-address"),
        (["octocat"], "", "bad-address"),
    ],
)
def test_the_daemon_refuses_what_cannot_be_dialed(
    stage: Stage, guests: list[str], address: str, code: str
) -> None:
    """pairctl refuses it before, but for a group."""
    with stage.client() as client, pytest.raises(PairingError) as refused:
        client.call("invite", {"guests": guests, "from_address": address})
    assert refused.value.code == code
    assert stage.asks("status")["invitations"] == []


def test_only_the_dialed_guest_gets_the_dial_command(stage: Stage) -> None:
    invited = invites(stage, "octocat", "--from", GUEST)
    assert "error" not in invited, invited
    [best, *others] = invited["endpoints"]
    assert (best["kind"], best["guest"]) == ("dial", "github:octocat")
    assert invited["command"] == best["command"]
    assert "ProxyCommand='nc -p " in invited["command"]
    assert invited["invitations"][0]["from_address"] == GUEST
    other = invites(stage, "hubot")
    assert [one["kind"] for one in other["endpoints"]] == [one["kind"] for one in others]
    shown = invites(stage, "--show", "octocat")
    assert shown["endpoints"][0]["command"] == best["command"]
    kinds = [one["kind"] for one in stage.asks("status")["endpoints"]]
    assert kinds.count("dial") == 1
