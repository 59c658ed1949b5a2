"""scripts/setup: Homebrew, whose packages are not installed; and a .venv that is whole or not there."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package import ROOT
from tests.waiting import WAIT_S

TOOLS = ("cat", "cmp", "dirname", "grep", "mv", "rm", "sed", "uname")
# A project that pip installs without a package index, with one command.
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "thing"
version = "1"
"""
BACKEND = """
import zipfile

def build_editable(directory, settings=None, metadata=None):
    about = "thing-1.dist-info"
    with zipfile.ZipFile(f"{directory}/thing-1-py3-none-any.whl", "w") as wheel:
        fields = "Metadata-Version: 2.1\\nName: thing\\nVersion: 1\\nProvides-Extra: dev\\n"
        wheel.writestr(f"{about}/METADATA", fields)
        tag = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{about}/WHEEL", tag)
        wheel.writestr(f"{about}/entry_points.txt", "[console_scripts]\\nthing = platform:node\\n")
        wheel.writestr(f"{about}/RECORD", "")
    return "thing-1-py3-none-any.whl"
"""
# Debian's Python without python3-venv: an environment is begun, and has no pip.
INCOMPLETE = """#!/bin/sh
case "$*" in
  *ensurepip*) exit 1 ;;
  "-m venv "*) {python} -m venv --without-pip "$3"; exit 1 ;;
esac
exec {python} "$@"
"""


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


def test_brew_is_asked_for_tmux_and_openssh(house: Path) -> None:
    done = set_up(house, f'echo "$@" >{house}/asked')
    assert done.returncode == 0, done.stderr
    _, _, *names = (house / "asked").read_text().split()
    assert set(names) == {"tmux", "openssh"}


def test_packages_that_brew_cannot_install_are_named(house: Path) -> None:
    done = set_up(house, "exit 1")
    assert done.returncode == 0, done.stderr
    assert "could not install all of: tmux openssh" in done.stderr


@pytest.fixture
def bare(house: Path) -> Path:
    """Without a .venv, and with a project that needs no package index."""
    shutil.rmtree(house / ".venv")
    (house / "pyproject.toml").write_text(PROJECT)
    (house / "backend.py").write_text(BACKEND)
    (house / "incomplete").write_text(INCOMPLETE.format(python=sys.executable))
    (house / "incomplete").chmod(0o755)
    return house


def make(
    house: Path, python: str = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(house / "scripts" / "setup")],
        env={"PATH": str(house / "bin"), "PYTHON": python, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * WAIT_S,  # ten seconds of work on an idle machine
    )


def test_the_python_that_is_named_is_used_or_none(bare: Path) -> None:
    (bare / "bin" / "python3").symlink_to(sys.executable)
    done = make(bare, "python3.99")
    assert (done.returncode, "python3.99" in done.stderr) == (1, True)
    assert not list(bare.glob(".venv*"))


@pytest.mark.parametrize("apt", [True, False])
def test_without_ensurepip_it_stops_with_the_line_that_helps(bare: Path, apt: bool) -> None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if apt:
        (bare / "bin" / "apt-get").symlink_to("/bin/false")
        (bare / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
        (bare / "bin" / "id").chmod(0o755)
    done = make(bare, str(bare / "incomplete"))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert (f"apt-get install {version}-venv" if apt else "set PYTHON to a Python with") in last
    assert len(done.stderr.splitlines()) <= 2
    assert not list(bare.glob(".venv*"))


def test_a_pip_that_installs_for_the_user_elsewhere_fills_the_environment(bare: Path) -> None:
    (bare / "pip.conf").write_text("[install]\nuser = true\n")
    done = make(bare, PIP_CONFIG_FILE=str(bare / "pip.conf"))
    assert done.returncode == 0, done.stderr
    assert (bare / ".venv" / "bin" / "thing").exists()


def test_an_environment_that_is_not_whole_is_replaced_by_one_that_is(bare: Path) -> None:
    """As a killed or earlier scripts/setup has left it. From then on its pip is enough."""
    subprocess.run([bare / "incomplete", "-m", "venv", bare / ".venv"], check=False)
    (bare / ".venv.new" / "bin").mkdir(parents=True)
    assert (bare / ".venv" / "bin" / "python").exists()
    done = make(bare)
    assert done.returncode == 0, done.stderr
    assert not (bare / ".venv.new").exists()
    scripts = [path for path in (bare / ".venv" / "bin").iterdir() if not path.is_symlink()]
    assert {"thing", "pip", "activate"} <= {path.name for path in scripts}
    assert [path.name for path in scripts if b".venv.new" in path.read_bytes()] == []
    pip = [str(bare / ".venv" / "bin" / "pip"), "--version"]
    assert f"{bare}/.venv/" in subprocess.check_output(pip, text=True)
    assert make(bare).stderr == "", "nothing is done again"

    (bare / "pyproject.toml").write_text(f"{PROJECT}# changed\n")
    done = make(bare, str(bare / "incomplete"))
    assert done.returncode == 0, done.stderr
    assert "changed" in (bare / ".venv" / "installed").read_text()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_a_checkout_may_have_a_space_in_its_path(tmp_path: Path) -> None:
    checkout = tmp_path / "a b"
    checkout.mkdir()
    shutil.copy(ROOT / "Makefile", checkout)
    done = subprocess.run(
        ["make", "--dry-run", "measured", "floor"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    commands = [shlex.split(line)[:2] for line in done.stdout.splitlines() if "COVERAGE" in line]
    assert commands
    for setting, program in commands:
        assert setting == f"COVERAGE_FILE={checkout}/build/coverage/data"
        assert program == ".venv/bin/python"
