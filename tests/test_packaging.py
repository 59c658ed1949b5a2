"""What is packed is all that is needed and nothing else, and the formula names what is needed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.package import ROOT, build

FORMULA = ROOT / "packaging" / "homebrew" / "pairing.rb"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("dist"))


def sources(*packages: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_two_packages_and_what_they_need(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    about = {name for name in names if ".dist-info/" in name or ".data/" in name}
    templates = {f"pairctl/services/templates/{name}" for name in sources("launchd", "systemd")}
    assert names - about == sources("pairingd", "pairctl") | templates
    assert {
        "pairingd/world/forced_command/join.sh",
        "pairingd/py.typed",
        "pairctl/py.typed",
    } <= names
    told = {name.partition("/")[2] for name in about}
    assert {"licenses/LICENSE", "entry_points.txt"} <= told
    assert {"data/share/man/man1/pairctl.1", "data/share/man/man8/pairingd.8"} <= told


def test_the_manual_pages_are_found_outside_of_the_environment(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    """As `pip install --user` leaves them."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    alone = ["--no-deps", "--ignore-installed", "--prefix", str(tmp_path)]
    subprocess.run([*pip, *alone, str(built[0])], check=True)
    [packages] = tmp_path.glob("**/site-packages")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pairctl", "man", "pairingd", "--json"],
        env={**os.environ, "PYTHONPATH": str(packages)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    page = Path(json.loads(done.stdout)["page"])
    assert page == (tmp_path / "share" / "man" / "man8" / "pairingd.8").resolve()
    assert page.exists()


def test_the_sdist_has_what_it_takes_to_build_and_test(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    folders = ("pairingd", "pairctl", "launchd", "systemd", "tests", "docs", "scripts", "packaging")
    assert sources(*folders) <= names
    assert {"LICENSE", "README.md", "pyproject.toml", "Makefile"} <= names
    strangers = re.compile(r"(^|/)(\.venv|\.git|\.hypothesis|\.\w+_cache|__pycache__|dist)/")
    assert [name for name in names if strangers.search(name)] == []


def needed(
    requirements: list[str], found: set[NormalizedName] | None = None
) -> set[NormalizedName]:
    """The names of all packages that these requirements lead to."""
    found = set() if found is None else found
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if (not requirement.marker or requirement.marker.evaluate()) and name not in found:
            found.add(name)
            needed(importlib.metadata.requires(name) or [], found)
    return found


def test_the_formula_has_the_tested_versions_of_all_that_is_needed() -> None:
    pins = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").split()
    tested = {
        canonicalize_name(name): version for name, _, version in (p.partition("==") for p in pins)
    }
    resource = re.compile(
        r'resource "([\w-]+)" do\n +url ".*-([\d.]+)\.tar\.gz"\n +sha256 "\w{64}"\n'
    )
    assert dict(resource.findall(FORMULA.read_text(encoding="utf-8"))) == {
        name: tested[name] for name in needed(PROJECT["dependencies"])
    }


def test_the_formula_gives_the_daemon_as_long_to_stop_as_the_agent_does() -> None:
    agent = plistlib.loads((ROOT / "launchd" / "io.github.pairing.pairingd.plist").read_bytes())
    formula = FORMULA.read_text(encoding="utf-8")
    assert f"stop_timeout {agent['ExitTimeOut']}\n" in formula


@pytest.mark.skipif(not shutil.which("ruby"), reason="ruby is not installed")
def test_the_formula_is_ruby() -> None:
    done = subprocess.run(["ruby", "-wc", FORMULA], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Syntax OK\n", "")
