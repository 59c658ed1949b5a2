"""Imports point one way: each floor stands on those below it, and adapters do not know each other."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.measured import measured
from tests.sources import ROOT, parsed

FLOORS = (
    ("pairingd.core",),
    ("pairingd.protocol",),
    ("pairingd.errors", "pairingd.account", "pairingd.gateways", "pairingd.signals"),
    ("pairingd.home",),
    ("pairingd.machine", "pairingd.process"),
    ("pairingd.state", "pairingd.box"),
    ("pairingd.world",),
    ("pairingd.reconcile",),
    ("pairingd.replies",),
    ("pairingd.verbs",),
    ("pairingd.server",),
    ("pairingd.assembly", "pairingd.discovery"),
    ("pairingd.wiring",),
    ("pairingd.command_line",),
    ("pairingd.__main__",),
    ("pairingd.doctor",),
)
# What an adapter may know of its neighbours: the door starts sshds and reads their log.
NEIGHBOURS = {"door": {"sshd"}}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def graph(*packages: str) -> dict[str, set[str]]:
    """Which of our modules imports which others. Imports inside functions and under TYPE_CHECKING
    count too: they only hide a circle.
    """
    paths = dict(each for package in packages for each in modules(package))
    edges: dict[str, set[str]] = {}
    for name, path in paths.items():
        edges[name] = set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                edges[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                edges[name] |= inside if inside <= paths.keys() else {*inside, node.module}
        edges[name] &= paths.keys()
    return edges


def test_no_module_imports_itself_through_others() -> None:
    try:
        graphlib.TopologicalSorter(graph("pairingd", "pairctl")).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def floor(module: str) -> int | None:
    for height, names in enumerate(FLOORS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return height
    return None


def test_each_module_stands_on_a_floor() -> None:
    assert [module for module, _ in modules("pairingd") if floor(module) is None] == ["pairingd"]


def test_nothing_imports_from_a_floor_above() -> None:
    heights = {module: floor(module) for module, _ in modules("pairingd")}
    above = {
        f"{module} imports {name}"
        for module, path in modules("pairingd")
        if (own := heights[module]) is not None
        for name in imports(path)
        if (floor(name) or 0) > own
    }
    assert above == set()


def test_the_core_imports_nothing_outside_itself_that_could_do_anything() -> None:
    pure = {
        *("__future__", "base64", "binascii", "collections", "dataclasses", "enum", "functools"),
        *("hashlib", "ipaddress", "json", "math", "msgspec", "re", "shlex", "struct", "types"),
        *("typing", "unicodedata", "urllib"),
    }
    of_time = {"time", "time.gmtime"}  # which do not read the clock
    for module, path in modules("pairingd/core"):
        outside = {name.partition(".")[0] for name in imports(path) - of_time} - pure
        assert outside <= {"pairingd"}, module
        ours = {name for name in imports(path) if "pairingd" in name}
        assert all(name.startswith("pairingd.core") for name in ours), module


def test_adapters_do_not_import_each_other() -> None:
    prefix = "pairingd.world."
    for module, path in modules("pairingd/world"):
        own = module.split(".")[2] if module.count(".") > 1 else ""
        others = {
            name.removeprefix(prefix).partition(".")[0]
            for name in imports(path)
            if name.startswith(prefix)
        }
        assert others - {own} <= NEIGHBOURS.get(own, set()), module


def test_the_client_imports_only_the_allowed_modules_of_the_daemon() -> None:
    allowed = (
        *("pairctl", "pairingd.protocol.wire", "pairingd.protocol.results", "pairingd.home.paths"),
        "pairingd.protocol.confinement",
        *(
            "pairingd.machine.peer",
            "pairingd.home.disk",
            "pairingd.home.private",
            "pairingd.machine.which",
            "pairingd.core.shared_session",
        ),
        *("pairingd.core.durations", "pairingd.core.refusal", "pairingd.core.text"),
        *("pairingd.core.addresses", "pairingd.core.ports", "pairingd.core.ssh_wire"),
        *("pairingd.core.statusline", "pairingd.core.tmux_words"),
        *(
            "pairingd.gateways",
            "pairingd.state.leftovers",
            "pairingd.account",
            "pairingd.box",
            "pairingd.process.environment",
            "pairingd.process.lock",
            "pairingd.process.foreign",
            "pairingd.process.inherited",
            "pairingd.process.listeners",
            "pairingd.__version__",
        ),
    )
    strangers = {
        f"{module} imports {name}"
        for module, path in modules("pairctl")
        for name in imports(path) - {"pairingd"}
        if name.startswith("pair")
        and not any(name == good or name.startswith(good + ".") for good in allowed)
        and not any(good.startswith(name + ".") for good in allowed)
    }
    assert strangers == set()


HEAVY = {"httpx", "psutil", "daemon", "pydantic"}
SLOW = {*HEAVY, "asyncio", "dataclasses", "msgspec"}  # to import, for a command


def loaded(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    unmeasured = {name: os.environ[name] for name in os.environ.keys() - measured()}
    said = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=unmeasured,
    ).stdout
    return set(said.split())


def test_the_idle_daemon_has_not_loaded_a_heavy_module() -> None:
    assert not loaded("import pairingd.wiring") & HEAVY


def test_the_process_that_only_detaches_loads_next_to_nothing() -> None:
    light = loaded("import pairingd.command_line")
    assert not light & {*HEAVY, "asyncio", "sqlite3", "pairingd.wiring", "pairingd.home.config"}


PARTS = """
from pairingd.protocol import params
from pairingd.wiring import Clock, Path, Signals, Store, assemble, config, find_paths, verbs
paths = find_paths({{"PAIRING_HOME": {home!r}}})
store = Store.open(Path(paths.state_db), 0.0)
parts = assemble(
    *(paths, config.load(Path(paths.config)), store, Clock(), lambda: None),
    tmux_socket=Path(paths.tmux_socket),
    control_socket=lambda: Path(paths.control_socket),
    signals=Signals(),
)
"""


IDLE = f"""
import asyncio
{PARTS}
answer = verbs.call(parts, "status", params.Status(), print)
assert asyncio.run(answer)["endpoints"] == []
store.close()"""


PREPARE = f"""
import asyncio, threading
{PARTS}
async def prepared():
    await verbs.call(parts, "prepare", params.Nothing(), print)
    await parts.aside.rest()
