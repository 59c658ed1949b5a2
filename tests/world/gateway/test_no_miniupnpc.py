"""Without miniupnpc the router is asked by PCP and NAT-PMP alone, and what is missing is said."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from pairingd import config, strict
from pairingd.doctor import router as doctor
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import State, Subject
from pairingd.errors import GatewayError
from pairingd.world.gateway import datagram, upnp
from pairingd.world.gateway.adapter import Presence
from pairingd.world.gateway.router import Router
from tests.fakes.igd import FakeIgd
from tests.fakes.pxp import FakePxp
from tests.world.gateway.conftest import HOME, NOW, RecordedJournal, upnp_to, wanted


@pytest.fixture(params=["not installed", "gone since", "built for another Python"])
def without(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if request.param == "not installed":
        monkeypatch.setitem(sys.modules, "miniupnpc", None)
        upnp.binding.cache_clear()
        return
    if request.param == "built for another Python":
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        (tmp_path / f"miniupnpc{suffix}").write_bytes(b"not for this machine")
    monkeypatch.setattr(upnp, "binding", lambda: str(tmp_path))


def router(igd: FakeIgd, journal: RecordedJournal, *protocols: str) -> Router:
    given = {"description_url": igd.description_url, "protocols": protocols}
    return Router(strict.read(config.Router, given), journal, lambda: NOW)


@pytest.mark.usefixtures("without")
async def test_upnp_says_what_is_missing(igd: FakeIgd, journal: RecordedJournal) -> None:
    with pytest.raises(GatewayError) as caught:
        await router(igd, journal, "upnp").open(HOME, internal_port=50111, external_port=22)
    assert caught.value.code == "no-miniupnpc"
    assert "3.13" in caught.value.hint
    assert journal == {}


@pytest.mark.usefixtures("without")
async def test_the_other_protocols_go_on(
    igd: FakeIgd, journal: RecordedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakePxp(pcp=False) as gateway:
        monkeypatch.setattr(datagram.Datagrams.__init__, "__defaults__", (gateway.port,))
        home = router(igd, journal, "upnp", "pcp", "natpmp")
        mapping = await home.open(HOME, internal_port=50111, external_port=22)
        assert mapping.protocol == "natpmp"
        await home.close(mapping)
        assert gateway.held == {}


@pytest.mark.usefixtures("without")
async def test_a_mapping_made_before_is_neither_believed_gone_nor_forgotten(igd: FakeIgd) -> None:
    assert await upnp_to(igd).check(wanted()) is Presence.UNKNOWN
    with pytest.raises(GatewayError) as caught:
        await upnp_to(igd).close(wanted())
    assert caught.value.code == "no-miniupnpc"


@pytest.mark.usefixtures("without")
async def test_the_doctor_warns_of_it(igd: FakeIgd) -> None:
    settings = {"description_url": igd.description_url, "protocols": ["upnp"]}
    chosen = config.Config(router=strict.read(config.Router, settings))
    subject = Subject(None, config.Settings(chosen, ""), Daemon())
    found = {one.name: one async for one in doctor.check(subject)}
    assert found["upnp"].state is State.WARN
    assert "miniupnpc" in found["upnp"].message
