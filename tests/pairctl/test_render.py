"""Golden texts. UPDATE_GOLDEN=1 writes them anew: read the difference before committing it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pairctl.text import receipt, render
from pairctl.text.handout import handout
from pairctl.text.output import View, value_for_terminal
from pairingd.core.text import columns
from tests.pairctl import samples

GOLDEN = Path(__file__).parent / "golden"


def shown(form: str, reply: Any, view: View) -> str:
    return handout(reply, form, view)


CASES: dict[str, tuple[Callable[[Any, View], str], Any]] = {
    "invited": (partial(render.invited, copied="copied to the clipboard"), samples.INVITED),
    "invited-lan": (render.invited, samples.LAN_ONLY),
    "invited-bound": (render.invited, samples.BOUND),
    "invited-box": (render.invited, samples.IN_A_BOX),
    "invited-account": (render.invited, samples.AS_ACCOUNT),
    "handed-message": (partial(shown, "message"), samples.INVITED),
    "handed-message-bound": (
        partial(shown, "message"),
        {**samples.BOUND, "invitations": samples.BOUND["invitations"][1:]},
    ),
    "handed-message-lan": (partial(shown, "message"), samples.LAN_ONLY),
    "handed-pinned": (partial(shown, "pinned"), samples.INVITED),
    "handed-ssh-config": (partial(shown, "ssh_config"), samples.INVITED),
    "invited-message": (
        lambda reply, view: render.invited(reply, view, handout(reply, "message", view)),
        samples.INVITED,
    ),
    "status": (render.status, samples.STATUS),
    "status-bound": (
        render.status,
        {**samples.STATUS, "invitations": samples.BOUND["invitations"]},
    ),
    "status-dialed": (render.status, samples.DIALED),
    "status-idle": (render.status, samples.IDLE),
    "status-unconnected": (render.status, samples.UNCONNECTED),
    "status-two-routers": (render.status, samples.TWO_ROUTERS),
    "status-second-opening": (render.status, samples.SECOND_OPENING),
    "status-second-failed": (render.status, samples.SECOND_FAILED),
    "status-by-hand": (render.status, samples.BY_HAND),
    "status-failed": (render.status, samples.FAILED),
    "status-knocking": (render.status, samples.KNOCKING),
    "status-warned": (render.status, samples.WARNED),
    "status-line": (render.status_line, samples.STATUS),
    "status-line-scheduled": (
        render.status_line,
        {**samples.STATUS, "invitations": [samples.SCHEDULED, samples.KEYED]},
    ),
    "status-line-bound": (
        render.status_line,
        {**samples.STATUS, "invitations": samples.BOUND["invitations"]},
    ),
    "status-line-idle": (render.status_line, samples.IDLE),
    "changed": (render.changed, {"invitations": samples.STATUS["invitations"], "warnings": []}),
    "changed-warned": (
        render.changed,
        {"invitations": [samples.OCTOCAT], "warnings": samples.LAN_ONLY["warnings"]},
    ),
    "changed-none": (render.changed, {"invitations": [], "warnings": []}),
    "log": (render.log, {"events": samples.EVENTS}),
    "log-empty": (render.log, {"events": []}),
    "receipt": (receipt.receipt, samples.RECEIPT),
    "receipts": (receipt.receipts, samples.RECEIPTS),
    "receipts-none": (receipt.receipts, {"sessions": []}),
    "config": (render.settings, samples.SETTINGS),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("berlin")
def test_text_is_the_golden_one_and_only_hints_exceed_80_columns(name: str) -> None:
    draw, reply = CASES[name]
    text = draw(reply, View(now=samples.NOW))
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text + "\n")
    assert text + "\n" == golden.read_text()
    broken = [line for line in text.splitlines() if "hint: " not in line]
    assert max(map(len, broken), default=0) <= 80


def test_a_command_in_a_hint_is_never_broken() -> None:
    command = "tmux -S /home/" + "m" * 60 + "/tmux.sock respawn-pane -t '=pairing:'"
    hint = f"to start a shell in it: {command}"
    problem = {"code": "pane-dead", "message": "far " * 40, "hint": hint}
    failed: Any = {**(samples.FAILED["mapping"] or {}), "error": problem}
    knock: Any = {**samples.ELSEWHERE[0], "hint": hint}
    view = View(now=samples.NOW)
    invited: Any = {**samples.INVITED, "warnings": [problem]}
    changed: Any = {"invitations": [], "warnings": [problem]}
    status: Any = {**samples.FAILED, "mapping": failed, "warnings": []}
    statuses: list[Any] = [
        status,
        {**status, "warnings": [problem]},
        {**status, "knocking": [knock]},
    ]
    texts = [render.invited(invited, view), render.changed(changed, view)]
    for text in texts + [render.status(reply, view) for reply in statuses]:
        assert command in text


@pytest.mark.parametrize(
    ("kind", "verified", "reachability", "shown"),
    [
        ("router", None, "internet", "port open on the router; not yet tested from outside"),
        ("router", "hairpin", "internet", "from the internet: tested through the router"),
        ("jump", "hairpin", "internet", "from the internet: tested through the relay"),
        ("router", "guest", "internet", "from the internet: a guest has connected"),
        ("router", "readback", "unverified", "perhaps from the internet: the router lists"),
        ("relay", None, "internet", "port open on the relay; not yet tested from outside"),
        ("ipv6", None, "internet", "port open in the router's IPv6 firewall; not yet tested"),
    ],
)
def test_reach_names_the_open_port_and_what_was_tested(
    kind: str, verified: str | None, reachability: str, shown: str
) -> None:
    best = {**samples.INVITED["endpoints"][0], "kind": kind, "verified": verified}
    reply: Any = {**samples.INVITED, "endpoints": [best], "reachability": reachability}
    text = render.invited(reply, View(now=samples.NOW))
    assert f"Reach     {shown}" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("over", "shown"),
    [
        (
            {"state": "expired", "cause": "expired", "over_at": "2026-03-14T15:40:00Z"},
            "16:40: expired",
        ),
        (
            {"state": "expired", "cause": "expired", "over_at": "2026-03-14T14:10:00Z"},
            "15:10: expired, did not come in time",
        ),
        (
            {"state": "expired", "cause": "idle", "over_at": "2026-03-14T14:10:00Z"},
            "15:10: expired, idle for too long",
        ),
        (
            {"state": "revoked", "cause": "revoked", "over_at": "2026-03-14T14:10:00Z"},
            "15:10: revoked",
        ),
        ({"state": "expired"}, "16:40: expired"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_a_past_invitation_has_when_and_why_it_was_over(over: dict[str, str], shown: str) -> None:
    reply: Any = {**samples.IDLE, "invitations": [{**samples.OCTOCAT, **over}]}
    text = " ".join(render.status(reply, View(now=samples.NOW)).split())
    assert f"github:octocat read-write, was until {shown} Door" in text


def test_the_length_of_an_invitation_is_from_the_time_at_which_it_opened() -> None:
    opened: Any = {
        **samples.OCTOCAT,
        "issued_at": "2026-03-14T13:39:56Z",
        "opens_at": "2026-03-14T13:40:00Z",
        "expires_at": "2026-03-14T13:50:00Z",
    }
    text = render.status({**samples.STATUS, "invitations": [opened]}, View(now=samples.NOW))
    assert "(10m)" in text


def test_the_time_to_join_is_printed_until_the_guest_has_come() -> None:
    [*_, bound] = samples.BOUND["invitations"]
    connection: Any = {"peer": "192.0.2.7", "since": "2026-03-15T09:00:00Z", "pid": 1}
    for more, printed in (
        ({}, True),
        ({"connections": [{**connection, "waiting": True}]}, True),
        ({"connections": [connection]}, True),
        ({"connections": [connection], "came_at": "2026-03-15T09:00:00Z"}, False),
        ({"came_at": "2026-03-15T09:00:00Z"}, False),
    ):
        invitation: Any = {**bound, **more}
        text = render.status({**samples.STATUS, "invitations": [invitation]}, View(now=samples.NOW))
        assert ("to join by" in text) is printed


@pytest.mark.parametrize(
    ("peers", "keys", "line"),
    [
        ([], 1, None),
        (["192.0.2.7"], 2, "waits for you: pairctl approve github:octocat"),
        (["192.0.2.7", "192.0.2.7"], 1, "waits for you: pairctl approve github:octocat"),
        (["192.0.2.7", "192.0.2.7"], 2, "waits for you 2 times: pairctl attach"),
        (["192.0.2.7", "192.0.2.8"], 1, "waits for you 2 times: pairctl attach"),
    ],
)
def test_what_to_do_about_a_guest_who_waits(peers: list[str], keys: int, line: str | None) -> None:
    inside: Any = {"peer": "192.0.2.7", "since": "2026-03-15T09:00:00Z", "pid": 1}
    octocat: Any = {
        **samples.OCTOCAT,
        "connections": [inside, *({**inside, "peer": peer, "waiting": True} for peer in peers)],
        "keys": samples.OCTOCAT["keys"][:1] * keys,
        "waiting": bool(peers),
    }
    text = render.status({**samples.STATUS, "invitations": [octocat]}, View(now=samples.NOW))
    found = [each.strip() for each in text.splitlines() if "waits for you" in each]
    assert found == ([line] if line else [])


def test_an_external_ipv6_address_has_brackets_before_its_port() -> None:
    view, host = View(now=samples.NOW), "2001:db8::9"
    router: Any = {**samples.INVITED["endpoints"][0], "kind": "router", "host": host, "port": 22}
    mapping: Any = {**samples.MAPPING, "external_host": host}
    for text in (
        render.invited({**samples.INVITED, "endpoints": [router]}, view),
        render.status({**samples.STATUS, "mapping": mapping}, view),
    ):
        assert f"Router    [{host}]:22" in text


def test_no_router_is_needed_while_only_past_invitations_are_listed() -> None:
    past = {**samples.STATUS["invitations"][0], "state": "revoked"}
    reply: Any = {**samples.IDLE, "invitations": [past]}
    assert "Router    not needed (nobody is invited)" in render.status(reply, View(now=samples.NOW))
    live: Any = {**reply, "invitations": [{**past, "state": "live"}]}
    assert "Router    no port opened" in render.status(live, View(now=samples.NOW))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("berlin")
def test_colours_change_nothing_else(name: str) -> None:
    import re

    draw, reply = CASES[name]
    plain = draw(reply, View(now=samples.NOW))
    painted = draw(reply, View(now=samples.NOW, colour=True))
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain


def test_the_last_line_is_the_command_whole_however_long() -> None:
    command = "ssh " + "m" * 60 + "@" + "host." * 20 + "example"
    text = render.invited({**samples.INVITED, "command": command}, View(now=samples.NOW))
    assert text.splitlines()[-1] == command


def test_a_key_comment_is_cut_to_the_terminal_and_not_in_a_pipe() -> None:
    comment = samples.OCTOCAT["keys"][0]["comment"]
    narrow, wide = View(now=samples.NOW), View(now=samples.NOW, columns=200)
    assert comment not in render.invited(samples.INVITED, narrow)
    assert comment in render.invited(samples.INVITED, wide)


def test_a_long_identity_is_cut_to_the_width() -> None:
    guest = "https://example.org/" + "a" * 2000
    changed = {"invitations": [{**samples.OCTOCAT, "guest": guest}], "warnings": []}
    text = render.changed(changed, View(now=samples.NOW))  # type: ignore[arg-type]
    assert max(map(len, text.splitlines())) == 80


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b]0;title\x07b", "a]0;titleb"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("\x9b31mred", "31mred"),
        ("left\u202eright\u200b\u2028end", "leftright end"),
        ("Grüße, 世界", "Grüße, 世界"),
    ],
)
def test_control_and_format_characters_do_not_reach_a_terminal(hostile: str, shown: str) -> None:
    assert value_for_terminal({hostile: [hostile, 1, None]}) == {shown: [shown, 1, None]}


@pytest.mark.parametrize("letter", ["a", "\u30ad", "e\u0301"])
@pytest.mark.parametrize("letters", [20, 30, 60, 100])
def test_a_guest_s_line_fits_whatever_letters_the_name_has(letter: str, letters: int) -> None:
    invitation = {**samples.OCTOCAT, "guest": f"file:/{letter * letters}"}
    reply: Any = {"invitations": [invitation], "warnings": []}
    lines = render.changed(reply, View(now=samples.NOW)).splitlines()
    assert max(map(columns, lines)) <= 80
