"""Documents that are made from a run of marked tests, and a check that they have all of them.

A marker's words say what its test shows. `make attacks` and `make reach` are made with this.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Struct, field

ROOT = Path(__file__).parent.parent
_SHOWN = 100  # characters of a reason to skip


class Row(Struct, frozen=True):
    """One marker of one test, whatever parameters the test has; the marker's words."""

    path: str
    test: str
    words: tuple[str, ...]


class Run(Struct, eq=False):
    """The pytest plugin that collects the rows and how their tests went."""

    marker: str
    rows: dict[Row, list[str]] = field(default_factory=dict)  # with the ids of its tests
    results: dict[str, str] = field(default_factory=dict)  # by test id

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # As written: pytest sorts by what tests share.
        for item in sorted(session.items, key=lambda item: item.location[:2]):
            path, _, name = item.nodeid.partition("::")
            for marker in item.iter_markers(self.marker):
                row = Row(path, name.partition("[")[0].replace("::", "."), tuple(marker.args))
                self.rows.setdefault(row, []).append(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.results[report.nodeid] = "**failed**"
        elif report.skipped:
            self.results.setdefault(report.nodeid, f"skipped: {_why(report)}")
        elif report.when == "call":
            self.results.setdefault(report.nodeid, "passed")

    def result(self, row: Row) -> str:
        """The worst of its tests; a test that did not run to its end is a failed one."""
        of_each = {self.results.get(test, "**failed**") for test in self.rows[row]}
        for result in ("**failed**", "passed"):
            if result in of_each:
                return result
        return cell(min(of_each))


class Document(Struct, frozen=True):
    """`text` is the whole of it, `differences` what it lacks, and what it has that no test shows."""

    marker: str
    file: Path
    text: Callable[[Run], str]
    differences: Callable[[Run, str], list[str]]

    def main(self, module: str, about: str | None) -> int:
        parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
        parser.add_argument("--check", action="store_true", help="whether it has every test")
        if parser.parse_args().check:
            found = self.differences(self.collected(), self.file.read_text(encoding="utf-8"))
            print("\n".join(found))
            return bool(found)
        run = self.collected()  # here: of several processes that run them, none has them all
        parallel = ("-n", "auto", "--dist", "worksteal")
        status = pytest.main([*parallel, "-m", self.marker, str(ROOT / "tests")], plugins=[run])
        if status in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            self.file.write_text(self.text(run), encoding="utf-8")
        return int(status)

    def collected(self) -> Run:
        """Every marked test of the tree, none of them run."""
        run = Run(self.marker)
        said = io.StringIO()
        only = ("--collect-only", "-q", "-m", self.marker, "-p", "no:cacheprovider")
        with contextlib.redirect_stdout(said):
            status = pytest.main([*only, str(ROOT / "tests")], plugins=[run])
        if status:
            raise SystemExit(said.getvalue())
        return run


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")[:_SHOWN]
    return "expected to fail"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def versions() -> str:
    """Of what a run was made on."""
    system = f"{platform.system()} {platform.release()}"
    with contextlib.suppress(OSError):
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    programs = [_first_word_of(*command) for command in (("ssh", "-V"), ("tmux", "-V"))]
    return ", ".join([system, *programs, f"Python {platform.python_version()}"])


def _first_word_of(*command: str) -> str:
    """What a program says it is, up to a comma; ssh says it on standard error."""
    if not shutil.which(command[0]):
        return f"no {command[0]}"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().partition(",")[0]
