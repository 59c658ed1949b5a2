"""Each test has a network of its own (0.3 s), so that none sees what another left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.account_machine import NEEDS, Machine
from tests.e2e.network import PATH, Network, why_not
from tests.e2e.people import Guest, Host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = f"{Path(__file__).parent}/"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def machine() -> None:
    """Skips where there can be no network; with PAIRING_REQUIRE_E2E set that is a failure."""
    reason = why_not()
    if reason and os.environ.get("PAIRING_REQUIRE_E2E"):
        pytest.fail(f"the end-to-end tests must run here: {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture
def network(machine: None, request: pytest.FixtureRequest) -> Iterator[Network]:
    """Arguments of Network come by indirect parametrization."""
    with Network(**getattr(request, "param", {})) as network:
        yield network


@pytest.fixture
def host(network: Network) -> Host:
    return Host(network, network.host)


@pytest.fixture
def octocat(network: Network, host: Host) -> Guest:
    return Guest(network, "octocat")


@pytest.fixture
def hubot(network: Network, host: Host) -> Guest:
    return Guest(network, "hubot")


@pytest.fixture
def machine_of_its_own(network: Network) -> Machine:
    missing = [tool for tool in NEEDS if not shutil.which(tool, path=PATH)]
    if missing and not os.environ.get("PAIRING_REQUIRE_E2E"):
        pytest.skip(f"not installed: {' '.join(missing)}")
    return Machine(network)


@pytest.fixture
def machine_with_account(machine_of_its_own: Machine) -> Machine:
    machine_of_its_own.sudo("create")
    return machine_of_its_own
