"""Without miniupnpc, which not every Python has, UPnP is spoken all the same."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path

import pytest

from pairingd.core.holding_events import Presence
from pairingd.errors import GatewayError
from pairingd.world.gateway.upnp import child
from tests.fakes.igd import FakeIgd, Quirk
from tests.world.gateway.conftest import HOME, free_port, upnp_to, wanted

pytestmark = pytest.mark.usefixtures("without")


@pytest.fixture(params=["not installed", "gone since", "built for another Python"])
def without(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = importlib.util.find_spec("h11")
    assert spec is not None
    assert spec.origin is not None
    (tmp_path / "h11").symlink_to(Path(spec.origin).parent)
    if request.param == "built for another Python":
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        (tmp_path / f"miniupnpc{suffix}").write_bytes(b"not for this machine")
    gone = () if request.param == "not installed" else (str(tmp_path / "gone"),)
    monkeypatch.setattr(child, "libraries", lambda: (*gone, str(tmp_path)))


async def refused(igd: FakeIgd) -> str:
    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd).open(wanted(), 600)
    return caught.value.code


async def test_a_mapping_is_made_held_and_closed(igd: FakeIgd) -> None:
    adapter = upnp_to(igd)
    assert await adapter.probe(HOME) is True
    granted = await adapter.open(wanted(), 600)
    assert (granted.external_host, igd.mappings[22].lease) == ("5.5.5.1", 600)
    assert await adapter.check(granted) is Presence.PRESENT
    await adapter.renew(granted, 600)
    await adapter.close(granted)
    assert igd.mappings == {}


async def test_nobody_else_s_mapping_is_touched(igd: FakeIgd) -> None:
    igd.add_by_hand(22, HOME.address, 22, "my ssh")
    assert await refused(igd) == "port-taken"
    igd.add_by_hand(2201, HOME.address, free_port(), "pairingd0badcafe")
    assert await upnp_to(igd).sweep(HOME, []) == 1
    assert list(igd.mappings) == [22]


async def test_what_is_no_gateway_is_told_as_it_is_with_it(igd: FakeIgd) -> None:
    igd.failing["AddPortMapping"] = 606
    assert await refused(igd) == "not-permitted"
    igd.quirks.add(Quirk.OFF_HOST_CONTROL)
    assert await refused(igd) == "router-lied"
    igd.quirks = {Quirk.NO_WAN_SERVICE}
    assert await refused(igd) == "no-gateway"
    nobody = FakeIgd(port=free_port())
    assert await refused(nobody) == "no-gateway"


@pytest.mark.parametrize("wan", ["WANIPConnection:3", "WANPPPConnection:2", "WANIPConnection:17"])
async def test_a_later_version_of_a_known_service_is_used(wan: str) -> None:
    async with FakeIgd(wan=wan) as later:
        granted = await upnp_to(later).open(wanted(), 600)
        assert await upnp_to(later).check(granted) is Presence.PRESENT
        await upnp_to(later).close(granted)
        assert later.mappings == {}
