"""The control socket of a real daemon, spoken to byte by byte."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairingd import verbs
from pairingd.protocol import wire
from pairingd.protocol.methods import METHODS
from pairingd.server.server import MAX_CONNECTIONS
from tests.stage import ROOT, Stage
from tests.waiting import WAIT_S

HELLO = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {}}


class Line:
    """One connection to the daemon."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._replies = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._socket.close()

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reads(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self._replies.readline())
        return reply

    def asks(self, frame: object) -> dict[str, Any]:
        self.raw(frame if isinstance(frame, bytes) else json.dumps(frame).encode() + b"\n")
        return self.reads()

    def has_ended(self) -> bool:
        """Whether nothing more comes; waits for it."""
        try:
            return self._replies.read() == b""
        except ConnectionResetError:
            return True

    def calls(self, method: str, **params: object) -> dict[str, Any]:
        return self.asks({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        stage.daemon()
        yield stage


@pytest.fixture
def line(stage: Stage) -> Iterator[Line]:
    with Line(stage.home / "pairingd.sock") as line:
        yield line


@pytest.fixture
def greeted(line: Line) -> Line:
    assert line.asks(HELLO)["result"]["protocol"] == wire.PROTOCOL
    return line


def code(reply: dict[str, Any]) -> int:
    assert "result" not in reply
    return int(reply["error"]["code"])


def test_every_method_of_the_protocol_has_a_verb_and_no_other() -> None:
    assert verbs.VERBS.keys() == METHODS.keys()


def test_the_socket_is_the_users_alone(stage: Stage) -> None:
    mode = (stage.home / "pairingd.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    others = [path for path in stage.home.iterdir() if path.stat().st_mode & 0o077]
    assert [path.name for path in others] == ["config.toml"]  # the test's own hand wrote it


@pytest.mark.attack(
    "another user connects to a control socket that is open to all", "not a byte is answered"
)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can speak as somebody else")
def test_another_user_is_not_answered_even_through_an_open_socket(stage: Stage) -> None:
    path = stage.home / "pairingd.sock"
    script = """
import contextlib, os, socket, sys
os.setuid(65534)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
said = b""
with contextlib.suppress(ConnectionError):
    line.sendall(sys.argv[2].encode() + b"\\n")
    said = line.recv(1)
print("connected, was told", said)
"""
    stage.home.chmod(0o711)
    stage.path.chmod(0o711)
    path.chmod(0o666)
    try:
        completed = subprocess.run(
            [sys.executable, "-c", script, str(path), json.dumps(HELLO)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
    finally:
        path.chmod(0o600)
        stage.path.chmod(0o700)
        stage.home.chmod(0o700)
    assert completed.stdout == "connected, was told b''\n"


def test_hello_must_come_first(line: Line) -> None:
    assert code(line.calls("status")) == wire.HELLO_FIRST
    assert line.asks(HELLO)["result"]["pid"] > 0
    assert line.calls("status")["result"]["daemon"]["pid"] > 0


@pytest.mark.attack(
    "a program sends frames that are too long, too deep or no JSON",
    "each is refused by name, and the daemon serves on",
)
@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"not json\n", wire.PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1\n', wire.PARSE_ERROR),
        (b"\xff\xfe\xfd\n", wire.PARSE_ERROR),
        (b"[" * 100_000 + b"\n", wire.PARSE_ERROR),
        (b"[]\n", wire.INVALID_REQUEST),
        (b"7\n", wire.INVALID_REQUEST),
        (b'{"id": 1, "method": "status"}\n', wire.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}\n', wire.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "status"}\n', wire.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": true, "method": "status"}\n', wire.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1]}\n', wire.INVALID_PARAMS),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "__init__"}\n', wire.METHOD_NOT_FOUND),
        (b"x" * (wire.MAX_FRAME + 10) + b"\n", wire.INVALID_REQUEST),
    ],
)
def test_a_bad_frame_gets_its_error_and_the_connection_stays_open(
    greeted: Line, frame: bytes, expected: int
) -> None:
    assert code(greeted.asks(frame)) == expected
    assert "result" in greeted.calls("status")


def test_a_frame_too_long_gets_its_error_before_its_end_and_once(greeted: Line) -> None:
    assert code(greeted.asks(b"x" * wire.MAX_FRAME)) == wire.INVALID_REQUEST
    greeted.raw(b"x" * wire.MAX_FRAME + b"\n")
    assert "result" in greeted.calls("status")


@pytest.mark.parametrize("request_id", [7, "seven", 7.5])
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"params": []}, wire.INVALID_PARAMS),
        ({"params": ["octocat"]}, wire.INVALID_PARAMS),
        ({"params": "x"}, wire.INVALID_REQUEST),
        ({"params": None}, wire.INVALID_REQUEST),
        ({"method": 7}, wire.INVALID_REQUEST),
        ({"jsonrpc": "1.0"}, wire.INVALID_REQUEST),
    ],
)
def test_an_invalid_request_with_an_id_is_answered_under_that_id(
    greeted: Line, wrong: dict[str, object], expected: int, request_id: object
) -> None:
    request = {"jsonrpc": "2.0", "id": request_id, "method": "status", **wrong}
    reply = greeted.asks(request)
    assert (reply["id"], code(reply)) == (request_id, expected)


