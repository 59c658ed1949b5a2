"""What Tab makes of a line, in the shells themselves: the daemon hears what the line became."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.commands.completion import script_path
from tests import completions
from tests.fakes.daemon import FakeDaemon, Refusal, Talk
from tests.pairctl import samples
from tests.pairctl.terminal import Terminal
from tests.stage import until

# How each starts without a person's own configuration, and how it is told of the completions.
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(pairctl completion bash)"'),
    "zsh": (["-f", "-i"], 'autoload -U compinit; compinit -D -u; eval "$(pairctl completion zsh)"'),
    "fish": (["--no-config", "-i"], "pairctl completion fish | source"),
}
HOSTILE = "file:/keys of $(touch hacked); `touch hacked`"


def status(*guests: str) -> dict[str, Any]:
    invitations = [{**samples.OCTOCAT, "guest": guest} for guest in guests]
    return {**samples.STATUS, "invitations": invitations}


REPLIES: dict[str, Any] = {
    "status": status("github:octocat", "gitlab:hubot", HOSTILE),
    "revoke": {"invitations": [samples.OCTOCAT]},
    "role": {"invitations": [samples.OCTOCAT]},
    "extend": {"invitations": [samples.OCTOCAT]},
    "show": samples.INVITED,
    "receipts": {
        "sessions": [
            {"session": session} for session in ("2026-01-31-2", "2026-01-31-1", "2026-01-30-1")
        ]
    },
    "receipt": samples.RECEIPT,
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With `pairctl` on PATH, as the shell's own prompt will find it."""
    program = tmp_path / "bin" / "pairctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pairctl "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "HISTFILE": "", "PS1": "> "}


