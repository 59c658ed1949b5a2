"""Another user's socket, another user's home: what pairing meets there gets nothing and runs nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stage import ROOT, until
from tests.test_box_path import PROGRAMS

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as two users")

NOBODY = 65534
# Listens as another user at argv[1], which root has bound for it where it could not itself. Names
# the program argv[2] as tmux, and notes in argv[3] what it hears.
LISTENER = """
import json, os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
heard = open(sys.argv[3], "ab", buffering=0)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
listener.listen(64)  # unix(7): from here on the peer's credentials are these
print("ready", flush=True)
hello = {"version": "0.1.0", "protocol": 1, "pid": 1, "session": "pairing", "tmux": sys.argv[2],
         "tmux_socket": sys.argv[1] + ".tmux"}
while True:
    connection, _ = listener.accept()
    try:
        connection.sendall(json.dumps({"id": 1, "result": hello}).encode() + b"\\n")
        while said := connection.recv(65536):
            heard.write(said)
            connection.sendall(json.dumps({"id": 2, "result": {}}).encode() + b"\\n")
    except OSError:
        pass
"""
USUAL = {"HOME": "/nonexistent", "TERM": "dumb", "SHELL": "/bin/sh", "LANG": "C.UTF-8"}
COMMANDS = (
    *("status", "status --watch --json", "invite octocat", "invite --show octocat", "attach"),
    *("extend octocat 1h", "revoke octocat", "role octocat read", "end", "log --follow", "receipt"),
    *("config", "start", "stop", "restart", "uninstall", "complete-guests o", "--version"),
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of root's that everybody can enter."""
    path = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Attacker:
    """Another user, who listens where a daemon would. `heard` is what was said to them, `ran` is
    there once a program of theirs has run.
    """

    def __init__(self, place: Path, directory: Path) -> None:
        self.directory = directory
        self._heard, self._ran = place / "heard", place / "ran"
        self._heard.touch()
        program = place / "tmux"
        program.write_text(f"#!/bin/sh\ntouch {self._ran}\nexit 1\n")
        program.chmod(0o755)
        words = (str(directory / "pairingd.sock"), str(program), str(self._heard))
        self.process = subprocess.Popen(
            [sys.executable, "-c", LISTENER, *words], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def has_nothing(self) -> None:
        assert self._heard.read_bytes() == b""
        assert not self._ran.exists()


@pytest.fixture(params=["their directory", "a shared directory", "our directory"])
def attacker(place: Path, request: pytest.FixtureRequest) -> Iterator[Attacker]:
    directory = place / "home"
    directory.mkdir()
    if request.param == "their directory":
        os.chown(directory, NOBODY, NOBODY)
    directory.chmod({"a shared directory": 0o1777}.get(request.param, 0o700))
    attacker = Attacker(place, directory)
    yield attacker
    attacker.process.kill()
    attacker.process.communicate()


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        env={**kept, "HOME": "/nonexistent", "TERM": "dumb", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.attack(
    "another user listens where pairctl looks for its daemon, and names a program as tmux",
    "pairctl neither says nor reads a byte, runs nothing, and says who listens",
)
def test_no_command_exchanges_a_byte_with_another_users_daemon(attacker: Attacker) -> None:
    for command in COMMANDS:
        done = run("pairctl", *command.split(), "--json", PAIRING_HOME=str(attacker.directory))
        attacker.has_nothing()
        assert sorted(path.name for path in attacker.directory.iterdir()) == ["pairingd.sock"]
        answer = json.loads(done.stdout)
        if command == "--version":
            assert answer["pairingd"] is None
        elif command.startswith("complete-guests"):
            assert answer == {"guests": []}
        else:
            assert done.returncode == 3, command
            assert answer["error"]["code"] in {"foreign-daemon", "unsafe-home"}, command
            assert answer["error"]["hint"]


@pytest.mark.attack(
    "a stray XDG_RUNTIME_DIR of another user, as su leaves it, with a socket in it",
    "pairctl says nothing to it and starts nothing there",
)
@pytest.mark.parametrize("command", ["status", "invite octocat", "attach"])
def test_another_users_runtime_directory_is_refused(place: Path, command: str) -> None:
    runtime = place / "run"
    (runtime / "pairing").mkdir(parents=True)
    os.chown(runtime, NOBODY, NOBODY)
    (place / "root").mkdir(mode=0o700)
    attacker = Attacker(place, runtime / "pairing")
    try:
        environment = {"HOME": str(place / "root"), "XDG_RUNTIME_DIR": str(runtime)}
        done = run("pairctl", *command.split(), **environment)
        attacker.has_nothing()
    finally:
        attacker.process.kill()
        attacker.process.communicate()
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {runtime} belongs to another user\nhint: ")
    assert list((place / "root").iterdir()) == []


def test_the_doctor_does_not_ask_another_users_daemon(attacker: Attacker) -> None:
    program = (
        "from pairingd.doctor import __main__ as doctor; "
        "doctor.CHECKS = doctor.CHECKS[:1]; doctor.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PAIRING_HOME": str(attacker.directory)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    attacker.has_nothing()
    found = {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert found["daemon"]["state"] != "ok"
    assert "not asked: " in found["daemon"]["message"]


@pytest.fixture(params=["home", "home/.config", "home/.local/state"])
def anothers_home(place: Path, request: pytest.FixtureRequest) -> Path:
    """Up to where the fixture's parameter says it is there already."""
    home = place / "home"
    (place / request.param).mkdir(parents=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return home


@pytest.mark.attack(
    "sudo with the user's HOME",
    "nothing is made in that home, which is not root's",
)
@pytest.mark.parametrize(
    "words",
    [
        *(("pairingd",), ("pairingd", "--detach"), ("pairingd", "--launchd")),
        *(("pairctl", "start"), ("pairctl", "invite", "octocat"), ("pairctl", "install")),
    ],
    ids=" ".join,
)
def test_root_makes_nothing_in_another_users_home(
    anothers_home: Path, words: tuple[str, ...]
) -> None:
    before = sorted(anothers_home.rglob("*"))
    done = run(*words, HOME=str(anothers_home))
    assert done.returncode in {1, 3}
    if words != ("pairctl", "install"):  # no service manager may be here
        assert "belongs to another user" in done.stderr
        assert "\nhint: run it as that user, without sudo" in done.stderr
    assert sorted(anothers_home.rglob("*")) == before


def test_a_service_is_not_written_into_another_users_home(anothers_home: Path) -> None:
    from pairctl.services.steps import Directory, Write, perform
    from pairingd.errors import Misconfigured

    before = sorted(anothers_home.rglob("*"))
    for step in (
        Directory(f"{anothers_home}/Library/Logs/pairing"),
        Write(f"{anothers_home}/.config/systemd/user/pairingd.service", "x"),
    ):
        with pytest.raises(Misconfigured):
            perform([step], "")
    assert sorted(anothers_home.rglob("*")) == before


@pytest.mark.parametrize("words", [("pairingd",), ("pairingd", "--detach"), ("pairctl", "start")])
def test_a_shared_directory_named_as_home_keeps_its_mode(
    place: Path, words: tuple[str, ...]
) -> None:
    """As root with PAIRING_HOME=/tmp."""
    shared = place / "tmp"
    shared.mkdir()
    (shared / "of-somebody").touch()
    shared.chmod(0o1777)
    done = run(*words, PAIRING_HOME=str(shared))
    assert done.returncode in {1, 3}
    assert f"{shared} is a directory that all users share" in done.stderr
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert [path.name for path in shared.iterdir()] == ["of-somebody"]


@pytest.mark.attack(
    "a config.toml that other users can write names a program as sshd or tmux",
    "daemon, pairctl and doctor refuse the file and run nothing that it names",
)
@pytest.mark.parametrize("program", ["pairingd", "pairingd.doctor", "pairingd.discovery"])
def test_a_config_that_others_can_write_is_refused(place: Path, program: str) -> None:
    home, ran, evil = place / "home", place / "ran", place / "evil"
    home.mkdir(mode=0o700)
    evil.write_text(f"#!/bin/sh\ntouch {ran}\n")
    evil.chmod(0o755)
    config = home / "config.toml"
    config.write_text(f'[sshd]\ncommand = "{evil}"\n[tmux]\ncommand = "{evil}"\n')
    config.chmod(0o666)
    if program == "pairingd.doctor":
        script = (
            "from pairingd.doctor import __main__ as doctor, programs; "
            "doctor.CHECKS = tuple(one for one in doctor.CHECKS if one.name in ('tmux', 'sshd')); "
            "doctor.main()"
        )
        words = ("-c", script)
    else:
        words = ("-m", program)
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PAIRING_HOME": str(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"other users can write {config} (mode 666)" in done.stdout + done.stderr
    assert done.returncode == (1 if program == "pairingd" else 0)
    assert not ran.exists()
    assert stat.S_IMODE(config.stat().st_mode) == 0o666


def test_a_config_that_became_writable_is_refused_and_its_tmux_is_not_run(place: Path) -> None:
    home, ran, evil = place / "home", place / "ran", place / "evil"
    home.mkdir(mode=0o700)
    evil.write_text(f"#!/bin/sh\ntouch {ran}\n")
    evil.chmod(0o755)
    environment = {"PAIRING_HOME": str(home)}
    assert run("pairctl", "start", **environment).returncode == 0
    try:
        config = home / "config.toml"
        config.write_text(f'[tmux]\ncommand = "{evil}"\n')
        config.chmod(0o666)
        for words in (("attach",), ("invite", "octocat")):
            done = run("pairctl", *words, **environment)
            assert done.returncode == 1
            assert f"other users can write {config}" in done.stderr
    finally:
        run("pairctl", "stop", **environment)
    until(lambda: not (home / "pairingd.sock").exists(), "the daemon has ended")
    assert not ran.exists()


@pytest.mark.attack(
    "another user lays programs in the directory where pairctl runs, and PATH has `.` in it",
    "neither pairctl nor pairingd runs one of them",
)
@pytest.mark.parametrize("path", [".:/usr/bin:/bin", "/usr/bin:/bin:", "bin/..:/usr/bin:/bin"])
def test_no_program_is_looked_for_in_the_working_directory(place: Path, path: str) -> None:
    home, ran, here = place / "home", place / "ran", place / "here"
    home.mkdir(mode=0o700)
    (here / "bin").mkdir(parents=True)
    ran.touch()
    ran.chmod(0o666)
    for name in PROGRAMS.split():
        (here / name).write_text(f'#!/bin/sh\necho "$0" >>{ran}\nexec /usr/bin/{name} "$@"\n')
        (here / name).chmod(0o755)
    for laid in (*here.iterdir(), here):
        os.chown(laid, NOBODY, NOBODY)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1q4V4QkyhTVMHnxvfVyVJsDqOY0c1fO0m4GOj2jY1p"
    (home / "config.toml").write_text("[router]\nenabled = false\n[host]\nnotify = true\n")

    def pairctl(*words: str) -> int:
        return subprocess.run(
            [sys.executable, "-P", "-m", "pairctl", *words],
            env={**USUAL, "PAIRING_HOME": str(home), "PATH": path},
            cwd=here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode

    try:
        assert pairctl("invite", f"key:{key}") == 0
        shown = subprocess.run(
            ["tmux", "-S", str(home / "tmux.sock"), "show-environment", "-g", "PATH"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout == f"PATH={path}\n"  # the session's shells have the user's own
        pairctl("doctor")
        pairctl("look", "127.0.0.1:1", f"SHA256:{'A' * 43}")
        assert pairctl("end") == 0
    finally:
        pairctl("stop")
        subprocess.run(["tmux", "-S", str(home / "tmux.sock"), "kill-server"], check=False)
    assert ran.read_text() == ""
