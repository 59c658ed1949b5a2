"""docs/security.md has every test that is marked as an attack, as `make attacks` would write it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import attacks
from tests.marked import ROOT, Row, Run

FIRST = Row("tests/test_a.py", "test_one", ("does this", "gets a | b"))
SECOND = Row("tests/test_a.py", "test_two", ("does that", "nothing"))


def collected() -> Run:
    tests = {FIRST: ["a::test_one[1]", "a::test_one[2]"], SECOND: ["a::test_two"]}
    return Run("attack", tests)


def written(monkeypatch: pytest.MonkeyPatch, **results: str) -> str:
    monkeypatch.setattr(attacks, "_about", lambda path: path)
    run = collected()
    run.results.update({f"a::{name}": result for name, result in results.items()})
    return attacks.document(run)


def test_the_document_has_every_marked_test_and_no_other() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == "\n", "make attacks"


def test_a_row_fails_with_one_of_its_tests_and_is_skipped_with_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skipped = "skipped: no network"
    results = {"test_one[1]": "passed", "test_one[2]": "**failed**", "test_two": skipped}
    text = written(monkeypatch, **results)
    assert "| does this | gets a \\| b | [`test_one`](../tests/test_a.py) | **failed** |" in text
    assert f"| does that | nothing | [`test_two`](../tests/test_a.py) | {skipped} |" in text
    results["test_one[2]"] = skipped
    assert "[`test_one`](../tests/test_a.py) | passed |" in written(monkeypatch, **results)
    unfinished = written(monkeypatch)
    assert "[`test_two`](../tests/test_a.py) | **failed** |" in unfinished


def test_a_row_too_few_or_too_many_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(monkeypatch, test_two="passed")
    assert attacks.differences(collected(), text) == []
    less = "\n".join(line for line in text.split("\n") if "test_two" not in line)
    (missing,) = attacks.differences(collected(), less)
    assert missing.startswith("missing: does that")
    run = collected()
    del run.rows[SECOND]
    (unknown,) = attacks.differences(run, text)
    assert unknown.startswith("no such test: does that")
    assert attacks.differences(collected(), text.replace("`pcp-map`", "`pcp`")) == [
        "the list of parsers"
    ]