def test_a_request_whose_id_cannot_be_read_is_answered_under_null(greeted: Line) -> None:
    for unreadable in (True, [7], {"id": 7}):
        reply = greeted.asks({"jsonrpc": "2.0", "id": unreadable, "method": "status"})
        assert (reply["id"], code(reply)) == (None, wire.INVALID_REQUEST)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("status", {"al": True}),
        ("status", {"all": "yes"}),
        ("invite", {}),
        ("invite", {"guests": []}),
        ("invite", {"guests": "octocat"}),
        ("invite", {"guests": ["a"], "ttl": 0}),
        ("invite", {"guests": ["a"], "ttl": -5}),
        ("invite", {"guests": ["a"], "ttl": True}),
        ("invite", {"guests": ["a"], "ttl": 1e300}),
        ("invite", {"guests": ["a"], "port": 70000}),
        ("invite", {"guests": ["a"], "access": "admin"}),
        ("invite", {"guests": ["\ud800"]}),
        ("show", {"guest": "\udfff"}),
        ("receipt", {"session": "\ud800"}),
        ("gateway", {"description_urls": ["http://192.168.1.1/\ud800"]}),
        ("status", {"\ud800": True}),
        ("extend", {"guest": "a", "until": "tomorrow"}),
        ("extend", {"guest": "a", "until": 1795400000}),
        ("extend", {"guest": "a", "until": "1795400000"}),
        ("extend", {"guest": "a", "until": "2026-11-23T02:13:20"}),
        ("log", {"limit": 0}),
    ],
)
def test_params_of_a_wrong_type_are_named(
    greeted: Line, method: str, params: dict[str, object]
) -> None:
    assert code(greeted.calls(method, **params)) == wire.INVALID_PARAMS


def test_a_parameter_s_name_is_reported_short_and_printable(greeted: Line) -> None:
    reply = greeted.calls("status", **{"\u202e\x1b[2J" + "a" * 5000: 1})
    assert code(reply) == wire.INVALID_PARAMS
    assert reply["error"]["message"].isprintable()
    assert len(reply["error"]["message"]) < 200


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("invite", {"guests": ["a"] * 40}, "too-many-guests"),
        ("revoke", {"guests": ["a"] * 40}, "too-many-guests"),
        ("invite", {"guests": [""]}, "bad-guest"),
        ("invite", {"guests": ["x" * 100_000]}, "bad-guest"),
        ("show", {"guest": "x" * 100_000}, "no-such-guest"),
        ("invite", {"guests": ["a"], "ttl": 10**400}, "ttl-too-long"),
        ("receipt", {"session": "x" * 100_000}, "no-such-session"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_request_against_the_rules_is_refused_with_its_own_code(
    greeted: Line, method: str, params: dict[str, object], expected: str
) -> None:
    error = greeted.calls(method, **params)["error"]
    assert (error["code"], error["data"]["code"]) == (wire.REFUSED, expected)
    assert len(error["message"]) < 200


def test_blank_lines_are_ignored(greeted: Line) -> None:
    greeted.raw(b"\n \r\n\n")
    assert "result" in greeted.calls("status")


def test_a_refusal_carries_code_cause_and_remedy(greeted: Line) -> None:
    error = greeted.calls("revoke", guests=["nobody"])["error"]
    assert error["code"] == wire.REFUSED
    assert error["data"]["code"] == "no-such-guest"
    assert error["data"]["message"]
    assert error["data"]["hint"]


def test_a_notification_has_no_reply(greeted: Line) -> None:
    greeted.raw(b'{"jsonrpc": "2.0", "method": "status"}\n')
    greeted.raw(b'{"jsonrpc": "2.0", "method": "no such method"}\n')
    assert greeted.calls("receipt")["id"] == 7


def test_frames_may_come_in_pieces_and_several_at_once(greeted: Line) -> None:
    frame = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "status"}).encode() + b"\n"
    greeted.raw(frame[:10])
    greeted.raw(frame[10:] + frame + frame[:3])
    assert [greeted.reads()["id"], greeted.reads()["id"]] == [1, 1]
    greeted.raw(frame[3:])
    assert greeted.reads()["id"] == 1


def test_a_watching_connection_still_answers_other_requests(stage: Stage, greeted: Line) -> None:
    assert "events" in greeted.calls("watch")["result"]
    with Line(stage.home / "pairingd.sock") as other:
        other.asks(HELLO)
        assert "error" in other.calls("extend", guest="nobody", seconds=5)
    assert greeted.calls("status")["result"]["door"] == {"open": False, "port": None}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=300).filter(lambda data: data.strip()))
