"""Whether a place is ours alone, judged before anything is made in it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pairingd.errors import Misconfigured
from pairingd.home import private
from tests.stage import ROOT

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory of ours that other users can enter: pytest's own are closed to them."""
    path = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def refused(look: Callable[[str], object], path: Path) -> str:
    with pytest.raises(Misconfigured) as caught:
        look(str(path))
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value.code


def test_a_path_is_resolved_as_the_kernel_does(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "to-a").symlink_to("a")
    (tmp_path / "to-b").symlink_to(tmp_path / "to-a" / "b")
    for way in ("to-b", "a/../to-a/./b", "to-b/../b", "a//b/"):
        status = private.find(f"{tmp_path}/{way}")
        assert status is not None
        assert status.st_ino == (tmp_path / "a" / "b").stat().st_ino
    (tmp_path / "dangling").symlink_to("nowhere")
    for way in ("absent", "absent/below", "dangling", "a/absent"):
        assert private.find(f"{tmp_path}/{way}") is None


def test_a_relative_path_is_resolved_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert private.find("here") is not None
    assert private.find("there") is None


@pytest.mark.parametrize("file", ["/dev/null", "file"])
def test_what_is_below_a_file_is_an_error_of_the_system(tmp_path: Path, file: str) -> None:
    """And no reason to take others' permissions from that file."""
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o666)
    with pytest.raises(NotADirectoryError):
        private.find(str(tmp_path / file / "below"))


def test_links_in_a_circle_are_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        private.find(str(tmp_path / "a"))


@as_root
@pytest.mark.parametrize("below", ["", "absent", "made", "made/absent"])
def test_a_path_in_another_users_directory_is_refused(tmp_path: Path, below: str) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "made").mkdir(parents=True)
    os.chown(theirs, NOBODY, NOBODY)
    assert refused(private.find, theirs / below) == "unsafe-home"
    (tmp_path / "link").symlink_to(theirs)
    assert refused(private.find, tmp_path / "link" / below) == "unsafe-home"


