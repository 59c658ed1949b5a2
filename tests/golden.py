"""Golden files. UPDATE_GOLDEN=1 writes them again: read the difference before committing it."""

from __future__ import annotations

import os
from pathlib import Path


def is_golden(file: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
