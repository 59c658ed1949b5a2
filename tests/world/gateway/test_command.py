from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path

import psutil
import pytest

from pairingd.core import strict
from pairingd.core.holding_events import Presence
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.command import CommandAdapter, external_address
from pairingd.world.gateway.router import Router
from tests.stage import until
from tests.waiting import WAIT_S, gone
from tests.world.gateway.conftest import HOME, NOW, RecordedJournal, requested

TELL = "env | grep ^PAIRING_ | sort >{log}; echo 5.5.5.1"


class Home:
    """Two shell scripts of a user's; each call leaves a line in `log`."""

    def __init__(self, path: Path, open_: str, close: str = "true", **settings: object) -> None:
        self.log = path / "log"
        self.now = NOW
        lines = {"open": open_.format(log=self.log), "close": close.format(log=self.log)}
        command = {name: shlex.join(["sh", "-c", script]) for name, script in lines.items()}
        self.settings = strict.read(config.Router, {"command": command} | settings)
        self.adapter = CommandAdapter(self.settings, lambda: self.now, seconds=5.0)


async def refusal(home: Home) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await home.adapter.open(requested(), 600)
    assert caught.value.code == "router-command-failed"
    return caught.value


async def test_the_program_gets_every_parameter_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAIRING_REQUIRE_E2E", "PAIRING_REQUIRE_INDEX"):  # ours, of these tests
        monkeypatch.delenv(name, raising=False)
    home = Home(tmp_path, TELL)
    mapping = await home.adapter.open(requested(), 600)
    assert home.log.read_text().splitlines() == [
        "PAIRING_EXTERNAL_PORT=22",
        "PAIRING_INTERNAL_HOST=127.0.0.1",
        "PAIRING_INTERNAL_PORT=50111",
        "PAIRING_LEASE=600",
        "PAIRING_PROTOCOL=tcp",
    ]
    assert (mapping.external_host, mapping.external_port) == ("5.5.5.1", 22)
    assert (mapping.granted_until, mapping.renew_at) == (NOW + 600, NOW + 300)


async def test_the_program_may_print_another_port_and_the_configured_host_is_the_default(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, "echo opening; echo gate.example.org:2022")
    mapping = await home.adapter.open(requested(), 600)
    assert (mapping.external_host, mapping.external_port) == ("gate.example.org", 2022)
    silent = Home(tmp_path, "echo done", external_host="5.5.5.9")
    assert (await silent.adapter.open(requested(), 600)).external_host == "5.5.5.9"
    assert "HOST" in (await refusal(Home(tmp_path, "echo done"))).hint


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1:22", "169.254.3.4", "255.255.255.255"])
async def test_an_address_that_no_guest_can_reach_counts_as_none(
    tmp_path: Path, address: str
) -> None:
    down = f"echo {address}"
    away = requested(internal_host="192.168.77.10")
    with pytest.raises(GatewayError, match=f"does not print the address for guests: {address}"):
        await Home(tmp_path, down).adapter.open(away, 600)
    named = Home(tmp_path, down, external_host="5.5.5.9")
    assert (await named.adapter.open(away, 600)).external_host == "5.5.5.9"


async def test_a_router_on_loopback_has_its_address_there(tmp_path: Path) -> None:
    home = Home(tmp_path, "echo 127.0.0.1:2022")
    mapping = await home.adapter.open(requested(), 600)
    assert (mapping.external_host, mapping.external_port) == ("127.0.0.1", 2022)


