"""What every test may rely on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import logins
from tests.measured import measured

# A suite started in the background inherits an ignored SIGINT, and its children would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The suite starts thousands of Pythons, and each worker reads all tests: what was compiled is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Six times the cores: a test waits for most of its time."""
    return 6 * (os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)  # pytest itself sorts by what tests share
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have a third of the workers begin with the tests that mostly wait: if these came last, most
    workers would have nothing to do meanwhile. The share of a worker is that of xdist's worksteal.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if not workers:
        return
    waiters = (workers + 2) // 3
    long = [item for item in items if item.get_closest_marker("waits")]
    rest = [item for item in items if not item.get_closest_marker("waits")]
    ordered: list[pytest.Item] = []
    left = len(items)
    for worker in range(workers):
        share = left // (workers - worker)
        left -= share
        first = long[worker::waiters] if worker < waiters else []
        further = max(share - len(first), 0)
        ordered += first + rest[:further]
        del rest[:further]
    items[:] = ordered + rest


logins.options += logins.QUICK


# A deadline for each example would be a timing assertion.
settings.register_profile("pairing", deadline=None)
# For a gate, which must say the same of the same code: it takes no new inputs each time.
settings.register_profile("steady", parent=settings.get_profile("pairing"), derandomize=True)
settings.load_profile("pairing")


@pytest.fixture(autouse=True)
def _measures_a_first_case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a test with many cases, coverage measures the programs that the first one starts: it costs
    each of thousands 0.1 s to start, and the others run the same. This process it measures always.
    """
    case = getattr(request.node, "callspec", None)
    if case and any(case.indices.values()):
        for name in measured():
            monkeypatch.delenv(name)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """For Unix sockets: below pytest's directories their paths are too long on macOS."""
    path = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
