"""What macOS refuses the daemon, seen from a terminal to which it may be granted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pairingd import discovery
from pairingd.doctor import network
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import Finding, State, Subject
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.upnp import ssdp
from tests.fakes.daemon import FakeDaemon, RpcError
from tests.fakes.igd import FakeIgd

DENIED = {
    "code": "local-network-denied",
    "message": "macOS does not let pairingd reach the local network",
    "hint": "allow it in System Settings",
}

DOWN = {"code": "router-silent", "message": "the router cannot be reached", "hint": "check it"}


def answer(
    gateway: str | None, errno: str | None = None, error: dict[str, str] | None = None
) -> dict[str, Any]:
    return {"gateway": gateway, "errno": errno, "error": error}


def unknown(*_: object) -> None:
    raise RpcError(-32601, "there is no method reach")


async def finds_nothing(*_: object) -> list[str]:
    raise GatewayError("no-gateway", "no router answered", "")


async def findings(
    warnings: list[dict[str, str]],
    socket: str = "",
    *,
    connected: bool = True,
    **of_the_terminal: Any,
) -> list[Finding]:
    chosen = config.Config(router=config.Router(gateway="127.0.0.1"))
    daemon = Daemon(connected, socket, status={"warnings": warnings})
    subject = Subject(None, config.Settings(chosen, ""), daemon)
    return [finding async for finding in network.local_network(subject, **of_the_terminal)]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_denied_daemon_is_only_a_warning_if_the_terminal_finds_the_router(
    answers: bool,
) -> None:
    async with FakeIgd(ssdp=True) as igd:
        if not answers:
            igd.location = "ftp://127.0.0.1/"
        brief = ssdp.Schedule((0.0,), 1.0)
        search = partial(discovery.search, port=igd.ssdp_port, schedule=brief)
        [finding] = await findings([DENIED], search=search)
    assert finding.message.startswith(DENIED["message"])
    assert DENIED["hint"] in finding.hint
    assert finding.state is (State.WARN if answers else State.FAIL)
    assert ("pairctl invite" in finding.hint) is answers


async def test_without_a_denial_every_finding_is_ok() -> None:
    assert all(finding.state is State.OK for finding in await findings([]))


@pytest.mark.parametrize(
    ("reply", "state", "words"),
    [
        (answer("192.168.1.1"), State.OK, "macOS lets pairingd send to the router 192.168.1.1"),
        (answer("192.168.1.1", "EHOSTUNREACH", DENIED), State.FAIL, "network (EHOSTUNREACH)"),
        (answer("192.168.1.1", "ENETDOWN", DOWN), State.WARN, "cannot be reached (ENETDOWN)"),
        (answer(None), State.OK, "not tested: there is no router to send to"),
        (unknown, State.OK, "macOS has not denied it to the daemon so far"),
    ],
)
async def test_a_daemon_that_has_not_tried_is_asked_to_send(
    short_path: Path, reply: Any, state: State, words: str
) -> None:
    socket = str(short_path / "pairingd.sock")
    with FakeDaemon(Path(socket), {"reach": reply}):
        [finding] = await findings([], socket, search=finds_nothing, system=lambda: (15, 6))
    assert finding.state is state
    assert words in finding.message


async def test_local_network_access_is_not_tested_without_a_daemon() -> None:
    [finding] = await findings([], connected=False, system=lambda: (15, 6))
    assert finding.message == "not tested: pairingd is not running"