asyncio.run(prepared())
for thread in threading.enumerate():
    if thread.name == "imports":
        thread.join()
store.close()"""


def test_prepare_loads_httpx_and_not_pydantic(short_path: Path) -> None:
    assert loaded(PREPARE.format(home=str(short_path))) & HEAVY == {"httpx"}


def test_a_status_request_makes_the_idle_daemon_load_no_heavy_module(short_path: Path) -> None:
    assert not loaded(IDLE.format(home=str(short_path))) & HEAVY


@pytest.mark.parametrize(
    "module", [name for name, _ in modules("pairctl") if name.startswith("pairctl.commands.")]
)
def test_a_command_starts_quickly_because_it_loads_little(module: str) -> None:
    assert not loaded(f"import {module}") & SLOW


def test_a_status_line_is_drawn_quickly_because_that_loads_little() -> None:
    invitation = {
        "guest": "github:octocat",
        "access": "write",
        "state": "live",
        "connections": [],
        "expires_at": "2026-11-29T12:00:00Z",
    }
    drawn = f"print(render.status_line({{'invitations': [{invitation}]}}, View.of(sys.stdout)))"
    modules = loaded(
        f"from pairctl.text import render\nfrom pairctl.text.output import View\n{drawn}"
    )
    assert "(octocat" in modules  # the output has the modules after the line
    assert not modules & SLOW
