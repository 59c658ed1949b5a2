"""Our own source files, each read once, for all tests of what they say and import."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
SOURCES: Final = sorted(
    path for package in ("pairctl", "pairingd") for path in (ROOT / package).rglob("*.py")
)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
