"""A control server with scripted replies on a real Unix socket: what pairctl talks to in tests."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.waiting import WAIT_S

HELLO = {
    "version": "0.1.0",
    "protocol": 1,
    "pid": os.getpid(),
    "session": "pairing",
    "tmux": "",
    "tmux_socket": "/nonexistent/tmux.sock",
    "attach": False,
}

Reply = Callable[["Talk", dict[str, Any]], Any]


class Refusal(Exception):
    """A reply's function raises it for an error reply."""

    def __init__(self, code: str, message: str, hint: str, data: Any = None) -> None:
        super().__init__(message)
        told = {"code": code, "message": message, "hint": hint, **(data or {})}
        self.error = {"code": -32000, "message": message, "data": told}


class RpcError(Refusal):
    """An error of JSON-RPC itself, without our data."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__("", message, "")
        self.error = {"code": code, "message": message}


class Talk:
    """One connection of a client."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def send(self, frame: dict[str, Any]) -> None:
        self.raw(json.dumps({"jsonrpc": "2.0", **frame}).encode() + b"\n")

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class FakeDaemon:
    """`replies` by method: the result, or a function of the talk and the params that returns it,
    raises Refusal, or sends and closes as it likes and returns None.
    `stop` is answered, then the socket goes away as it does when a daemon exits.
    """

    def __init__(self, path: Path, replies: dict[str, Any] | None = None, **hello: Any) -> None:
        self.path = path
        self.replies: dict[str, Any] = {"hello": {**HELLO, **hello}, **(replies or {})}
        self.requests: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.talks: list[Talk] = []
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(WAIT_S)
        for connection in self._connections:
            connection.close()
        self._listener.close()

    def close(self) -> None:
        """Stop listening, end every connection."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for talk in self.talks:
            talk.close()

    def asked(self, method: str) -> dict[str, Any]:
        """The params of the next request of that name, skipping others; waits for it."""
        while True:
            name, params = self.requests.get(timeout=WAIT_S)
            if name == method:
                return params

    def tell(self, method: str, params: Any) -> None:
        """A notification to every client."""
        for talk in self.talks:
            with contextlib.suppress(OSError):
                talk.notify(method, params)

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                talk = Talk(connection)
                self.talks.append(talk)
                self._spawn(self._serve, connection, talk)

    def _serve(self, connection: socket.socket, talk: Talk) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                self._answer(talk, request)
                if request["method"] == "stop":
                    self.close()

    def _answer(self, talk: Talk, request: dict[str, Any]) -> None:
        method, params = request["method"], request.get("params", {})
        if "id" not in request:  # a notification
            return
        self.requests.put((method, params))
        reply = self.replies.get(method, {})
        try:
            result = reply(talk, params) if callable(reply) else reply
        except Refusal as refusal:
            talk.send({"id": request["id"], "error": refusal.error})
        else:
            if result is not None:
                talk.send({"id": request["id"], "result": result})
