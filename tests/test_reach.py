"""docs/reach.md names every network and every way, as `make reach` would write them."""

from __future__ import annotations

import subprocess
import sys

from tests import reach
from tests.e2e.internet import LAYOUTS
from tests.e2e.ways import WAYS
from tests.marked import ROOT, Row, Run


def as_tested() -> Run:
    run = Run("way")
    for layout in LAYOUTS:
        for way in WAYS:
            opens = "yes" if layout.name in way.opens else "no"
            row = Row("tests/e2e/test_ways_in.py", "test_it", (layout.name, way.name, opens))
            run.rows[row] = [f"{layout.name}/{way.name}"]
            run.results[f"{layout.name}/{way.name}"] = "passed"
    return run


def test_the_document_has_every_network_and_every_way() -> None:
    check = [sys.executable, "-m", "tests.reach", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == "\n", "make reach"


def test_a_missing_network_way_or_cell_is_named() -> None:
    run = as_tested()
    text = reach.document(run)
    assert reach.differences(run, text) == []
    less = "".join(line for line in text.splitlines(keepends=True) if "| office |" not in line)
    found = reach.differences(run, less)
    assert "missing: office by PCP" in found
    assert len(found) == len(WAYS) + 1  # and what an office is
    row = next(row for row in run.rows if row.words[:2] == ("NAT", "UPnP"))
    del run.rows[row]
    assert reach.differences(run, text) == ["no such test: NAT by UPnP"]


def test_a_cell_has_the_result_of_the_run() -> None:
    run = as_tested()
    text = reach.document(run)
    run.results["NAT/UPnP"] = "**failed**"
    failed = reach.document(run)
    assert failed != text
    assert "**failed**" in failed
    assert reach.differences(run, failed) == []
    assert reach.differences(run, text.replace("| yes |", "| no |")) != []
