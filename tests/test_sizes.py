"""Small files with one job: no file over 400 lines, no class over 250."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST_FILE, LONGEST_CLASS = 400, 250


def too_long(path: Path) -> Iterator[str]:
    text = path.read_text()
    if (lines := len(text.splitlines())) > LONGEST_FILE:
        yield f"{path.relative_to(ROOT)}: {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > LONGEST_CLASS:
                yield f"{path.relative_to(ROOT)}: class {node.name}, {lines} lines"


def test_no_file_and_no_class_is_too_long() -> None:
    paths = [path for name in ("pairingd", "pairctl") for path in (ROOT / name).rglob("*.py")]
    assert [line for path in sorted(paths) for line in too_long(path)] == []
