from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of our own, with a short path: macOS's temporary directories are too deep."""
    path = Path(tempfile.mkdtemp(prefix="pair", dir="/tmp"))
    monkeypatch.setenv("PAIRING_HOME", str(path))
    for name in ("TMUX", "TMUX_PANE", "NO_COLOR", "SSH_TTY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    yield path
    shutil.rmtree(path, ignore_errors=True)  # `uninstall` removes it


@pytest.fixture
def sock(home: Path) -> Path:
    return home / "pairingd.sock"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
