"""`make reach`: docs/reach.md, from a run of tests/e2e/test_ways_in.py.

Each of its tests has the marker `way("network", "way", "yes" or "no")`: whether a guest gets in. With
`--check` nothing is run or written: it compares the cells with the document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.marked import ROOT, Document, Run, cell, versions

HEAD = """\
# From which networks guests get in

Made by `make reach` from a run of the tests; do not edit.

Each cell is a test with a real daemon, sshd, ssh, tmux and router, in Linux network namespaces; the guest's ssh runs in the
guest's own. *yes*: the command that pairing prints gets the guest in, and with another host key, with a key that is not
invited, and after `pairctl end` it is refused. *no*: no command gets the guest in by this way, and pairing does not say that
it would, though host and guest have the internet. This run was on {versions}.

A guest on the same network as the host gets in everywhere, by the `lan` command of `pairctl status`.

"""
MEANING = """
| network | what it is |
|---|---|
"""
WAYS = """
| way | what it is |
|---|---|
"""
TAIL = """
What to set for each way: [config.md](config.md). What a router may do wrong: [routers.md](routers.md).
"""


def document(run: Run) -> str:
    head = HEAD.format(versions=versions())
    return "".join((head, *_table(run), MEANING, *_list(_networks()), WAYS, *_list(_ways()), TAIL))


def _table(run: Run) -> Iterator[str]:
    """In the order of the lists below it, whatever the order of the tests."""
    cells = {row.words[:2]: _result(run.result(row), row.words[2]) for row in run.rows}
    ways = _ways()
    yield f"| network | {' | '.join(map(cell, ways))} |\n|{'---|' * (len(ways) + 1)}\n"
    for network in _networks():
        row = (cells[network, way] for way in ways)
        yield f"| {cell(network)} | {' | '.join(row)} |\n"


def _result(of_the_run: str, opens: str) -> str:
    return opens if of_the_run == "passed" else of_the_run


def _networks() -> dict[str, str]:
    """What each of them is, by its name."""
    from tests.e2e.internet import LAYOUTS  # pytest wants to be before what these import

    return {layout.name: layout.about for layout in LAYOUTS}


def _ways() -> dict[str, str]:
    from tests.e2e.ways import WAYS

    return {way.name: way.about for way in WAYS}


def _list(meanings: dict[str, str]) -> Iterator[str]:
    for name, meaning in meanings.items():
        yield f"| {cell(name)} | {cell(meaning)} |\n"


def differences(run: Run, text: str) -> list[str]:
    """A cell that has another result than the test is named; one that was not run is not."""
    tables = text.split("\n\n")
    lines = [line for table in tables for line in table.splitlines() if line.startswith("| ")]
    rows = [[one.strip() for one in line.strip("|").split(" | ")] for line in lines]
    heads = [row for row in rows if row[0] == "network" and len(row) > 2]
    ways = heads[0][1:] if heads else []
    written = {
        (row[0], way): result
        for row in rows
        if len(row) == len(ways) + 1 and row[0] != "network"
        for way, result in zip(ways, row[1:], strict=True)
    }
    tested = {(cell(row.words[0]), cell(row.words[1])): row.words[2] for row in run.rows}
    wrong = {
        at: result
        for at, result in written.items()
        if result in {"yes", "no"} and result != tested.get(at, result)
    }
    return [
        *(f"missing: {' by '.join(at)}" for at in sorted(tested.keys() - written.keys())),
        *(f"no such test: {' by '.join(at)}" for at in sorted(written.keys() - tested.keys())),
        *(f"the test says otherwise: {' by '.join(at)}: {wrong[at]}" for at in sorted(wrong)),
        *(
            f"missing: {line.strip()}"
            for line in (*_list(_networks()), *_list(_ways()))
            if line not in text
        ),
    ]


REACH = Document("way", ROOT / "docs" / "reach.md", document, differences)

if __name__ == "__main__":
    sys.exit(REACH.main("tests.reach", __doc__))
