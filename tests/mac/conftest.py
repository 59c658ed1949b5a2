"""Each test has a Mac of its own, on a network of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.network import Network, why_not
from tests.mac.machine import Mac


@pytest.fixture
def network() -> Iterator[Network]:
    """Skips where there can be no network; with PAIRING_REQUIRE_E2E set that is a failure."""
    reason = why_not()
    if reason and os.environ.get("PAIRING_REQUIRE_E2E"):
        pytest.fail(f"the bed of macOS must run here: {reason}")
    if reason:
        pytest.skip(reason)
    with Network() as network:
        yield network


@pytest.fixture
def mac(network: Network) -> Mac:
    return Mac(network)