def test_random_bytes_get_an_error_and_do_not_end_the_daemon(greeted: Line, noise: bytes) -> None:
    # hypothesis tries the constants of our modules, too: a notification has no answer.
    line = noise.replace(b"\n", b" ").replace(b"jsonrpc", b"")
    if line.strip():
        assert "error" in greeted.asks(line + b"\n")
    assert "result" in greeted.calls("status")


@pytest.mark.attack(
    "64 idle connections to the control socket, greeted or not",
    "pairctl is served all the same: the connection that is needed least gives way",
)
@pytest.mark.parametrize("greeting", [True, False])
def test_idle_connections_do_not_keep_a_new_one_out(stage: Stage, greeting: bool) -> None:
    path = stage.home / "pairingd.sock"
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(Line(path)) for _ in range(MAX_CONNECTIONS)]
        if greeting:
            for line in lines:
                assert "result" in line.asks(HELLO)
        for _ in range(3):
            answer = stage.asks("revoke", "nobody")
            assert answer["error"]["code"] == "no-such-guest"
        reply = lines[0].reads()
        assert (reply["id"], reply["error"]["data"]["code"]) == (None, "dropped")
        assert lines[0].has_ended()
        if greeting:
            assert "result" in lines[-1].calls("status")


def test_a_connection_outlives_a_refused_invitation(greeted: Line) -> None:
    """One fetch that fails cancels the others (asyncio.TaskGroup)."""
    reply = greeted.calls("invite", guests=["file:/missing", "file:/missing-too"])
    while "method" in reply:
        reply = greeted.reads()
    assert reply["error"]["data"]["code"] == "no-such-file"
    assert "result" in greeted.calls("status")


def test_a_connection_that_does_not_say_hello_is_closed(line: Line, greeted: Line) -> None:
    with Line(line.path) as silent:
        silent.raw(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n')  # no hello either
        assert code(silent.reads()) == wire.HELLO_FIRST
        reply = silent.reads()
        assert (reply["id"], reply["error"]["data"]["code"]) == (None, "no-hello")
        assert silent.has_ended()
    assert "result" in greeted.calls("status")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_json_are_refused(greeted: Line, number: str) -> None:
    frame = f'{{"jsonrpc": "2.0", "id": {number}, "method": "status"}}\n'
    assert code(greeted.asks(frame.encode())) == wire.PARSE_ERROR


def test_a_request_with_a_lone_surrogate_as_id_is_answered(greeted: Line) -> None:
    assert greeted.asks(b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "status"}\n')["result"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--bogus"], "--bogus"),
        (["--det"], "--det"),
        (["x"], "x"),
        (["--log-format", "xml"], "xml"),
    ],
)
def test_a_usage_error_of_the_daemon_is_two_lines_as_the_clients(
    stage: Stage, words: list[str], why: str
) -> None:
    done = stage.run(sys.executable, "-m", "pairingd", *words, check=False)
    assert done.returncode == 2
    cause, remedy = done.stderr.splitlines()
    assert cause.startswith("error: ")
    assert why in cause
    assert remedy == "hint: pairingd --help"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_the_daemon_cannot_write_to_stdout_is_an_error(stage: Stage, option: str) -> None:
    command = shlex.join([sys.executable, "-P", "-m", "pairingd", option])
    done = stage.run("sh", "-c", f"{command} >&-", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the result could not be written: Bad file descriptor\n"
        "hint: write it to another place\n"
    )


def another_daemon(
    stage: Stage, *before: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """One that is expected to end at once."""
    return subprocess.run(
        [*before, sys.executable, "-m", "pairingd"],
        env=stage.environment | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )


def test_a_second_daemon_names_the_first_and_goes(stage: Stage) -> None:
    first = stage.asks("status")["daemon"]["pid"]
    second = another_daemon(stage)
    assert second.returncode == 1
    assert f"pid {first}" in second.stderr
    assert second.stderr.startswith("error: ")
    assert "\nhint: " in second.stderr
    assert stage.asks("status")["daemon"]["pid"] == first


def test_a_daemon_that_can_write_nothing_says_so_in_two_lines(
    stage: Stage, short_path: Path
) -> None:
    """As on a full disk: no file may grow. Nor could `make coverage` write its own."""
    limited = ("sh", "-c", 'ulimit -f 0; unset COVERAGE_PROCESS_CONFIG; exec "$@"', "sh")
    done = another_daemon(stage, *limited, PAIRING_HOME=str(short_path))
    assert done.returncode == 1
    assert re.fullmatch(r"error: .+\nhint: free space.+\n", done.stderr)


@pytest.mark.parametrize("name", ["authorized_keys", "sshd_config", "host_ed25519"])
def test_a_directory_with_such_files_of_others_is_not_taken(
    stage: Stage, short_path: Path, name: str
) -> None:
    (short_path / name).write_text("the user's own\n")
    done = another_daemon(stage, PAIRING_HOME=str(short_path))
    assert done.returncode == 1
    assert f"{short_path / name} already exists" in done.stderr
    assert (short_path / name).read_text() == "the user's own\n"
