"""A hint runs as printed, also where every path has a space, as in `~/Library/Application Support`."""

from __future__ import annotations

import ast
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pairctl import removal
from pairctl.commands import doctor as doctor_command
from pairctl.control import client
from pairctl.services.launchd import Launchd
from pairctl.services.origin import Origin
from pairctl.services.steps import Run, perform, shown
from pairctl.tmux.session import Session
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell
from pairingd.doctor import home as doctor_home
from pairingd.doctor.machine import application_firewall
from pairingd.home import files, private
from pairingd.home.paths import find_paths
from pairingd.world.tmux import Tmux
from tests.pairctl.samples import HELLO
from tests.sources import SOURCES, parsed

PROGRAMS = (
    *("cat", "chmod", "chown", "cp", "kill", "launchctl", "ls", "mv", "pairctl", "rm", "ssh"),
    *("ssh-keygen", "sudo", "systemctl", "tmux", "usermod"),
)
# In an f-string: a program's name and words of its own, and then a value.
BEFORE_A_VALUE = re.compile(
    rf"(?:^|[\s:(\"'$])(?:{'|'.join(PROGRAMS)})((?: -{{1,2}}[\w-]+| [a-z]+-[a-z]+| go-w| \d+)*) $"
)
# What has no character that a shell would act on, and what is no word of a command.
PLAIN = re.compile(r"(\w+\.)*(pid|label|UNIT|__version__)")
PROSE = ("versions['pairctl']", "command and f'at {command}'", "argv[0]", "how_it_ended(status)")
OURS = ("line", "suggestion")  # examples of the help, and names of our own commands


