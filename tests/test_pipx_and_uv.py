"""The wheel and the sdist as a user installs them: by pipx or uv, out of the package index."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.package import ROOT, build

pytestmark = pytest.mark.index

NAME = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
# Nobody's router is asked, and nobody else finds the door.
CONFIG = '[router]\nenabled = false\n[door]\naddress = "127.0.0.1"\n'
# What the tools, and pairing, would otherwise take from the account of whoever runs this.
OURS = ("PAIRING_", "PIPX_", "PYTHON", "UV_TOOL_", "VIRTUAL_ENV", "XDG_")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return dict(zip(("wheel", "sdist"), build(tmp_path_factory.mktemp("dist")), strict=True))


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pipx and uv are. Skips without a package index; a failure if PAIRING_REQUIRE_INDEX."""
    venv = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--retries", "0", "--timeout", "20"]
    done = subprocess.run([*pip, "pipx", "uv"], capture_output=True, text=True, check=False)
    if done.returncode and not os.environ.get("PAIRING_REQUIRE_INDEX"):
        pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
    assert not done.returncode, done.stderr
    return venv / "bin"


class Account:
    """An empty home, and an empty PAIRING_HOME that is short enough for a socket."""

    def __init__(self, home: Path, pairing_home: Path, tools: Path) -> None:
        self.home = home
        self.pairing_home = pairing_home
        self._tools = tools
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        self._environment = {
            **inherited,
            "HOME": str(home),
            "PAIRING_HOME": str(pairing_home),
            "PATH": f"{home}/.local/bin:{os.environ['PATH']}",
            "UV_PYTHON_DOWNLOADS": "never",
        }

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            argv,
            capture_output=True,
            check=False,
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def tool(self, name: str, *argv: str) -> None:
        words = {"pipx": ("pipx",), "uv": ("uv", "tool")}[name]
        self.run(str(self._tools / words[0]), *words[1:], *argv)

    def pairctl(self, *argv: str) -> str:
        """Not as `pairctl`: the one of these tests may stand on PATH before it."""
        return self.run(f"{self.home}/.local/bin/pairctl", *argv)

    def asks(self, *argv: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.pairctl(*argv, "--json"))
        return answer

    def ours(self) -> list[Path]:
        """All that bears our name, but for what a tool has cached or logged."""
        return [
            path
            for path in self.home.rglob("pair*")
            if not {".cache", "Caches", "log", "logs"} & {*path.relative_to(self.home).parts}
        ]


@pytest.fixture
def account(tools: Path, tmp_path: Path) -> Iterator[Account]:
    pairing_home = Path(tempfile.mkdtemp(prefix="pair", dir="/tmp"))
    yield Account(tmp_path, pairing_home, tools)
    shutil.rmtree(pairing_home, ignore_errors=True)


@pytest.mark.parametrize("tool", ["pipx", "uv"])
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_pairing_can_be_installed_used_and_removed(
    kind: str, tool: str, built: dict[str, Path], account: Account
) -> None:
    account.tool(tool, "install", "--python", sys.executable, str(built[kind]))
    assert account.pairctl("--version").endswith("pairingd (not running)\n")
    assert "_pairctl_guests" in account.pairctl("completion", "bash")
    unit = account.pairctl("install", "--dry-run")
    assert str(account.home) in unit
    assert str(account.pairing_home) in unit
    assert {path.name for path in account.ours()} >= {"pairctl.1", "pairingd.8"}
    if tool == "pipx":
        assert (account.home / ".local/share/man/man1/pairctl.1").exists()

    (account.pairing_home / "config.toml").write_text(CONFIG)
    account.pairctl("start")
    try:
        settings = {one["key"]: one["value"] for one in account.asks("config")["settings"]}
        assert settings["router.enabled"] is False
    finally:
        # And not `uninstall`: a service's name is the same whatever the home.
        account.pairctl("stop")

    account.tool(tool, "uninstall", NAME)
    assert account.ours() == []


def test_the_documents_name_the_distribution() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs" / "man").iterdir()]
    named = {
        name
        for page in pages
        for name in re.findall(
            r"\b(?:pipx|uv\s+tool)\s+(?:un)?install\s+([a-z][\w-]*)",
            page.read_text(encoding="utf-8"),
        )
    }
    assert named == {NAME}
