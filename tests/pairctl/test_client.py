"""The client against daemons that are of another version, confused or gone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.control import client as client_module
from pairctl.control.client import connect, reach
from pairctl.failures import NoDaemon, exit_code
from pairingd.core.refusal import PairingError
from pairingd.protocol import wire
from tests.fakes.daemon import HELLO, FakeDaemon, Refusal, RpcError, Talk
from tests.pairctl.terminal import Terminal
from tests.stage import Stage
from tests.waiting import WAIT_S


def test_hello_comes_first_with_the_versions(sock: Path) -> None:
    with FakeDaemon(sock) as daemon, connect() as client:
        assert daemon.requests.get() == ("hello", {"version": "0.1.0", "protocol": wire.PROTOCOL})
        assert client.hello["session"] == "pairing"


@pytest.mark.parametrize("left_behind", [False, True])
def test_no_daemon_is_an_error_with_the_hint_pairctl_start(sock: Path, left_behind: bool) -> None:
    if left_behind:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(sock))
    with pytest.raises(NoDaemon) as refused:
        connect()
    assert (refused.value.code, refused.value.hint) == ("no-daemon", "pairctl start")
    assert exit_code(refused.value) == 3


def test_connect_refuses_a_daemon_of_another_protocol_and_reach_does_not(sock: Path) -> None:
    with FakeDaemon(sock, version="9.0.0", protocol=9):
        with pytest.raises(PairingError) as refused:
            connect()
        with reach() as client:
            assert client.hello["version"] == "9.0.0"
    assert refused.value.code == "protocol-mismatch"
    assert "9.0.0" in refused.value.message
    assert refused.value.hint == "pairctl restart"


def test_a_daemon_of_another_version_is_served_with_a_warning(
    sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeDaemon(sock, {"status": {"fine": 1}}, version="0.0.9"), connect() as client:
        assert client.call("status") == {"fine": 1}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "0.0.9" in captured.err
    assert "pairctl restart" in captured.err


def test_progress_is_passed_on_and_events_are_kept(sock: Path) -> None:
    def invite(talk: Talk, _: Any) -> dict[str, Any]:
        talk.notify("progress", {"step": "keys", "state": "begun", "text": ""})
        talk.notify("event", {"id": 7})
        talk.notify("unheard-of", {"id": 8})
        talk.send({"id": 999, "result": {"to": "another call"}})
        talk.notify("progress", {"step": "keys", "state": "done", "text": ""})
        return {"command": "ssh"}

    heard: list[dict[str, Any]] = []
    with FakeDaemon(sock, {"invite": invite}), connect() as client:
        assert client.call("invite", progress=heard.append) == {"command": "ssh"}
        assert [step["state"] for step in heard] == ["begun", "done"]
        assert client.next_event(0) == {"id": 7}
        assert client.next_event(0) is None


def test_a_reply_in_many_pieces_is_one(sock: Path) -> None:
    def status(talk: Talk, _: Any) -> None:
        frame = json.dumps({"id": 2, "result": {"text": "ä" * 100_000}}, ensure_ascii=False)
        data = frame.encode() + b"\n"
        for start in range(0, len(data), 33_333):
            talk.raw(data[start : start + 33_333])

    with FakeDaemon(sock, {"status": status}), connect() as client:
        assert client.call("status")["text"] == "ä" * 100_000


def test_a_refusal_keeps_its_code_message_hint_and_data(sock: Path) -> None:
    def extend(_: Talk, __: Any) -> None:
        raise Refusal(
            "no-such-guest", "no guest bob", "pairctl status", {"guests": ["a"], "self": "odd"}
        )

    with FakeDaemon(sock, {"extend": extend}), connect() as client:
        with pytest.raises(PairingError) as refused:
            client.call("extend")
        assert client.call("status") == {}, "the connection lives on"
    error = refused.value
    assert (error.code, error.message, error.hint) == (
        "no-such-guest",
        "no guest bob",
        "pairctl status",
    )
    assert error.data == {"guests": ["a"], "self": "odd"}
    assert exit_code(error) == 1


@pytest.mark.parametrize(
    ("rpc", "code"),
    [
        (wire.METHOD_NOT_FOUND, "protocol-mismatch"),
        (wire.INVALID_PARAMS, "invalid-params"),
        (wire.INTERNAL_ERROR, "daemon-failed"),
        (wire.REFUSED, "daemon-failed"),  # without the data that belongs to it
    ],
)
def test_json_rpc_errors_are_raised_with_their_code(sock: Path, rpc: int, code: str) -> None:
    def receipt(_: Talk, __: Any) -> None:
        raise RpcError(rpc, "something")

    with (
        FakeDaemon(sock, {"receipt": receipt}),
        connect() as client,
        pytest.raises(PairingError) as refused,
    ):
        client.call("receipt")
    assert refused.value.code == code


@pytest.mark.parametrize(
    "garbage",
    [
        b"not json\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"7\n",
        b"[" * 100_000 + b"\n",
        b'{"id": 2, "result": [1]}\n',
        b'{"id": 2, "result": null}\n',
        b'{"id": 2, "error": "no"}\n',
        b'{"method": "event", "params": 1}\n',
    ],
)
def test_garbage_is_a_bad_reply(sock: Path, garbage: bytes) -> None:
    def status(talk: Talk, _: Any) -> None:
        talk.raw(garbage)

    with (
        FakeDaemon(sock, {"status": status}),
        connect() as client,
        pytest.raises(PairingError) as refused,
    ):
        client.call("status")
    assert refused.value.code == "bad-reply"
    assert exit_code(refused.value) == 1


def test_a_hello_without_versions_is_a_bad_reply(sock: Path) -> None:
    with FakeDaemon(sock, {"hello": {"pid": 1}}), pytest.raises(PairingError) as refused:
        connect()
    assert refused.value.code == "bad-reply"


@pytest.mark.parametrize(
    ("command", "options"),
    [("status", ()), ("status", ("--line",)), ("receipt", ()), ("config", ()), ("log", ())],
)
def test_a_reply_of_an_older_daemon_without_what_is_printed_is_a_bad_reply(
    command: str, options: tuple[str, ...], sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeDaemon(sock, {command: {"more": 1}}):
        assert main([command, *options]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: pairingd's reply has no '")
        assert "hint: pairctl restart starts the installed version" in said
        assert main([command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"more": 1}


def test_a_reply_without_end_is_a_bad_reply(sock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_MAX_REPLY_BYTES", 100_000)

    def status(talk: Talk, _: Any) -> None:
        talk.raw(b"x" * 200_000)

    with (
        FakeDaemon(sock, {"status": status}),
        connect() as client,
        pytest.raises(PairingError) as refused,
    ):
        client.call("status")
    assert refused.value.code == "bad-reply"


def test_an_error_sent_before_the_daemon_hung_up_is_raised(sock: Path) -> None:
    gone = threading.Event()

    def hello(talk: Talk, _: Any) -> None:
        error = {"code": wire.REFUSED, "message": "", "data": {"code": "busy"}}
        talk.send({"id": 1, "result": HELLO})
        talk.send({"id": None, "error": error})
        talk.close()
        gone.set()

    with FakeDaemon(sock, {"hello": hello}), connect() as client:
        assert gone.wait(WAIT_S)
        with pytest.raises(PairingError) as refused:
            client.call("status")
    assert refused.value.code == "busy"


def test_a_watcher_that_is_dropped_gets_the_reason(sock: Path) -> None:
    def drop(talk: Talk, _: Any) -> dict[str, Any]:
        talk.send({"id": 2, "result": {}})
        data = {"code": "dropped", "message": "the longest idle", "hint": "run it again"}
        error = {"code": wire.REFUSED, "message": "", "data": data}
        talk.send({"id": None, "error": error})
        talk.close()
        return {}

    with FakeDaemon(sock, {"watch": drop}), connect() as client:
        client.call("watch")
        with pytest.raises(PairingError) as refused:
            client.next_event(10)
    assert (refused.value.code, exit_code(refused.value)) == ("dropped", 1)


@pytest.mark.parametrize("method", ["hello", "status"])
@pytest.mark.parametrize("begun", [b"", b'{"id":'])
def test_a_daemon_that_closes_the_connection_is_an_error(
    sock: Path, method: str, begun: bytes
) -> None:
    def leave(talk: Talk, _: Any) -> None:
        talk.raw(begun)
        talk.close()

    with (
        FakeDaemon(sock, {method: leave}),
        pytest.raises(NoDaemon) as refused,
        connect() as client,
    ):
        client.call("status")
    assert refused.value.code == "daemon-gone"


def test_a_silent_daemon_is_an_error_with_the_hint_pairctl_restart(sock: Path) -> None:
    def say_nothing(_: Talk, __: Any) -> None:
        return None

    with (
        FakeDaemon(sock, {"status": say_nothing}),
        connect() as client,
        pytest.raises(PairingError) as refused,
    ):
        client.call("status", silence=0.05)
    assert refused.value.code == "daemon-silent"
    assert exit_code(refused.value) == 3
    assert "pairctl restart" in refused.value.hint


@pytest.mark.waits
def test_the_popup_ends_if_the_daemon_hangs(sock: Path) -> None:
    popup = [sys.executable, "-P", "-m", "pairctl.popup", "1"]
    with FakeDaemon(sock, {"waiting": lambda *_: None}), Terminal(popup) as terminal:
        assert terminal.wait() == 0
        assert b"Traceback" not in terminal.seen


def test_a_daemon_that_does_not_read_a_request_is_silent(sock: Path) -> None:
    busy = threading.Event()
    with FakeDaemon(sock, {"status": lambda *_: busy.wait(WAIT_S)}), connect() as client:
        for params in ({}, {"guests": ["x" * 900_000]}):
            with pytest.raises(PairingError) as refused:
                client.call("status", params, silence=0.05)
            assert refused.value.code == "daemon-silent"
        busy.set()


def test_a_daemon_that_does_not_answer_hello_is_an_error_with_the_hint_kill(sock: Path) -> None:
    def say_nothing(_: Talk, __: Any) -> None:
        return None

    with FakeDaemon(sock, {"hello": say_nothing}), pytest.raises(PairingError) as refused:
        reach(silence=0.05)
    assert refused.value.code == "daemon-silent"
    assert exit_code(refused.value) == 3
    assert "hello" not in refused.value.message, "a word of the protocol's"
    assert refused.value.hint.startswith(f"kill -9 {os.getpid()} ")


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n", b'{"id":1,"error":{"code":1}}\n']
)
def test_the_remedy_for_a_program_that_is_no_daemon_works(said: bytes) -> None:
    with Stage() as stage, stranger(stage.home / "pairingd.sock", said):
        for command in ("restart", "stop", "start", "status"):
            error = stage.asks(command)["error"]
            assert error["code"] in {"bad-reply", "daemon-failed"}
        kill, then = error["hint"].split(" ends that program; then: ")
        stage.run(*kill.split())
        stage.pairctl(*then.split()[1:])
        assert stage.asks("status")["daemon"]


@contextlib.contextmanager
def stranger(path: Path, said: bytes) -> Iterator[None]:
    """A server that answers every line with the same one."""
    script = (
        "import socketserver, sys\n"
        "class Talk(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        for _ in self.rfile: self.wfile.write(sys.argv[2].encode())\n"
        "server = socketserver.ThreadingUnixStreamServer(sys.argv[1], Talk)\n"
        "server.daemon_threads = True\n"
        "print(flush=True)\n"
        "server.serve_forever()\n"
    )
    argv = [sys.executable, "-c", script, str(path), said.decode()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stdout.readline()
        try:
            yield
        finally:
            server.kill()


def test_the_samples_have_our_version_and_protocol() -> None:
    from pairingd import __version__

    assert (HELLO["version"], HELLO["protocol"]) == (__version__, wire.PROTOCOL)
