"""`make attacks`: docs/security.md, from a run of the tests that play attacks.

Such a test has the marker `attack("what the attacker does", "what happens")`, one for each row of
the table. With `--check` nothing is run or written: it compares the rows with the document.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs" / "security.md"

HEAD = """\
# Attacks, and what happens

Made by `make attacks` from a run of the tests; do not edit. The [threat model](threat-model.md) says what is promised to
whom and where the promise ends.

Each row is an attack that a test plays, most of them with real ssh, sshd, tmux and routers. *Outcome* is what the attacker gets;
the test fails where it is anything else. *Run* is the result of the run that made this page, on
{versions}.
A row that was skipped says why: nothing was shown on that system.
"""
FUZZ = """
## Parsers of foreign bytes

`make fuzz` gives each of these at least 100,000 inputs: mutations of the seeds in `tests/fuzz/corpus/`, the same for the same
`--seed`. It fails where a parser breaks its promise, raises an error that it does not declare, takes more than a second of CPU
time for an input, or keeps memory. `make test` repeats the seeds and a few hundred mutations.

| parser | promise |
|---|---|
"""
_FIRST = ("tests/e2e/", "tests/test_one_machine.py")  # the product as people meet it
_SHOWN = 100  # characters of a reason to skip


@dataclass(frozen=True, slots=True)
class Row:
    """One marker of one test, whatever parameters the test has."""

    path: str
    test: str
    attack: str
    outcome: str

    def cells(self) -> str:
        test = f"[`{self.test}`](../{self.path})"
        return " | ".join(_cell(one) for one in (self.attack, self.outcome, test))


@dataclass(slots=True, eq=False)
class Attacks:
    """The pytest plugin that collects the rows and how their tests went."""

    rows: dict[Row, list[str]] = field(default_factory=dict)  # with the ids of its tests
    results: dict[str, str] = field(default_factory=dict)  # by test id

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            path, _, name = item.nodeid.partition("::")
            for marker in item.iter_markers("attack"):
                attack, outcome = marker.args
                row = Row(path, name.partition("[")[0].replace("::", "."), attack, outcome)
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
        return _cell(min(of_each))


def document(attacks: Attacks) -> str:
    return "".join((HEAD.format(versions=_versions()), *_tables(attacks), FUZZ, *_parsers()))


def _tables(attacks: Attacks) -> Iterator[str]:
    paths = dict.fromkeys(row.path for row in attacks.rows)
    for path in sorted(paths, key=lambda path: not path.startswith(_FIRST)):
        yield f"\n## {_about(path)}\n\n| attack | outcome | test | run |\n|---|---|---|---|\n"
        for row in attacks.rows:
            if row.path == path:
                yield f"| {row.cells()} | {attacks.result(row)} |\n"


def _parsers() -> Iterator[str]:
    from tests.fuzz.targets import TARGETS  # pytest wants to be before what these import

    for target in TARGETS.values():
        yield f"| `{target.name}` | {_cell(target.parse.__doc__ or '')} |\n"


def differences(attacks: Attacks, text: str) -> list[str]:
    """What the document lacks, and what it has that no test shows; results are left aside."""
    lines = (line for line in text.splitlines() if line.count(" | ") == 3 and "](../" in line)
    written = {line.rpartition(" | ")[0].removeprefix("| ") for line in lines}
    marked = {row.cells() for row in attacks.rows}
    return [
        *(f"missing: {row}" for row in sorted(marked - written)),
        *(f"no such test: {row}" for row in sorted(written - marked)),
        *(["the list of parsers"] if not text.endswith("".join((FUZZ, *_parsers()))) else []),
    ]


def collected() -> Attacks:
    """Every marked test of the tree, none of them run."""
    attacks = Attacks()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(
            ["--collect-only", "-q", "-m", "attack", "-p", "no:cacheprovider", str(ROOT / "tests")],
            plugins=[attacks],
        )
    if status:
        raise SystemExit(said.getvalue())
    return attacks


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--check", action="store_true", help="whether the document has every row")
    if parser.parse_args().check:
        found = differences(collected(), FILE.read_text(encoding="utf-8"))
        print("\n".join(found))
        return bool(found)
    attacks = collected()  # here: of several processes that run them, none has them all
    parallel = ("-n", "auto", "--dist", "worksteal")
    status = pytest.main([*parallel, "-m", "attack", str(ROOT / "tests")], plugins=[attacks])
    if status in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        FILE.write_text(document(attacks), encoding="utf-8")
    return int(status)


def _about(path: str) -> str:
    """The first paragraph of the test file's docstring, or else its path."""
    told = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or path
    return " ".join(told.partition("\n\n")[0].split()).removesuffix(".")


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")[:_SHOWN]
    return "expected to fail"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _versions() -> str:
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


if __name__ == "__main__":
    sys.exit(main())
