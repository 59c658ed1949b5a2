"""Which directories may be shared, by resolved paths and both ways."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pairingd.box.shares import here, require_readable, require_shareable, resolved
from pairingd.core.refusal import PairingError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve() / "home"
    for name in (".ssh/keys", "project/deep", ".local/bin/tools", "ours/box", ".config/gh"):
        (home / name).mkdir(parents=True)
    (home / "to-ssh").symlink_to(home / ".ssh")
    (home / "to-home").symlink_to(home)
    (home / "project" / "to-ours").symlink_to(home / "ours")
    return home


def refused(path: Path | str, home: Path) -> str:
    with pytest.raises(PairingError) as caught:
        require_shareable(resolved(str(path)), str(home), [str(home / "ours")])
    assert caught.value.code == "not-shareable"
    assert caught.value.hint.endswith(": --box DIR, or [box] write in config.toml")
    return caught.value.message


@pytest.mark.parametrize("name", ["project", "project/deep", "project/../project"])
def test_a_directory_with_nothing_secret_may_be_shared(home: Path, name: str) -> None:
    require_shareable(resolved(str(home / name)), str(home), [str(home / "ours")])


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "project/..", ".ssh", ".ssh/keys", ".config", ".config/gh", "ours", "ours/box"),
        *("to-ssh", "to-ssh/keys", "to-home", "to-home/.ssh", "project/to-ours", ".local"),
        *(".local/bin", ".local/bin/tools", ".cargo", "bin", "absent"),
    ],
)
def test_a_directory_that_holds_or_lies_in_a_secret_one_is_refused(home: Path, name: str) -> None:
    refused(home / name, home)


@pytest.mark.parametrize(
    "path",
    ["/", "/etc", "/etc/ssl", "/tmp", "/proc", "/dev", "/usr/lib", "/opt/homebrew", "/var/lib"],
)
def test_a_directory_of_the_systems_is_refused(home: Path, path: str) -> None:
    refused(path, home)


def test_a_directory_whose_name_no_script_could_hold_is_refused(home: Path) -> None:
    for name in ("\udcff", "\N{IDEOGRAPHIC SPACE}"):
        (home / name).mkdir()
    require_shareable(str(home / "\N{IDEOGRAPHIC SPACE}"), str(home), ())
    assert "is not named in UTF-8" in refused(home / "\udcff", home)
    with pytest.raises(PairingError, match="UTF-8"):
        require_readable(str(home / "\udcff"), str(home), ())


# As macOS's file system has it by itself: there letters of both cases are the same.
OTHER_NAME = """
import sys
from pairingd.box.shares import require_shareable, resolved
require_shareable(resolved(sys.argv[1]), sys.argv[2], [])
"""


@pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="mount needs root")
@pytest.mark.parametrize(
    ("mounted", "named"),
    [(".ssh", ".SSH"), (".ssh", ".SSH/keys"), (".config", ".Config"), ("", "../HOME/.ssh/keys")],
)
def test_a_secret_one_is_refused_by_another_name(home: Path, mounted: str, named: str) -> None:
    argv = [sys.executable, "-c", OTHER_NAME, str(home / named), str(home)]
    if sys.platform == "linux":
        other = home.parent / "HOME" if not mounted else home / Path(named).parts[0]
        other.mkdir()
        script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        argv = ["unshare", "-m", "sh", "-c", script, "sh", str(home / mounted), str(other), *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "cannot be shared" in done.stderr


def test_the_refusal_names_what_is_secret(home: Path) -> None:
    assert "is ~/.ssh" in refused(home / ".ssh", home)
    assert "lies in ~/.ssh" in refused(home / "to-ssh" / "keys", home)
    assert "has ~/.config/" in refused(home / ".config", home)
    assert "is not a directory" in refused(home / "absent", home)


@pytest.mark.skipif(sys.platform != "linux", reason="links that nobody may read are in /proc")
def test_a_link_that_cannot_be_followed_is_refused(home: Path) -> None:
    """Or leads to /, where we may read it; later Pythons take it for no directory."""
    with pytest.raises(PairingError) as caught:
        require_shareable(resolved("/proc/1/root"), str(home), ())
    assert caught.value.code == "not-shareable"


def test_a_secret_is_not_shown_either_and_dotfiles_and_programs_are(home: Path) -> None:
    (home / ".gitconfig").write_text("")
    (home / ".cargo" / "bin").mkdir(parents=True)
    for shown in (".gitconfig", ".cargo", ".cargo/bin", ".local/bin"):
        require_readable(str(home / shown), str(home), [])
    for secret in (home / ".ssh" / "keys", home, home / ".ssh"):
        with pytest.raises(PairingError):
            require_readable(str(secret), str(home), [])


@pytest.mark.attack(
    "the host's `[box] read` names a directory of a tool that keeps a token in it",
    "refused, and the message names the file",
)
@pytest.mark.parametrize(
    ("name", "token"),
    [
        (".config/git", ".config/git/credentials"),
        (".m2", ".m2/settings.xml"),
        (".netrc", ".netrc"),
        ("to-tokens", ".config/rclone"),
    ],
)
def test_what_holds_a_token_is_not_shown(home: Path, name: str, token: str) -> None:
    (home / "to-tokens").symlink_to(home / ".config" / "rclone")
    path = resolved(str(home / name))
    require_readable(path, str(home), [])
    (home / token).parent.mkdir(exist_ok=True)
    (home / token).touch()
    with pytest.raises(PairingError, match=f"~/{token}"):
        require_readable(path, str(home), [])


def test_the_current_directory_counts_only_within_the_places(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = home / "project" / "src"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert here(["/nowhere", str(home / "project")]) == str(inside)
    assert here(["/nowhere", str(home / "pro")]) == ""
    inside.rmdir()
    assert here([str(home / "project")]) == ""
