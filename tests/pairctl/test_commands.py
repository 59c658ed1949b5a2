"""Arguments in; one request; text or one JSON document, and an exit code out."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairingd import __version__
from tests.fakes.daemon import FakeDaemon, Refusal, Talk
from tests.pairctl import samples
from tests.waiting import WAIT_S

CHANGED = {"invitations": [samples.OCTOCAT], "warnings": []}
LOG = {"events": samples.EVENTS}
GUEST = "octocat"

# words, method, its params, its reply
REQUESTS: list[tuple[list[str], str, dict[str, Any], Any]] = [
    (["status"], "status", {}, samples.STATUS),
    (["status", "--all"], "status", {"all": True}, samples.STATUS),
    (["status", "--all", "-n", "3"], "status", {"all": True, "limit": 3}, samples.STATUS),
    (["extend", GUEST, "1h30m"], "extend", {"guest": GUEST, "seconds": 5400}, CHANGED),
    (
        ["extend", GUEST, "--until", "2026-03-14T18:00:00+01:00"],
        "extend",
        {"guest": GUEST, "until": "2026-03-14T17:00:00Z"},
        CHANGED,
    ),
    (["revoke", GUEST, "gitlab:a"], "revoke", {"guests": [GUEST, "gitlab:a"]}, CHANGED),
    (["revoke", "file:/a/../b"], "revoke", {"guests": ["file:/b"]}, CHANGED),
    (["role", GUEST, "read"], "role", {"guest": GUEST, "access": "read"}, CHANGED),
    (["approve", GUEST], "approve", {"guest": GUEST}, CHANGED),
    (["deny", GUEST], "deny", {"guest": GUEST}, CHANGED),
    (["end"], "end", {}, CHANGED),
    (["log"], "log", {}, LOG),
    (["receipt"], "receipt", {}, samples.RECEIPT),
    (["receipt", "s1"], "receipt", {"session": "s1"}, samples.RECEIPT),
    (["config"], "config", {}, samples.SETTINGS),
    (["invite", "--show", GUEST, "--no-copy"], "show", {"guest": GUEST}, samples.INVITED),
]
NAMES = [" ".join(words) for words, *_ in REQUESTS]


@pytest.mark.parametrize(("words", "method", "params", "reply"), REQUESTS, ids=NAMES)
def test_each_command_sends_one_request_with_its_params(
    sock: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    method: str,
    params: dict[str, Any],
    reply: Any,
) -> None:
    with FakeDaemon(sock, {method: reply}) as daemon:
        assert main(words) == 0
        assert daemon.asked(method) == params
    captured = capsys.readouterr()
    assert captured.out.strip()
    assert captured.err == ""


@pytest.mark.parametrize(("words", "method", "params", "reply"), REQUESTS, ids=NAMES)
@pytest.mark.parametrize("first", [True, False])
def test_json_is_the_reply_as_one_document(
    sock: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    method: str,
    params: dict[str, Any],
    reply: Any,
    first: bool,
) -> None:
    with FakeDaemon(sock, {method: reply}):
        assert main(["--json", *words] if first else [*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == reply
    assert captured.err == ""


@pytest.mark.parametrize(("words", "method", "params", "reply"), REQUESTS, ids=NAMES)
def test_a_refusal_is_exit_1_and_two_lines_or_one_document(
    sock: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    method: str,
    params: dict[str, Any],
    reply: Any,
) -> None:
    def refuse(_: Talk, __: Any) -> None:
        raise Refusal("not-so", "it is\nnot \x1b[31mso", "do otherwise", {"ids": [1]})

    with FakeDaemon(sock, {method: refuse}):
        assert main(words) == 1
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", "error: it is not [31mso\nhint: do otherwise\n")
        assert main([*words, "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"] == {
        "code": "not-so",
        "message": "it is\nnot \x1b[31mso",
        "hint": "do otherwise",
        "ids": [1],
    }
    assert "\x1b" not in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(
    "words",
    [
        *(words for words, *_ in REQUESTS),
        ["stop"],
        ["attach"],
        ["status", "--watch"],
        ["log", "--follow"],
    ],
    ids=" ".join,
)
def test_no_daemon_is_exit_3_with_the_hint(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 3
    captured = capsys.readouterr()
    hint = (
        "there is nothing to stop; pairctl start starts one"
        if words == ["stop"]
        else "pairctl start"
    )
    assert (captured.out, captured.err) == (
        "",
        f"error: pairingd is not running\nhint: {hint}\n",
    )
    assert main([*words, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no-daemon"


def test_a_guest_called_like_an_option_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke", "--", "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: pairingd is not running\nhint: ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["frobnicate"], "usage"),
        (["invite"], "usage"),
        (["invite", GUEST, "--tt", "2h"], "usage"),
        (["invite", GUEST, "--ttl"], "usage"),
        (["invite", GUEST, "--ttl", "0s"], "bad-duration"),
        (["invite", GUEST, "--ttl", "-1h"], "bad-duration"),
        (["invite", GUEST, "--ttl", "9" * 4000 + "h"], "bad-duration"),
        (["invite", GUEST, "--ttl", "2 hours"], "bad-duration"),
        (["invite", GUEST, "--port", "0"], "bad-port"),
        (["invite", GUEST, "--port", "65536"], "bad-port"),
        (["invite", GUEST, "--port", "0655351"], "bad-port"),
        (["invite", GUEST, "--port", "٢٢"], "bad-port"),
        (["invite", GUEST, "--port", "9" * 5000], "bad-port"),
        (["invite", GUEST, "--from", "999.1.1.1"], "bad-address"),
        (["invite", GUEST, "--from", ""], "bad-address"),
        (["invite", GUEST, "--from", "192.168.1.5"], "bad-address"),
        (["invite", GUEST, "--from", "\udcff"], "bad-address"),
        (["invite", "a", "b", "--from", "8.8.8.8"], "from-one-guest"),
        (["invite", "--show", "a", "b"], "usage"),
        (["invite", "--show", "a", "--ttl", "2h"], "usage"),
        (["invite", "--show", "a", "--read-only"], "usage"),
        (["extend", GUEST], "usage"),
        (["extend", GUEST, "1h", "--until", "18:00"], "usage"),
        (["extend", GUEST, "forever"], "bad-duration"),
        (["extend", GUEST, "-5m"], "bad-duration"),
        (["extend", GUEST, "--until", "later"], "bad-time"),
        (["role", GUEST, "admin"], "usage"),
        (["revoke"], "usage"),
        (["status", "everything"], "usage"),
        (["revoke", "file:/tmp/\udcff.pub"], "usage"),
        (["receipt", "\udcff"], "usage"),
    ],
    ids=lambda words: " ".join(words)[:40] if isinstance(words, list) else "",
)
def test_bad_arguments_are_exit_2_and_ask_nothing(
    sock: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    with FakeDaemon(sock) as daemon:
        assert main(words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        cause, remedy = captured.err.splitlines()
        assert cause.startswith("error: ")
        assert remedy.startswith("hint: ")
        assert len(cause) < 200
        assert main([*words, "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == code
        assert daemon.requests.empty()


def test_a_bad_duration_is_refused_with_the_allowed_forms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["invite", GUEST, "--ttl", "soon"]) == 2
    assert "45s, 90m, 2h, 1h30m or 1d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["status", "extra"], "error: unexpected argument 'extra'\nhint: pairctl status --help\n"),
        (
            ["invite", "a", "--bogus"],
            "error: unexpected argument '--bogus'\nhint: pairctl invite --help\n",
        ),
        (["--bogus"], "error: unexpected argument '--bogus'\nhint: pairctl --help\n"),
        (
            ["end", "bob"],
            "error: unexpected argument 'bob'\nhint: to remove one guest: pairctl revoke bob\n",
        ),
        (
            ["end", "bob", "a;b"],
            (
                "error: unexpected arguments 'bob' 'a;b'\n"
                "hint: to remove these guests: pairctl revoke bob 'a;b'\n"
            ),
        ),
        (["end", "-x"], "error: unexpected argument '-x'\nhint: pairctl end --help\n"),
        (
            ["role", "a"],
            "error: the following arguments are required: read|write\nhint: pairctl role --help\n",
        ),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_usage_error_names_the_help_of_its_command(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("shown", [["--help"], ["invite", "--help"], ["extend", "-h"]])
def test_help_keeps_to_80_columns(capsys: pytest.CaptureFixture[str], shown: list[str]) -> None:
    assert main(shown) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_help_has_each_command_and_what_it_does_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("  COMMAND\n")[2].partition("\n\n")[0]
    columns = [re.fullmatch(r" {4}(\w+ +)\S.*", line) for line in listed.splitlines()]
    assert len({len(found[1]) if found else 0 for found in columns}) == 1


def test_a_path_is_sent_to_the_daemon_as_an_absolute_one(
    sock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/m")
    with FakeDaemon(sock, {"revoke": CHANGED}) as daemon:
        assert main(["revoke", "file:keys", "FILE:~/k", "file:/a", "filet"]) == 0
        assert daemon.asked("revoke")["guests"] == [
            f"file:{tmp_path}/keys",
            "file:/home/m/k",
            "file:/a",
            "filet",
        ]


def test_version_prints_both_versions_and_succeeds_without_a_daemon(
    sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pairctl {__version__}\npairingd (not running)\n"
    with FakeDaemon(sock, version="9.1", protocol=9):
        assert main(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pairctl": __version__, "pairingd": "9.1"}


def test_version_says_why_it_does_not_know_the_daemons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAIRING_HOME", "here")
    assert main(["--version"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"pairctl {__version__}\npairingd (unknown)\n"
    assert captured.err.startswith("warning: PAIRING_HOME must be an absolute path: 'here'\nhint: ")


def test_a_reply_that_makes_no_sense_is_a_failure_and_no_traceback(
    sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeDaemon(sock, {"status": {**samples.STATUS, "session": 1}}):
        assert main(["status"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: pairctl failed: ")
    assert "Traceback" not in captured.err
    (command,) = re.findall(r"^hint: (.*) shows where", captured.err, re.MULTILINE)
    words = [*shlex.split(command), "--help"]
    subprocess.run(words, check=True, capture_output=True, env={"PATH": ""}, timeout=60)


def test_a_path_too_long_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAIRING_HOME", "/" + "a" * 120)
    assert main(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "path-too-long"


def _pairctl(*words: str) -> list[str]:
    return [sys.executable, "-m", "pairctl", *words]


def test_a_closed_output_pipe_gives_status_141_and_no_message(sock: Path) -> None:
    many = {"events": samples.EVENTS * 5000}
    with (
        FakeDaemon(sock, {"log": many}),
        subprocess.Popen(
            _pairctl("log"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(WAIT_S) == 141


FULL = "/dev/full"  # null(4) has it on Linux alone
STDOUTS = [
    pytest.param(
        f">{FULL}",
        "No space left on device",
        marks=pytest.mark.skipif(not Path(FULL).exists(), reason=f"no {FULL} here"),
    ),
    (">&-", "Bad file descriptor"),
]


def _redirected(to: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {to}', "sh", *_pairctl(*words)],
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.mark.parametrize(("to", "why"), STDOUTS)
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["completion", "bash"],
        ["status"],
        ["status", "--json"],
        ["status", "--watch"],
        ["log", "--follow"],
        ["invite", "--show", GUEST, "--no-copy"],
        ["invite", "--show", GUEST, "--no-copy", "-q"],
    ],
    ids=" ".join,
)
def test_a_result_that_cannot_be_written_is_reported_on_stderr(
    sock: Path, words: list[str], to: str, why: str
) -> None:
    replies = {"status": samples.STATUS, "watch": LOG, "show": samples.INVITED}
    with FakeDaemon(sock, replies):
        done = _redirected(to, *words)
    assert done.returncode == 1
    cause, remedy = done.stderr.splitlines()[-2:]
    assert cause == f"error: the result could not be written: {why}"
    assert remedy == (
        "hint: write it to another place; what the command changes is done: pairctl status shows it"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("to", "_"), STDOUTS)
@pytest.mark.parametrize("json_too", [[], ["--json"]])
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_plan_that_cannot_be_written_was_not_carried_out(
    home: Path, command: str, json_too: list[str], to: str, _: str
) -> None:
    done = _redirected(to, command, "--dry-run", *json_too)
    assert done.returncode == 1
    assert "nothing was carried out" in done.stderr
    assert home.exists()


@pytest.mark.parametrize(("to", "_"), STDOUTS)
def test_a_failure_that_cannot_be_written_is_reported_on_stderr(to: str, _: str) -> None:
    done = _redirected(to, "frobnicate", "--json")
    assert done.returncode == 2
    assert done.stderr == "error: unknown command 'frobnicate'\nhint: pairctl --help\n"


@pytest.mark.parametrize(("to", "_"), STDOUTS)
def test_a_message_that_cannot_be_written_changes_nothing(sock: Path, to: str, _: str) -> None:
    assert _redirected(f"2{to}", "frobnicate").returncode == 2
    with FakeDaemon(sock, {"show": samples.LAN_ONLY}):
        shown = _redirected(f"2{to}", "invite", "--show", GUEST, "--no-copy", "-q")
    assert (shown.returncode, shown.stdout) == (0, samples.LAN_ONLY["command"] + "\n")


def test_text_keeps_to_the_locale(sock: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    guest = "github:\u00e9" + "e" * 80
    invited = {**samples.INVITED, "invitations": [{**samples.OCTOCAT, "guest": guest}]}
    with FakeDaemon(sock, {"show": invited}):
        shown = subprocess.run(
            _pairctl("invite", "--show", "x", "--no-copy"),
            capture_output=True,
            check=True,
            env=env,
        )
    assert b"github:?" in shown.stdout
    assert b"ee~\n" in shown.stdout
    assert b"octocat@a-laptop-with-a-long-name\n" in shown.stdout, "a pipe has room"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("revok", "did you mean: pairctl revoke"),
        ("atach", "did you mean: pairctl attach"),
        (GUEST, "pairctl --help"),
        ("\x1b[31m", "pairctl --help"),
    ],
)
def test_an_unknown_command_is_refused_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"error: unknown command {word!r}\nhint: {hint}\n"


@pytest.mark.parametrize("command", ["status", "log", "revoke"])
def test_commands_import_no_heavy_module(sock: Path, command: str) -> None:
    heavy = {"pydantic", "httpx", "shtab", "psutil", "daemon", "asyncio"}
    heavy |= {"pathlib", "subprocess", "sqlite3"}
    words = [command, *(["a"] if command == "revoke" else [])]
    script = (
        "import sys; from pairctl.__main__ import main; "
        f"assert main({words!r}) == 0; print(*sys.modules, file=sys.stderr)"
    )
    replies = {"status": samples.STATUS, "log": LOG, "revoke": CHANGED}
    with FakeDaemon(sock, replies):
        done = subprocess.run(
            [sys.executable, "-S", "-c", script],  # -S: a site's own .pth files import at will
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
    assert not heavy & set(done.stderr.split())
