"""scripts/setup where there is Homebrew and no apt-get; what it would install is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package import ROOT

TOOLS = ("cat", "cmp", "dirname", "sed", "uname")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy whose .venv is made already; on its PATH stand few programs, and `brew`."""
    for name in ("scripts/setup", "pyproject.toml", "tests/requirements.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    wanted = [
        (tmp_path / name).read_text() for name in ("pyproject.toml", "tests/requirements.txt")
    ]
    (tmp_path / ".venv" / "installed").write_text(f"{tmp_path.resolve()}\n{''.join(wanted)}")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path


def set_up(house: Path, brew: str) -> subprocess.CompletedProcess[str]:
    (house / "bin" / "brew").write_text(f"#!/bin/sh\n{brew}\n")
    (house / "bin" / "brew").chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(house / "scripts" / "setup"), "run"],
        env={"PATH": str(house / "bin"), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_brew_is_asked_for_what_it_calls_so(house: Path) -> None:
    done = set_up(house, f'echo "$@" >{house}/asked')
    assert done.returncode == 0, done.stderr
    _, _, *names = (house / "asked").read_text().split()
    assert set(names) == {"tmux", "openssh"}


def test_what_brew_cannot_install_is_named(house: Path) -> None:
    done = set_up(house, "exit 1")
    assert done.returncode == 0, done.stderr
    assert "could not install all of: tmux openssh" in done.stderr
