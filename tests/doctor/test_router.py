"""The router's checks against a gateway that can be scripted; hostile ones at worst warn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pairingd.core import strict
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.records import replace
from pairingd.doctor import dry_run, programs, router
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import Finding, State, Subject
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.world.gateway.pxp import datagrams
from tests.fakes.igd import FakeIgd, Quirk
from tests.fakes.pxp import FakePxp
from tests.waiting import WAIT_S

HOME = Network("", "127.0.0.1", "127.0.0.1")


def settings(fake: FakeIgd, **more: object) -> config.Router:
    given = {"description_url": fake.description_url, "protocols": ["upnp"], **more}
    return strict.read(config.Router, given)


async def findings(
    router_config: config.Router,
    *,
    daemon: Daemon | None = None,
    full: bool = False,
    relay: config.Relay = config.Relay(),  # noqa: B008 - frozen
    door: config.Door = config.Door(),  # noqa: B008 - frozen
    **limits: Any,
) -> dict[str, Finding]:
    chosen = config.Settings(config.Config(router=router_config, relay=relay, door=door), "")
    subject = Subject(None, chosen, daemon or Daemon(), router=full, verbose=full)
    return {finding.name: finding async for finding in router.check(subject, **limits)}


@pytest.mark.parametrize(
    ("external", "state", "expected"),
    [
        ("203.0.114.7", State.OK, "public"),
        ("100.64.1.2", State.WARN, "CGNAT"),
        ("192.168.0.2", State.WARN, "another router"),
        ("0.0.0.0", State.WARN, "no external address"),
        ("\x1b[2Jx", State.WARN, "no external address ([2Jx)"),
    ],
)
async def test_the_class_of_the_external_address(
    external: str, state: State, expected: str
) -> None:
    async with FakeIgd(external_host=external) as fake:
        address = (await findings(settings(fake)))["address"]
    assert address.state is state
    assert expected in address.message


@pytest.mark.parametrize("quirk", [Quirk.STALE_SERVICE_FIRST, Quirk.PRIVATE_SERVICE_FIRST])
async def test_the_wan_service_that_leads_to_the_internet_is_shown(quirk: Quirk) -> None:
    async with FakeIgd(external_host="203.0.114.7", quirks={quirk}) as fake:
        fake.quirks.add(Quirk.DISABLED)
        fake.add_by_hand(22, "127.0.0.9", 22)
        reported = await findings(settings(fake), full=True)
    assert reported["address"].message == "203.0.114.7 is public"
    assert "forwards port 22 to 127.0.0.9:22" in reported["port"].message
    assert reported["mappings"].message == "1 on the router"
    assert "127.0.0.9:22 (disabled)" in reported["mappings"].details[0]
    assert "#GetExternalIPAddress" in "".join(reported["exchanges"].details)


async def test_pcp_and_nat_pmp_are_asked_and_their_bytes_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakePxp(external="203.0.114.7") as gateway:
        monkeypatch.setattr(datagrams.Datagrams.__init__, "__defaults__", (gateway.port,))
        router_config = strict.read(
            config.Router, {"gateway": "127.0.0.1", "protocols": ["pcp", "natpmp"]}
        )
        reported = await findings(router_config, full=True)
        assert gateway.held == {}
    assert reported["gateway"].message.endswith("speaks PCP, NAT-PMP")
    assert reported["address"].message.startswith("203.0.114.7")
    assert reported["dry-run"].state is State.OK
    assert "port" not in reported
    assert "> udp 127.0.0.1 0000" in reported["exchanges"].details  # RFC 6886 §3.2


async def test_a_router_command_replaces_every_protocol() -> None:
    command = {"open": "/bin/echo 203.0.114.7", "close": "true"}
    given = {"gateway": "127.0.0.1", "command": command}
    reported = await findings(strict.read(config.Router, given), full=True)
    assert reported["gateway"].state is State.OK
    assert "[router.command]" in reported["gateway"].message
    assert "your command opened port" in reported["dry-run"].message
    assert reported["exchanges"].details == ()


@pytest.mark.parametrize("missing", ["open", "close"])
async def test_a_missing_router_command_is_named(missing: str) -> None:
    command = {"open": "echo", "close": "true", missing: "/nonexistent/program 22"}
    given = {"gateway": "127.0.0.1", "command": command}
    reported = await findings(strict.read(config.Router, given), full=True)
    assert reported["gateway"].state is State.WARN
    assert f"{missing} cannot be run: /nonexistent/program" in reported["gateway"].message
    assert "dry-run" not in reported


RELAY = config.Relay(ssh="mark@relay.example.org")


@pytest.mark.parametrize(
    ("host", "relay", "expected"),
    [
        ("", config.Relay(), "from the LAN only"),
        ("home.example.org", config.Relay(), "by home.example.org, forwarded by hand"),
        ("", RELAY, "by the relay mark@relay.example.org"),
        ("5.5.5.1", RELAY, "by 5.5.5.1, forwarded by hand and by the relay mark@relay.example.org"),
    ],
)
async def test_with_the_router_disabled_the_other_endpoints_are_named(
    host: str, relay: config.Relay, expected: str
) -> None:
    router_config = strict.read(config.Router, {"enabled": False, "external_host": host})
    gateway = (await findings(router_config, relay=relay))["gateway"]
    assert gateway.state is State.OK
    assert gateway.message.endswith(f"; guests come {expected}")


async def test_the_relay_is_named_if_the_router_opens_no_port() -> None:
    command = {"open": "/nonexistent/program", "close": "true"}
    router_config = strict.read(config.Router, {"gateway": "127.0.0.1", "command": command})
    message = (await findings(router_config, relay=RELAY))["gateway"].message
    assert message.endswith(": guests come by the relay mark@relay.example.org")


@pytest.mark.parametrize(
    ("command", "state"), [("", State.OK), ("/bin/sh", State.OK), ("/nonexistent/ssh", State.WARN)]
)
async def test_a_relay_takes_an_ssh(command: str, state: State) -> None:
    chosen = config.Settings(config.Config(relay=replace(RELAY, ssh_program=command)), "")
    [relay_finding] = [finding async for finding in programs.relay(Subject(None, chosen, Daemon()))]
    assert (relay_finding.name, relay_finding.state) == ("relay", state)
    assert "mark@relay.example.org" in relay_finding.message


async def test_a_table_is_cut_at_its_bound() -> None:
    async with FakeIgd() as fake:
        for port in range(1000, 1020):
            fake.add_by_hand(port, "127.0.0.9", 80, "\x1b[2J" + "x" * 500)
        mappings = (await findings(settings(fake), full=True, most_rows=7))["mappings"]
    assert mappings.message == "7 or more on the router"
    assert [row.partition("/")[0] for row in mappings.details] == list(map(str, range(1000, 1007)))
    assert all(row.isprintable() and len(row) < 200 for row in mappings.details)


async def test_the_description_url_may_have_the_routers_name() -> None:
    async with FakeIgd() as fake:
        named = settings(
            fake, description_url=fake.description_url.replace("127.0.0.1", "localhost")
        )
        reported = await findings(named, full=True)
    assert {finding.state for finding in reported.values()} == {State.OK}
    assert "fake at http://127.0.0.1" in reported["igd"].message


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("quirk", [Quirk.FREE_AS_EMPTY, Quirk.FREE_AS_ZEROS])
@pytest.mark.parametrize("failing", [{}, {"GetSpecificPortMappingEntry": 402}])
async def test_the_holder_of_the_port_is_found_as_by_the_daemon(
    *, held: bool, quirk: Quirk, failing: dict[str, int]
) -> None:
    async with FakeIgd(quirks={quirk}, failing=failing) as fake:
        if held:
            fake.add_by_hand(22, "127.0.0.9", 80)
        port = (await findings(settings(fake)))["port"]
    expected = "the router forwards port 22 to 127.0.0.9:80 (web server)"
    assert port.message == (expected if held else "22 is free on the router")


async def test_a_router_fault_is_a_warning_with_its_code() -> None:
    async with FakeIgd() as fake:
        fake.failing["GetExternalIPAddress"] = 501
        fake.failing["GetSpecificPortMappingEntry"] = 606
        fake.failing["GetGenericPortMappingEntry"] = 606
        reported = await findings(settings(fake), full=True)
    assert reported["address"].state is State.WARN
    for name in ("port", "mappings"):
        assert reported[name].state is State.WARN
        assert "606" in reported[name].message


@pytest.mark.parametrize(
    "quirk",
    [
        Quirk.OFF_HOST_CONTROL,
        Quirk.NO_WAN_SERVICE,
        Quirk.XML_BOMB,
        Quirk.HTTP_ENDLESS,
        Quirk.HTTP_DRIP,
        Quirk.SOAP_SILENT,
    ],
)
async def test_a_hostile_router_costs_a_warning_at_worst(quirk: Quirk) -> None:
    async with FakeIgd(quirks={quirk}) as fake:
        reported = await findings(settings(fake), full=True, upnp_timeout_s=0.5)
    assert "fail" not in {finding.state for finding in reported.values()}
    refused = [line for line in reported["exchanges"].details if fake.description_url in line]
    assert refused
    assert "port" not in reported


async def test_a_door_that_listens_elsewhere_is_no_use_to_the_router() -> None:
    async with FakeIgd() as fake:
        reported = await findings(settings(fake), full=True, door=config.Door(address="::1"))
        assert reported["gateway"].state is State.WARN
        assert "listens at ::1" in reported["gateway"].message
        assert "works" not in str(reported["ways"])
        assert fake.counts["AddPortMapping"] == 0
        own_program = settings(fake, command={"open": "true", "close": "true"})
        assert (
            ((await findings(own_program, door=config.Door(address="::1")))["gateway"]).state
            is State.OK
        )


@pytest.mark.parametrize("quirk", [Quirk.OFF_HOST_CONTROL, Quirk.NO_WAN_SERVICE])
async def test_the_reason_of_one_protocol_comes_before_the_silence_of_others(quirk: Quirk) -> None:
    async with FakeIgd(quirks={quirk}) as fake:
        gateway = (await findings(settings(fake, protocols=["pcp", "upnp"])))["gateway"]
    assert gateway.state is State.WARN
    assert fake.description_url in gateway.message


@pytest.mark.parametrize(
    ("quirk", "state", "expected"),
    [
        (None, State.OK, "opened port"),
        (Quirk.ONLY_PERMANENT, State.WARN, "never expire"),
        (Quirk.LEASE_DROPPED, State.WARN, "drops"),
        (Quirk.INTERNAL_PORT_IGNORED, State.WARN, "another port"),
        (Quirk.DELETE_IGNORED, State.FAIL, ""),
    ],
)
async def test_the_dry_run_leaves_the_mappings_as_they_were(
    quirk: Quirk | None, state: State, expected: str
) -> None:
    async with FakeIgd(quirks={quirk} if quirk else set()) as fake:
        fake.add_by_hand(8080, "127.0.0.9", 80)
        router_config = settings(fake, allow_permanent=True, lease="1h")
        finding = (await dry_run.check(HOME, router_config)).finding
        left = set(fake.mappings)
    assert finding.state is state
    assert expected in finding.message
    assert left == {8080} or quirk is Quirk.DELETE_IGNORED


async def test_the_test_port_has_a_short_lease() -> None:
    async with FakeIgd(quirks={Quirk.DELETE_IGNORED}) as fake:
        await dry_run.check(HOME, settings(fake, lease="1h"))
        (forward,) = fake.mappings.values()
    assert forward.lease == 120
    assert forward.external_port >= 49152


async def test_a_cancelled_dry_run_closes_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()

    async def linger(self: object, mapping: Mapping) -> None:
        held.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("pairingd.doctor.dry_run.Router.check", linger)
    async with FakeIgd() as fake:
        task = asyncio.create_task(dry_run.check(HOME, settings(fake)))
        await asyncio.wait_for(held.wait(), WAIT_S)
        assert fake.mappings
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not fake.mappings


async def test_a_denial_by_macos_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def denied(self: object, network: Network) -> bool:
        raise GatewayError("local-network-denied", "macOS does not let it", "allow it")

    monkeypatch.setattr("pairingd.world.gateway.upnp.mappings.UpnpAdapter.probe", denied)
    async with FakeIgd() as fake:
        reported = await findings(settings(fake))
    assert reported["gateway"].state is State.FAIL
    assert reported["gateway"].hint == "allow it"


async def test_a_vpn_as_the_default_route_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tunnel() -> Network:
        return Network("utun3", "10.8.0.2", "")

    monkeypatch.setattr("pairingd.world.network.current", tunnel)
    reported = await findings(config.Router())
    assert reported["gateway"].state is State.WARN
    assert "utun3" in reported["gateway"].message


@pytest.mark.parametrize(
    ("status", "state", "shown"),
    [
        ({}, State.WARN, "relay: not tried: it is asked while somebody is invited"),
        (
            {"endpoints": [{"kind": "jump", "verified": "hairpin"}]},
            State.OK,
            "relay: works: the door was seen there",
        ),
        (
            {"warnings": [{"code": "relay-key-refused", "message": "no key", "hint": "try ssh"}]},
            State.WARN,
            "relay: failed: no key",
        ),
        (
            {"endpoints": [{"kind": "dial", "verified": None}]},
            State.WARN,
            "dial: unproven: no guest who is dialed has come yet",
        ),
    ],
)
async def test_the_ways_are_as_the_daemon_has_them_while_somebody_is_invited(
    status: dict[str, Any], state: State, shown: str
) -> None:
    router_config = strict.read(config.Router, {"enabled": False})
    relay, daemon = config.Relay(ssh="me@there"), Daemon(status=status)
    ways = (await findings(router_config, daemon=daemon, full=True, relay=relay))["ways"]
    assert ways.state is state
    assert shown in ways.details
