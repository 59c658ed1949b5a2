from __future__ import annotations

import pytest

from pairctl.text.screen import cut, fitting

RED = "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize(
    ("lines", "columns", "rows", "shown"),
    [
        ([], 80, 24, 0),
        (["a", "b", "c"], 80, 3, 3),
        (["a", "b", "c"], 80, 2, 2),
        (["a", "", "c"], 80, 2, 2),
        (["x" * 81, "b"], 80, 2, 1),
        (["x" * 80, "b"], 80, 2, 2),
        ([RED, "b"], 3, 2, 2),
        (["x" * 500], 80, 2, 0),
        (["漢" * 40, "b"], 80, 2, 2),
        (["漢" * 41, "b"], 80, 2, 1),
        (["a"], 0, 24, 1),
    ],
)
def test_only_lines_that_fit_whole_are_drawn(
    lines: list[str], columns: int, rows: int, shown: int
) -> None:
    assert fitting(lines, columns, rows) == lines[:shown]


@pytest.mark.parametrize(
    ("lines", "rows", "shown"),
    [
        (["a", "b", "c"], 3, ["a", "b", "c"]),
        (["a", "b", "c"], 2, ["a", "(2 more lines)"]),
        (["x" * 81, "b", "c"], 3, ["x" * 81, "(2 more lines)"]),
        (["a", "x" * 500], 3, ["a", "(1 more line)"]),
        (["a", "b"], 1, ["(2 more lines)"]),
        ([], 1, []),
    ],
)
def test_the_last_row_says_how_many_lines_do_not_fit(
    lines: list[str], rows: int, shown: list[str]
) -> None:
    assert cut(lines, 80, rows) == shown


def test_the_sign_fits_into_a_narrow_terminal() -> None:
    assert cut(["a", "b"], 5, 1) == ["(2 mo"]