@pytest.mark.parametrize(
    ("output", "address"),
    [
        ("5.5.5.1\n", ("5.5.5.1", 0)),
        ("5.5.5.1:22", ("5.5.5.1", 22)),
        ("\x1b[1;32m5.5.5.1:22\x1b[0m", ("5.5.5.1", 22)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:22", ("2001:db8::1", 22)),
        ("a.example.org:65535\n\n", ("a.example.org", 65535)),
        ("", None),
        ("done", None),
        ("5.5.5.1:0", None),
        ("5.5.5.1:65536", None),
        ("5.5.5.1:٢", None),
        (f"5.5.5.1:{5000 * '9'}", None),
        ("-oProxyCommand=x.org", None),
        ("a.example.org; rm -rf", None),
        ("fe80::1%eth0", None),
    ],
)
def test_the_last_line_is_an_address_or_nothing(
    output: str, address: tuple[str, int] | None
) -> None:
    assert external_address(output) == address


async def test_the_error_has_the_programs_status_and_last_output(tmp_path: Path) -> None:
    error = await refusal(Home(tmp_path, r"printf 'no\033[2J such\nhost' >&2; exit 3"))
    assert "status 3" in error.message
    assert "such host" in error.message
    assert error.message.isprintable()
    chatty = await refusal(Home(tmp_path, "yes | head -c 1000000; exit 1"))
    assert len(chatty.message) < 400


async def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    settings = strict.read(config.Router, {"command": {"open": "/nowhere/open", "close": "true"}})
    with pytest.raises(GatewayError, match="No such file"):
        await CommandAdapter(settings, lambda: NOW).open(requested(), 600)


async def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    home = Home(tmp_path, "sleep 3600 & echo $! >{log}; wait")
    home.adapter = CommandAdapter(home.settings, lambda: NOW, seconds=0.5)
    assert "took more than 0.5 s" in (await refusal(home)).message
    await gone(int(home.log.read_text()))


async def test_a_cancelled_program_is_ended(tmp_path: Path) -> None:
    home = Home(tmp_path, "echo $$ >{log}; sleep 3600")
    opening = asyncio.create_task(home.adapter.open(requested(), 600))
    running = lambda: home.log.exists() and home.log.read_text()  # noqa: E731
    await asyncio.to_thread(until, running, "it runs")
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await gone(int(home.log.read_text()))


async def test_a_program_cancelled_while_it_starts_is_ended_with_its_children(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, "sleep 3600 & echo $! >{log}; wait")
    before = psutil.Process().children()
    opening = asyncio.create_task(home.adapter.open(requested(), 600))
    # From its start on the event loop stands.
    while psutil.Process().children() == before:  # noqa: ASYNC110
        await asyncio.sleep(0)
    until(lambda: home.log.exists() and home.log.read_text(), "it runs")
    opening.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(opening, return_exceptions=True)
    await gone(int(home.log.read_text()))


async def test_a_program_that_may_not_be_ended_is_an_error_and_nothing_waits_for_it(
    tmp_path: Path,
) -> None:
    """As one by sudo; here the program becomes another user's."""
    if os.getuid():
        pytest.skip("only root can become another user")
    home = Home(tmp_path, "echo $$ >{log}; exec setpriv --reuid 64000 sleep 3600")
    home.adapter = CommandAdapter(home.settings, lambda: NOW, seconds=0.5)
    os.seteuid(65534)
    try:
        assert "took more than 0.5 s" in (await refusal(home)).message
    finally:
        os.seteuid(0)
    left = int(home.log.read_text())
    assert psutil.Process(left).status() != psutil.STATUS_ZOMBIE
    os.kill(left, 9)
    await gone(left)


async def test_a_background_process_of_the_program_does_not_delay_the_answer(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, "sleep 3600 & echo $! >{log}; echo 5.5.5.1")
    mapping = await home.adapter.open(requested(), 600)
    assert mapping.external_host == "5.5.5.1"
    left = int(home.log.read_text())
    os.kill(left, 9)
    await gone(left)


async def test_a_command_mapping_is_opened_renewed_by_opening_again_and_closed(
    tmp_path: Path, journal: RecordedJournal
) -> None:
    home = Home(tmp_path, "echo open >>{log}; echo 5.5.5.1", "echo close >>{log}")
    router = Router(home.settings, journal, lambda: home.now)
    mapping = await router.open(HOME, internal_port=50111, external_port=22)
    assert mapping.protocol == "command"
    assert await router.check(mapping) is Presence.PRESENT
    home.now += 300
    renewed = await router.renew(mapping)
    assert renewed.granted_until == NOW + 900
    home.now += 601
    assert await router.check(renewed) is Presence.ABSENT
    await router.close(renewed)
    assert home.log.read_text().split() == ["open", "open", "close"]
    assert journal == {}


async def test_a_failed_opening_is_undone_and_a_failed_closing_is_kept(
    tmp_path: Path, journal: RecordedJournal
) -> None:
    home = Home(tmp_path, "exit 1", "echo close >>{log}; exit 1")
    with pytest.raises(GatewayError):
        await Router(home.settings, journal, lambda: NOW).open(
            HOME, internal_port=50111, external_port=22
        )
    assert home.log.read_text().split() == ["close"]
    assert len(journal) == 1