LINES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("revo\toct\t", "revoke", {"guests": ["octocat"]}),
    ("revoke github:oc\t", "revoke", {"guests": ["github:octocat"]}),
    ("revoke octocat hub\t", "revoke", {"guests": ["octocat", "hubot"]}),
    ("revoke file\t", "revoke", {"guests": [HOSTILE]}),
    ("role github:octocat re\t", "role", {"guest": "github:octocat", "access": "read"}),
    ("extend gitl\t1h", "extend", {"guest": "gitlab:hubot", "seconds": 3600}),
    ("invite --no-c\t--show hub\t", "show", {"guest": "hubot"}),
    ("revoke --js\toct\t", "revoke", {"guests": ["octocat"]}),
    ("rec\t2026-01-30\t", "receipt", {"session": "2026-01-30-1"}),
)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(sock: Path, tmp_path: Path, environment: dict[str, str], shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    options, learn = SHELLS[shell]
    with (
        FakeDaemon(sock, REPLIES) as daemon,
        Terminal([shell, *options], environment, cwd=tmp_path) as terminal,
    ):
        terminal.send(f"{learn}; echo rea''dy\r".encode())
        terminal.wait_for(b"ready\r\n")
        for number, (typed, method, params) in enumerate(LINES):
            terminal.send(f"pairctl {typed}\r".encode())
            assert daemon.asked(method) == params, typed
            terminal.send(f"echo do''ne-{number}\r".encode())
            terminal.wait_for(f"done-{number}\r\n".encode())
    assert not (tmp_path / "hacked").exists()


PATHS: tuple[tuple[str, list[str]], ...] = (
    ("comp\tfi\t", ["completion", "fish"]),
    ("invite --no-copy file:frie\tkeys.p\t", ["invite", "--no-copy", "file:friends/keys.pub"]),
    ("invite file:{home}/frie\tkeys.p\t", ["invite", "file:{home}/friends/keys.pub"]),
    ("invite file:frie\twith\t", ["invite", "file:friends/with space.pub"]),
    ("invite file:frie\twith\t-q", ["invite", "file:friends/with space.pub", "-q"]),
    ("invite octocat --box frie\t", ["invite", "octocat", "--box", "friends"]),
    ("account create --dir a\t", ["account", "create", "--dir", "another place"]),
)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_shells_directories_and_the_path_after_file(
    tmp_path: Path, environment: dict[str, str], shell: str
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    for name in ("friends", "another place"):
        (tmp_path / name).mkdir()
    for name in ("keys.pub", "with space.pub"):
        (tmp_path / "friends" / name).touch()
    program = tmp_path / "bin" / "pairctl"
    program.write_text(
        "#!/bin/sh\n"
        f'if [ $# = 2 ] && [ -z "$LEARNT" ]; then exec {shlex.quote(sys.executable)} -m pairctl '
        '"$@"; fi\n'
        f"printf '%s\\0' \"$@\" >{tmp_path}/words.partial\n"
        f"mv {tmp_path}/words.partial {tmp_path}/words\n"
    )
    options, learn = SHELLS[shell]
    with Terminal([shell, *options], environment, cwd=tmp_path) as terminal:
        terminal.send(f"{learn}; export LEARNT=1; echo rea''dy\r".encode())
        terminal.wait_for(b"ready\r\n")
        for number, (typed, words) in enumerate(PATHS):
            terminal.send(f"pairctl {typed.format(home=tmp_path)}\r".encode())
            until((tmp_path / "words").exists, f"pairctl has run: {typed}")
            ran = (tmp_path / "words").read_text().split("\0")[:-1]
            assert [word.rstrip("/") for word in ran] == [
                word.format(home=tmp_path) for word in words
            ], typed
            (tmp_path / "words").unlink()
            terminal.send(f"echo do''ne-{number}\r".encode())
            terminal.wait_for(f"done-{number}\r\n".encode())


@pytest.mark.parametrize(
    ("word", "sessions"),
    [("", ["2026-01-31-2", "2026-01-31-1", "2026-01-30-1"]), ("2026-01-30", ["2026-01-30-1"])],
)
def test_a_word_completes_to_sessions_newest_first(
    sock: Path, capsys: pytest.CaptureFixture[str], word: str, sessions: list[str]
) -> None:
    with FakeDaemon(sock, REPLIES):
        assert main(["complete-sessions", "--", word]) == 0
        assert capsys.readouterr().out.splitlines() == sessions
        assert main(["complete-sessions", "--json", "--", word]) == 0
    assert json.loads(capsys.readouterr().out) == {"sessions": sessions}
    assert main(["complete-sessions", "--", word]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("page", ["pairctl", "pairingd"])
def test_man_shows_the_page_wherever_it_is(
    page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["man", page, "--json"]) == 0
    path = Path(json.loads(capsys.readouterr().out)["page"])
    assert f".Dt {page.upper()}" in path.read_text()
    man = tmp_path / "man"
    man.write_text('#!/bin/sh\ncat "$1"\n')
    man.chmod(0o755)
    command = [sys.executable, "-m", "pairctl", "man", page]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert shown.stdout == path.read_bytes()
    environment["PATH"] = "/nonexistent"
    refused = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert refused.returncode == 1
    assert (
        b"error: the program man is not installed\nhint: to read its source: cat " in refused.stderr
    )


def test_help_lists_completion_and_man(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert "completion" in listed
    assert "show the manual page" in listed
    assert "complete-" not in listed


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_also_given_as_json_and_has_no_install_instructions(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_pairctl_guests" in script
    assert "source ~" not in script
    assert "Copy this" not in script
    assert main(["completion", shell, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"shell": shell, "script": script.removesuffix("\n")}


@pytest.mark.parametrize(
    ("word", "guests"),
    [
        ("", ["github:octocat", "gitlab:octocat", "gitlab:hubot", "key:SHA256:x"]),
        ("gitl", ["gitlab:octocat", "gitlab:hubot"]),
        ("h", ["hubot"]),
        ("octo", []),  # either: only the whole names tell them apart
        ("-", []),
    ],
)
def test_a_word_completes_to_the_live_guests(
    sock: Path, capsys: pytest.CaptureFixture[str], word: str, guests: list[str]
) -> None:
    live = status("github:octocat", "gitlab:octocat", "gitlab:hubot", "key:SHA256:x")
    with FakeDaemon(sock, {"status": live}):
        assert main(["complete-guests", "--", word]) == 0
        assert capsys.readouterr().out.splitlines() == guests
        assert main(["complete-guests", "--json", "--", word]) == 0
    assert json.loads(capsys.readouterr().out) == {"guests": guests}


def silent(_: Talk, __: dict[str, Any]) -> None:
    return None


def refusing(_: Talk, __: dict[str, Any]) -> None:
    raise Refusal("state-unusable", "no", "mend it")


@pytest.mark.parametrize("reply", [silent, refusing, {"invitations": 1}])
def test_completion_prints_nothing_if_the_daemon_fails(
    sock: Path,
    capsys: pytest.CaptureFixture[str],
    reply: Callable[[Talk, dict[str, Any]], None] | dict[str, Any],
) -> None:
    with FakeDaemon(sock, {"status": reply}):
        assert main(["complete-guests", "--", "o"]) == 0
    assert capsys.readouterr() == ("", "")


def test_completion_prints_nothing_without_a_daemon_and_starts_none(
    sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["complete-guests", "--", ""]) == 0
    assert capsys.readouterr() == ("", "")
    assert not sock.exists()


@pytest.mark.parametrize("shell", completions.SHELLS)
def test_the_script_is_what_make_docs_writes(shell: str) -> None:
    assert script_path(shell).read_text(encoding="utf-8") == completions.script(shell), "make docs"
