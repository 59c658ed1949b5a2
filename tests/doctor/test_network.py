"""What macOS refuses the daemon, seen from a terminal to which it may be granted."""

from __future__ import annotations

import pytest

from pairingd import config, discovery
from pairingd.doctor import network
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import Finding, State, Subject
from pairingd.world.gateway.upnp import ssdp
from tests.fakes.igd import FakeIgd

DENIED = {
    "code": "local-network-denied",
    "message": "macOS does not let pairingd reach the local network",
    "hint": "allow it in System Settings",
}


async def found(warnings: list[dict[str, str]]) -> list[Finding]:
    chosen = config.Config(router=config.Router(gateway="127.0.0.1"))
    daemon = Daemon(connected=True, status={"warnings": warnings})
    subject = Subject(None, config.Settings(chosen, ""), daemon)
    return [one async for one in network.local_network(subject)]


@pytest.mark.parametrize("answers", [True, False])
async def test_what_this_terminal_finds_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(ssdp, "_SENT_AT", (0.0,))
    monkeypatch.setattr(ssdp, "SEARCH_SECONDS", 1.0)
    async with FakeIgd(ssdp=True) as igd:
        if not answers:
            igd.location = "ftp://127.0.0.1/"
        monkeypatch.setitem(discovery.search.__kwdefaults__ or {}, "port", igd.ssdp_port)
        [finding] = await found([DENIED])
    assert finding.message.startswith(DENIED["message"])
    assert DENIED["hint"] in finding.hint
    assert finding.state is (State.WARN if answers else State.FAIL)
    assert ("pairctl invite" in finding.hint) is answers


async def test_what_is_not_refused_is_not_asked_about() -> None:
    assert all(one.state is State.OK for one in await found([]))
