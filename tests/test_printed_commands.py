"""A command that is printed runs as printed: a POSIX shell makes the words of it that were meant."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairctl.tmux.session import Session
from pairingd.core.text import shell
from pairingd.core.ways import Endpoint, ssh_command
from pairingd.errors import PairingError
from pairingd.home.files import private_directory
from pairingd.replies import report
from pairingd.world.relay import refusal
from pairingd.world.sshd import HostKey
from pairingd.world.tmux import Tmux
from tests.pairctl.samples import HELLO

HOST_KEY = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5+/==", "SHA256:x")
NAMES = ("CORP\\mark", "mark@corp.example", "mark smith", "$HOME", "o'brien", '"', "`id`", "*", "ä")
HOSTS = ("203.0.113.7", "2001:db8::7", "fe80::1%eth0", "home.example.org")


@pytest.fixture(scope="module")
def stub() -> Iterator[Path]:
    """A directory with an `ssh` that prints its words, each ended by NUL."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "ssh")
        program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
        program.chmod(0o755)
        yield Path(directory)


def words(stub: Path, command: str, by: str = "sh") -> list[str]:
    """What ssh is given when a shell reads `command`."""
    done = subprocess.run(
        [by, "-c", command],
        capture_output=True,
        check=True,
        cwd=stub,
        env={"PATH": f"{stub}:/usr/bin:/bin", "HOME": "/not-this"},
    )
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("user", NAMES)
def test_the_command_leads_to_that_user_and_host(stub: Path, user: str, host: str) -> None:
    command = ssh_command(user, host, 2222)
    assert words(stub, command) == ["-p", "2222", f"{user}@{host}"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("user", NAMES)
def test_the_pinned_command_ends_as_the_command_does(stub: Path, user: str, host: str) -> None:
    *options, where = words(stub, report.pinned(user, Endpoint("router", host, 22), HOST_KEY))
    assert where == f"{user}@{host}"
    assert options[::2] == ["-o"] * 3
    assert options[1] == f"KnownHostsCommand=/bin/echo %H ssh-ed25519 {HOST_KEY.blob}"


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_word_comes_through_a_shell_unchanged(stub: Path, word: str) -> None:
    assert words(stub, shell("ssh", word, "end")) == [word, "end"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh")
@pytest.mark.parametrize("word", ["=pairing", "=our session", "=it's", "~", "a=b", "$1", "*?[x]"])
def test_zsh_reads_it_as_sh_does(stub: Path, word: str) -> None:
    assert words(stub, shell("ssh", word, "end"), "zsh") == [word, "end"]


def test_a_plain_command_is_left_unquoted() -> None:
    """People type it, and mail it."""
    assert ssh_command("mark", "203.0.113.7", 22) == "ssh mark@203.0.113.7"
    assert ssh_command("mark@corp.example", "::1", 22) == "ssh mark@corp.example@::1"


def after(hint: str, program: str) -> list[str]:
    return shlex.split(hint[hint.index(f"{program} ") :])


def test_hints_quote_paths_and_names(tmp_path: Path) -> None:
    socket = tmp_path / "a b" / "it's.sock"
    listed = ["tmux", "-S", str(socket), "ls"]
    assert after(Tmux("", socket, "pairing").unknown().hint, "tmux") == listed
    assert after(refusal(b"Permission denied", "me@a b", 22).hint, "ssh")[-1] == "me@a b"
    assert after(refusal(b"lost", "me@a b", 22).hint, "ssh") == ["ssh", "me@a b"]
    loose = tmp_path / "open & wide"
    loose.mkdir()
    loose.chmod(0o777)
    with pytest.raises(PairingError) as refused:
        private_directory(loose / "home")
    chmod = refused.value.hint.partition(", or set")[0]
    assert shlex.split(chmod) == ["chmod", "go-w", str(loose)]


def test_pairctls_own_hint_quotes_tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmux = tmp_path / "my tmux"
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{tmux}"\n')
    monkeypatch.setenv("PAIRING_HOME", str(home))
    tmux.write_text('#!/bin/sh\n[ "$1" = -V ] && echo tmux 3.4\n')
    tmux.chmod(0o755)
    session = Session({**HELLO, "tmux": str(tmux), "tmux_socket": str(tmp_path / "s")})
    with pytest.raises(PairingError) as refused:
        session.create(print)
    assert shlex.split(refused.value.hint.partition(": ")[2]) == [str(tmux), "new-session"]
