"""`make attacks`: docs/security.md, from a run of the tests that play attacks.

Such a test has the marker `attack("what the attacker does", "what happens")`, one for each row of
the table. With `--check` nothing is run or written: it compares the rows with the document.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.marked import ROOT, Document, Row, Run, cell, versions

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
# The product as people meet it.
_FIRST = ("tests/e2e/", "tests/test_contract.py", "tests/test_one_machine.py")


def document(run: Run) -> str:
    return "".join((HEAD.format(versions=versions()), *_tables(run), FUZZ, *_parsers()))


def _tables(run: Run) -> Iterator[str]:
    paths = dict.fromkeys(row.path for row in run.rows)
    for path in sorted(paths, key=lambda path: not path.startswith(_FIRST)):
        yield f"\n## {_about(path)}\n\n| attack | outcome | test | run |\n|---|---|---|---|\n"
        for row in run.rows:
            if row.path == path:
                yield f"| {_cells(row)} | {run.result(row)} |\n"


def _cells(row: Row) -> str:
    test = f"[`{row.test}`](../{row.path})"
    return " | ".join(cell(one) for one in (*row.words, test))


def _parsers() -> Iterator[str]:
    from tests.fuzz.targets import TARGETS  # pytest wants to be before what these import

    for target in TARGETS.values():
        yield f"| `{target.name}` | {cell(target.parse.__doc__ or '')} |\n"


def differences(run: Run, text: str) -> list[str]:
    """Results are left aside."""
    lines = (line for line in text.splitlines() if line.count(" | ") == 3 and "](../" in line)
    written = {line.rpartition(" | ")[0].removeprefix("| ") for line in lines}
    marked = {_cells(row) for row in run.rows}
    return [
        *(f"missing: {row}" for row in sorted(marked - written)),
        *(f"no such test: {row}" for row in sorted(written - marked)),
        *(["the list of parsers"] if not text.endswith("".join((FUZZ, *_parsers()))) else []),
    ]


def _about(path: str) -> str:
    """The first paragraph of the test file's docstring, or else its path."""
    told = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or path
    return " ".join(told.partition("\n\n")[0].split()).removesuffix(".")


SECURITY = Document("attack", ROOT / "docs" / "security.md", document, differences)

if __name__ == "__main__":
    sys.exit(SECURITY.main("tests.attacks", __doc__))
