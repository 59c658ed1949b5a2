"""What every test may rely on."""

from __future__ import annotations

import compileall
import contextlib
import gc
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

HERE = Path(__file__).parent

# A suite started in the background inherits an ignored SIGINT, and its children would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The suite starts thousands of Pythons, and each worker reads all tests: what was compiled is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Six times the cores: a test waits for most of its time."""
    return 6 * (os.cpu_count() or 1)


def pytest_sessionstart() -> None:
    """Compile once, for every user: what a daemon compiles is its user's alone, by its umask, and
    each program of another user would compile it again, which takes longer than all else it does.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    for package in (HERE.parent / "pairingd", HERE.parent / "pairctl"):
        compileall.compile_dir(package, quiet=2)
        for directory in package.rglob("__pycache__"):
            with contextlib.suppress(PermissionError):
                directory.chmod(0o755)
                for compiled in directory.iterdir():
                    compiled.chmod(0o644)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Each worker reads all tests. What was read stays, so no collection of garbage looks at it."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


IS_MEASURED = pytest.StashKey[bool]()
_MEASURED_OF_A_FILE = 12  # tests


@pytest.hookimpl(trylast=True)  # pytest itself sorts by what tests share
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each worker begin with its share of the tests that take seconds, and end with some of the
    many that take milliseconds, so that all workers are busy to the end. A third of them begins with
    the tests that mostly wait. The share of a worker is that of xdist's worksteal.
    """
    _mark_the_first(items)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if not workers:
        return
    waiters = (workers + 2) // 3
    kinds: dict[str, list[pytest.Item]] = {"waits": [], "network": [], "session": [], "unit": []}
    for item in items:
        kinds["waits" if item.get_closest_marker("waits") else _kind(item)].append(item)
    units = kinds["unit"]
    ordered: list[pytest.Item] = []
    left = len(items)
    for worker in range(workers):
        share = left // (workers - worker)
        left -= share
        # Those with a network wait while those with a session work, whose neighbours share a daemon.
        networks = kinds["network"][worker::workers]
        sessions = _part(kinds["session"], worker, workers)
        first = kinds["waits"][worker::waiters] if worker < waiters else []
        first += [*networks, *sessions] if worker % 2 else [*sessions, *networks]
        further = max(share - len(first), 0)
        ordered += first + units[:further]
        del units[:further]
    items[:] = ordered + units


def _mark_the_first(items: list[pytest.Item]) -> None:
    """Of each file, the first cases of its first tests."""
    tests: dict[Path, set[str]] = {}
    for item in items:
        known, name = tests.setdefault(item.path, set()), item.name.partition("[")[0]
        if name not in known and len(known) < _MEASURED_OF_A_FILE:
            known.add(name)
            item.stash[IS_MEASURED] = True


def _kind(item: pytest.Item) -> str:
    match item.path.relative_to(HERE).parts:
        case ("e2e" | "mac", *_):
            return "network"
        case (_,) | ("doctor", _):
            return "session"
        case _:
            return "unit"


def _part(items: list[pytest.Item], number: int, of: int) -> list[pytest.Item]:
    return items[len(items) * number // of : len(items) * (number + 1) // of]


logins.options += logins.QUICK


# A deadline for each example would be a timing assertion.
settings.register_profile("pairing", deadline=None)
# For a gate, which must say the same of the same code: it takes no new inputs each time.
settings.register_profile("steady", parent=settings.get_profile("pairing"), derandomize=True)
settings.load_profile("pairing")


@pytest.fixture(autouse=True)
def _measures_the_first_tests(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coverage measures the programs that the first tests of a file start, and those that several
    share: it costs each of thousands 0.1 s to start. This process it measures always.
    """
    if not request.node.stash.get(IS_MEASURED, False):
        for name in measured():
            monkeypatch.delenv(name)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """For Unix sockets: below pytest's directories their paths are too long on macOS."""
    path = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
