"""The router found by the user's terminal, and handed over the control socket to the real daemon."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pairingd import discovery
from pairingd.errors import GatewayError
from pairingd.home import config
from pairingd.protocol import wire
from pairingd.world.gateway.upnp import ssdp
from tests.fakes.igd import FakeIgd
from tests.server.test_server import HELLO, Line
from tests.stage import EXTERNAL_HOST, Stage

HERE = config.Router(gateway="127.0.0.1")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        stage.guest("octocat")
        yield stage


@pytest.fixture
def url(stage: Stage) -> str:
    """The router's, which the daemon is not told: its search on loopback meets with nobody."""
    path = stage.home / "config.toml"
    key = next(line for line in path.read_text().splitlines() if "description_url" in line)
    path.write_text(path.read_text().replace(key, 'gateway = "127.0.0.1"'))
    found: str = json.loads(key.partition("=")[2])
    return found


@pytest.fixture
def line(stage: Stage, url: str) -> Iterator[Line]:
    stage.daemon()
    with Line(stage.home / "pairingd.sock") as line:
        line.asks(HELLO)
        yield line


def told(line: Line, *urls: str) -> tuple[list[Any], dict[str, Any]]:
    """What `gateway` answers, after the steps it tells of."""
    steps, reply = [], line.calls("gateway", description_urls=urls)
    while reply.get("method") == "progress":
        steps.append((reply["params"]["step"], reply["params"]["state"], reply["params"]["text"]))
        reply = line.reads()
    return steps, reply


def test_the_daemon_asks_only_the_router_whose_url_it_is_given(
    stage: Stage, url: str, line: Line
) -> None:
    invited = stage.asks("invite", "octocat", "--no-copy")
    assert invited["warnings"][-1]["code"] == "no-gateway"

    for bad in ("http://203.0.113.9/x.xml", url.replace("http", "https"), "\x1b[2J"):
        steps, reply = told(line, url, bad)
        assert steps == []
        assert reply["error"]["code"] == wire.REFUSED
        assert reply["error"]["data"]["code"] == "bad-description-url"
        assert reply["error"]["data"]["hint"]
        assert reply["error"]["message"].isprintable()
    elsewhere = url.replace("rootDesc.xml", "nothing.xml")
    assert told(line, elsewhere)[1]["error"]["data"]["code"] == "no-gateway"
    assert stage.mappings() == []
    assert stage.asks("status")["mapping"]["error"]["code"] == "no-gateway"

    steps, reply = told(line, elsewhere, url)
    assert steps == [
        ("router", "begun", "asking the router"),
        ("router", "done", f"forwards port {stage.external_port}"),
    ]
    mapping = reply["result"]["mapping"]
    assert (mapping["state"], mapping["external_host"]) == ("open", EXTERNAL_HOST)
    assert len(stage.mappings()) == 1
    shown = stage.asks("invite", "--show", "octocat", "--no-copy")
    assert shown["endpoints"][0]["host"] == EXTERNAL_HOST
    assert "no-gateway" not in {warning["code"] for warning in shown["warnings"]}

    # Told once more, what is held is held.
    assert told(line, url)[1]["result"]["mapping"]["state"] == "open"
    assert len(stage.mappings()) == 1


def test_a_router_url_given_before_an_invitation_is_remembered(
    stage: Stage, url: str, line: Line
) -> None:
    steps, reply = told(line, url)
    assert (steps, reply["result"]) == ([], {"mapping": None})
    invited = stage.asks("invite", "octocat", "--no-copy")
    assert invited["endpoints"][0]["host"] == EXTERNAL_HOST


def test_the_schema_refuses_anything_but_a_list_of_a_few_urls(line: Line) -> None:
    for urls in ([], ["x"] * 11, ["http://127.0.0.1/" + "a" * 500], [1], [""], "x", None):
        reply = line.calls("gateway", description_urls=urls)
        assert reply["error"]["code"] == wire.INVALID_PARAMS


@pytest.mark.parametrize("more", ["enabled = false", 'protocols = ["pcp"]'])
def test_a_router_url_is_refused_if_no_configured_protocol_searches(
    stage: Stage, url: str, more: str
) -> None:
    path = stage.home / "config.toml"
    path.write_text(path.read_text().replace('protocols = ["upnp"]', more))
    stage.daemon()
    with Line(stage.home / "pairingd.sock") as line:
        line.asks(HELLO)
        assert told(line, url)[1]["error"]["data"]["code"] == "search-unwanted"


# The search itself


async def test_the_search_finds_the_router() -> None:
    async with FakeIgd(ssdp=True) as igd:
        assert await discovery.search(HERE, port=igd.ssdp_port) == [igd.description_url]


async def test_a_search_that_finds_no_router_is_an_error() -> None:
    brief = ssdp.Schedule((0.0,), 0.1)
    async with FakeIgd(ssdp=True) as igd:
        igd.location = "http://10.99.0.1/rootDesc.xml"
        elsewhere = config.Router(gateway="127.0.0.9")
        with pytest.raises(GatewayError) as caught:
            await discovery.search(elsewhere, port=igd.ssdp_port, schedule=brief)
    assert caught.value.code == "no-gateway"


@pytest.mark.parametrize(
    ("platform", "code"), [("darwin", "local-network-denied"), ("linux", "no-gateway")]
)
async def test_a_search_that_is_denied_in_the_terminal_too_is_an_error(
    monkeypatch: pytest.MonkeyPatch, platform: str, code: str
) -> None:
    async def denied(*_: object, **__: object) -> tuple[list[str], OSError]:
        return [], OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(ssdp, "search", denied)
    with pytest.raises(GatewayError) as caught:
        await discovery.search(HERE, platform=platform)
    assert caught.value.code == code


def test_the_program_prints_one_json_error_for_a_bad_config(stage: Stage) -> None:
    (stage.home / "config.toml").write_text("[nonsense")
    done = stage.run(sys.executable, "-P", "-m", "pairingd.discovery")
    assert json.loads(done.stdout)["error"]["code"] == "bad-config"
    assert done.stderr == ""
