from __future__ import annotations

import pytest

from pairctl.screen import fitting

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
        (["a"], 0, 24, 1),
    ],
)
def test_only_lines_that_fit_whole_are_drawn(
    lines: list[str], columns: int, rows: int, shown: int
) -> None:
    assert fitting(lines, columns, rows) == lines[:shown]