def values_after_a_program(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                if BEFORE_A_VALUE.search(text):
                    yield node.lineno, ast.unparse(part.value)
                text += "…"


def test_no_command_is_printed_with_an_unquoted_value() -> None:
    unquoted = [
        f"{path}:{line}: {value}"
        for path in SOURCES
        for line, value in values_after_a_program(parsed(path))
        if not (PLAIN.fullmatch(value) or value in (*PROSE, *OURS) or value.startswith("shell("))
    ]
    assert unquoted == []


def test_an_unquoted_value_is_found() -> None:
    tree = ast.parse("f'then: chmod 700 {path}'; f'end it: tmux -S {path} kill-server'")
    assert [value for _, value in values_after_a_program(tree)] == ["path", "path"]


# The hints themselves, in such a home. `made` gives the text, the program and its words.

Made = tuple[str, str, list[str]]


def refusal_of(act: Callable[[], object]) -> PairingError:
    with pytest.raises(PairingError) as refused:
        act()
    return refused.value


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In a short path, for its sockets."""
    with tempfile.TemporaryDirectory(prefix="pair", dir="/tmp") as short:
        home = Path(short, "Application Support", "it's")
        home.mkdir(mode=0o700, parents=True)
        monkeypatch.setenv("PAIRING_HOME", str(home))
        yield home


def loose_directory(home: Path) -> Made:
    (home / "config.toml").touch()
    home.chmod(0o777)
    hint = refusal_of(lambda: files.private_directory(home)).hint
    return hint, "chmod", ["700", str(home)]


def replaceable_directory(home: Path) -> Made:
    home.chmod(0o777)
    hint = refusal_of(lambda: files.private_directory(home / "below")).hint
    return hint.partition(", or set")[0], "chmod", ["go-w", str(home)]


def writable_config(home: Path) -> Made:
    config = home / "config.toml"
    config.touch()
    config.chmod(0o666)
    hint = refusal_of(lambda: private.read_config(str(config))).hint
    return hint, "chmod", ["go-w", str(config)]


def doctor_of_the_home(home: Path) -> Made:
    log = home / "pairingd.log"
    log.touch()
    log.chmod(0o644)
    (finding,) = doctor_home._file(log, fix=False)
    return finding.hint.partition(", or")[0], "chmod", ["600", str(log)]


def tmux_in_doubt(home: Path) -> Made:
    tmux = Tmux("", home / "tmux.sock", "pairing")
    assert tmux.silent().hint == tmux.unknown().hint
    return tmux.unknown().hint, "tmux", ["-S", str(home / "tmux.sock"), "ls"]


def tmux_unwatched(home: Path) -> Made:
    tmux = Tmux("", home / "tmux.sock", "our session")
    words = ["-S", str(home / "tmux.sock"), "-C", "attach-session", "-t", "=our session"]
    return tmux.unwatched().hint, "tmux", words


def session_that_runs(home: Path) -> Made:
    path = str(home / "tmux.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        why = removal._worth_keeping(path, find_paths(), {})
    return why, "tmux", ["-S", path, "kill-server"]


def session_not_made(home: Path) -> Made:
    return with_a_tmux(home, '[ "$1" = -V ] && echo tmux 3.4'), str(home / "tmux"), ["new-session"]


def tmux_without_a_version(home: Path) -> Made:
    return with_a_tmux(home, "exit 1"), str(home / "tmux"), ["-V"]


def with_a_tmux(home: Path, script: str) -> str:
    """The hint where the session cannot be made."""
    tmux = home / "tmux"
    tmux.write_text(f"#!/bin/sh\n{script}\n")
    tmux.chmod(0o755)
    (home / "config.toml").write_text(f'[tmux]\ncommand = "{tmux}"\n')
    session = Session({**HELLO, "tmux": str(tmux), "tmux_socket": str(home / "tmux.sock")})
    hint = refusal_of(partial(session.create, print)).hint
    tmux.unlink()
    return hint


def daemon_that_is_silent(home: Path) -> Made:
    del home
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(PairingError) as caught:
        client.Client(ours, 0.01)
    command, _, _ = caught.value.hint.partition(" ends that program; then: ")
    return command, "kill", ["-9", str(os.getpid())]


def doctor_that_fails(home: Path) -> Made:
    return doctor_command._failed("fails").hint, sys.executable, [*doctor_command._PROGRAM[1:]]


def firewall_that_blocks(home: Path) -> Made:
    image = str(home / "Python.app" / "Contents" / "MacOS" / "Python")
    rules = f"Total number of apps = 1 \n1 : {image} \n             (Block incoming connections) \n"
    found = application_firewall("Firewall is enabled. (State = 1)", "", rules, image)
    tool = "/usr/libexec/ApplicationFirewall/socketfilterfw"
    return found.hint, "sudo", [tool, "--unblockapp", image]


def agent_that_is_not_loaded(home: Path) -> Made:
    origin = Origin(sys.executable, 501, str(home), find_paths(platform="darwin"), os.environ)
    (bootstrap,) = (
        step
        for step in Launchd(origin).start()
        if isinstance(step, Run) and "bootstrap" in step.argv
    )
    text = shown(bootstrap).splitlines()[0]
    assert (
        shell(*bootstrap.argv)
        in refusal_of(lambda: perform([bootstrap._replace(tries=1)], "")).message
    )
    return (
        text,
        "launchctl",
        ["bootstrap", "gui/501", f"{home}/Library/LaunchAgents/{Path(bootstrap.argv[-1]).name}"],
    )


HINTS = (
    loose_directory,
    replaceable_directory,
    writable_config,
    doctor_of_the_home,
    tmux_in_doubt,
    tmux_unwatched,
    session_that_runs,
    session_not_made,
    tmux_without_a_version,
    daemon_that_is_silent,
    doctor_that_fails,
    firewall_that_blocks,
    agent_that_is_not_loaded,
)


@pytest.mark.parametrize("hint", HINTS, ids=lambda hint: hint.__name__)
def test_a_shell_splits_a_hint_into_the_intended_words(
    hint: Callable[[Path], Made], home: Path, tmp_path: Path
) -> None:
    """The program is replaced by one that prints its words, each ended by NUL."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    environment = {"PATH": f"{stubs}:/usr/bin:/bin"}
    os.environ["PATH"], path = f"{stubs}:{os.environ['PATH']}", os.environ["PATH"]
    stub = stubs / "program"
    stub.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    stub.chmod(0o755)
    (stubs / "launchctl").symlink_to("/bin/false")
    try:
        text, program, words = hint(home)
    finally:
        os.environ["PATH"] = path
        if stat.S_IMODE(home.stat().st_mode) != 0o700:
            home.chmod(0o700)
    command = text[text.rindex(f"{shell(program)} ") :]
    if "/" in program:  # run by its path
        name = shell(program)
        command = f"program{command.removeprefix(name)}"
    else:
        (stubs / program).unlink(missing_ok=True)
        (stubs / program).symlink_to(stub)
        command = f"command {command}" if program != "kill" else f"env {command}"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, check=True, env=environment
    )
    assert done.stdout.decode().split("\0")[:-1] == words