@as_root
def test_another_users_link_is_refused_anywhere_in_a_path(tmp_path: Path) -> None:
    """The first is ours and leads to theirs, which leads back to what is ours."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "second").symlink_to("mine")
    os.lchown(tmp_path / "second", NOBODY, NOBODY)
    (tmp_path / "first").symlink_to("second")
    assert refused(private.find, tmp_path / "first") == "unsafe-home"
    assert refused(private.find, tmp_path / "first" / "absent") == "unsafe-home"


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o733])
def test_a_path_that_others_could_replace_is_refused_whether_it_exists_or_not(
    tmp_path: Path, mode: int
) -> None:
    (tmp_path / "open" / "home").mkdir(parents=True)
    (tmp_path / "open").chmod(mode)
    assert refused(private.find, tmp_path / "open" / "home") == "unsafe-home"
    assert refused(private.find, tmp_path / "open" / "absent") == "unsafe-home"
    (tmp_path / "open").chmod(0o1777)  # as /tmp is: nobody can replace what is another's
    assert private.find(str(tmp_path / "open" / "home"))
    assert private.find(str(tmp_path / "open" / "absent")) is None


@as_root
def test_roots_directory_may_be_in_a_path_but_is_no_home_for_another_user(public: Path) -> None:
    (public / "roots").mkdir(mode=0o755)
    script = "import sys; private.{}(sys.argv[1])"
    for look, code in (("find", 0), ("find_directory", 1)):
        done = as_user(script.format(look), str(public / "roots"))
        assert done.returncode == code, done.stderr
    assert "belongs to another user" in done.stderr


def test_a_directory_that_all_users_share_is_no_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert refused(private.find_directory, tmp_path) == "unsafe-home"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def as_user(script: str, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A Python script as the user and group 4711, after the shell's words `before` as root, in a
    mount namespace of its own.
    """
    become = (
        "import grp, os, pwd, shlex; from pairingd.home import private\n"  # others may not read Python
        "os.setgroups([]); os.setgid(4711); os.setuid(4711)"
    )
    return subprocess.run(
        [
            *("unshare", "-m", "sh", "-ec", f'{before}\nexec "$0" -c "$@"'),
            *(sys.executable, f"{become}\n{script}", *words),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


GROUPS = {
    "nobody else": ("alice:x:4711:", True),
    "ourselves": ("alice:x:4711:alice", True),
    "ourselves and root": ("alice:x:4711:alice,root", True),
    "another member": ("alice:x:4711:bob", False),
    "somebody unknown": ("alice:x:4711:mallory", False),
    "another name": ("staff:x:4711:", False),
    "another user's primary group": ("alice:x:4711:", False),
    "no name": ("", False),
}


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces")
@pytest.mark.attack(
    "another member of the host's own group replaces a file that the group may write",
    "pairing refuses the directory and the file",
)
@pytest.mark.parametrize("who", GROUPS)
def test_a_group_is_private_only_while_it_has_no_other_member(public: Path, who: str) -> None:
    group, is_private = GROUPS[who]
    bobs = 4711 if who.startswith("another user's") else 4712
    (public / "passwd").write_text(
        f"root:x:0:0::/:/bin/sh\nalice:x:4711:4711::/:/bin/sh\nbob:x:4712:{bobs}::/:/bin/sh\n"
    )
    (public / "group").write_text(f"root:x:0:\n{group}\n")
    for name in ("passwd", "group"):
        (public / name).chmod(0o644)
    home = public / "home"
    (home / "below").mkdir(parents=True)
    config = public / "config.toml"
    config.write_text("")
    for path in (home, config):
        os.chown(path, 4711, 4711)
        path.chmod(0o775)
    mounts = "\n".join(f"mount --bind {public}/{name} /etc/{name}" for name in ("passwd", "group"))
    script = (
        "import sys\n"
        "for look, path in ((private.find, sys.argv[1]), (private.read_config, sys.argv[2])):\n"
        "    try: look(path); print('fine')\n"
        "    except private.Misconfigured as error: print(error.code)"
    )
    done = as_user(script, str(home / "below"), str(config), before=mounts)
    expected = "fine\nfine\n" if is_private else "unsafe-home\nunsafe-config\n"
    assert done.stdout == expected, done.stderr


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="Linux's access control lists")
def test_an_access_control_list_is_as_good_as_a_group_with_other_members(tmp_path: Path) -> None:
    """acl(5): a file of root's group, which user 4712 may write; as setfacl writes it."""
    if sys.platform != "linux":
        pytest.skip("macOS has access control lists of another kind")
    config = tmp_path / "config.toml"
    config.write_text("")
    config.chmod(0o664)
    assert private.read_config(str(config)) == b""
    entries = (
        (0x01, 6, 0xFFFFFFFF),  # owner
        (0x02, 6, 4712),  # that user
        (0x04, 4, 0xFFFFFFFF),  # group
        (0x10, 6, 0xFFFFFFFF),  # mask
        (0x20, 4, 0xFFFFFFFF),  # others
    )
    value = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + mode.to_bytes(2, "little") + uid.to_bytes(4, "little")
        for tag, mode, uid in entries
    )
    try:
        os.setxattr(config, "system.posix_acl_access", value)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert refused(private.read_config, config) == "unsafe-config"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444, 0o400, 0o755])
def test_a_config_that_others_can_only_read_is_read_and_left_as_it_is(
    tmp_path: Path, mode: int
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("x")
    config.chmod(mode)
    assert private.read_config(str(config)) == b"x"
    assert stat.S_IMODE(config.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o666, 0o622, 0o606, 0o602])
def test_a_config_that_others_can_write_is_refused_and_left_as_it_is(
    tmp_path: Path, mode: int
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("x")
    config.chmod(mode)
    if mode & 0o002 == 0:
        os.chown(config, os.getuid(), NOBODY)
    assert refused(private.read_config, config) == "unsafe-config"
    assert stat.S_IMODE(config.stat().st_mode) == mode
    link = tmp_path / "link.toml"
    link.symlink_to(config)
    assert refused(private.read_config, link) == "unsafe-config"


@as_root
def test_a_config_of_another_user_is_refused_and_so_is_a_link_to_it(tmp_path: Path) -> None:
    theirs, link, their_link = (tmp_path / name for name in ("theirs", "link", "their-link"))
    theirs.write_text("x")
    os.chown(theirs, NOBODY, NOBODY)
    link.symlink_to(theirs)
    their_link.symlink_to(tmp_path / "mine")
    (tmp_path / "mine").write_text("x")
    os.lchown(their_link, NOBODY, NOBODY)
    for path in (theirs, link, their_link):
        assert refused(private.read_config, path) == "unsafe-home"


def test_a_config_reached_by_a_link_of_ones_own_is_read(tmp_path: Path) -> None:
    """As those keep it who have their configuration in a repository."""
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "dotfiles" / "pairing.toml").write_text("x")
    (tmp_path / "config.toml").symlink_to("dotfiles/pairing.toml")
    assert private.read_config(str(tmp_path / "config.toml")) == b"x"
    (tmp_path / "dotfiles").chmod(0o777)
    assert refused(private.read_config, tmp_path / "config.toml") == "unsafe-home"
