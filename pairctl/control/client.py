"""One connection to the daemon: `hello`, calls, notifications. Synchronous; JSON-RPC 2.0."""

from __future__ import annotations

import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from pairctl.control import rendezvous
from pairctl.failures import Interrupted, NoDaemon, Silent, Usage
from pairctl.text import output
from pairingd import __version__
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell
from pairingd.home.paths import find_paths
from pairingd.machine import peer
from pairingd.protocol import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pairingd.protocol.results import Hello

HELLO_SILENCE = 10.0  # seconds; after its start a daemon first closes what a crash left
CANCEL_SILENCE = 5.0  # after Ctrl-C
SILENCE = 60.0  # seconds without a frame: fetching keys takes 10 s, a lying router longer
_READ_METHODS = {
    *("hello", "status", "watch", "log", "receipt", "receipts", "waiting", "config", "show"),
}
# What has not said hello does not answer `stop` and `restart` either.
_NO_HELLO = {
    *("bad-reply", "daemon-failed", "daemon-silent", "invalid-params", "protocol-mismatch"),
}
_MAX_REPLY_BYTES = 16 * wire.MAX_FRAME  # a long history exceeds the limit of a request


class Client:
    """A connection on which `hello` was exchanged. Every failure is a PairingError."""

    def __init__(self, connection: socket.socket, silence: float = HELLO_SILENCE) -> None:
        self._socket = connection
        self._buffer = bytearray()
        self._scanned_bytes = 0  # the buffer has no newline before this offset
        self._calls = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=10_000)
        try:
            self.hello: Hello = self._hello(silence)
            if not {"version", "protocol", "pid"} <= self.hello.keys():
                raise _garbage("a hello without versions")
        except PairingError as failure:
            if failure.code in _NO_HELLO:
                kill = shell("kill", "-9", str(peer.pid(connection)))
                failure.hint = f"{kill} ends that program; then: pairctl start"
            raise

    def hello_again(self) -> Hello:
        """What the daemon says now of the session that runs."""
        self.hello = self._hello(HELLO_SILENCE)
        return self.hello

    def _hello(self, silence: float) -> Hello:
        versions = {"version": __version__, "protocol": wire.PROTOCOL}
        hello: Hello = self.call("hello", versions, silence=silence)
        return hello

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For select; readable means that `next_event` may have something."""
        return self._socket.fileno()

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        progress: Callable[[dict[str, Any]], None] | None = None,
        silence: float = SILENCE,
    ) -> Any:
        """The result. Calls `progress` for each notification of that name that comes before it.
        Ctrl-C cancels a call that changes something; Interrupted then says what holds.

        Leaves out what is None or False in `params`, as the protocol allows: the daemon then has
        nothing to check. Raises Usage if they are too long for one request.
        """
        self._calls += 1
        arguments = {
            key: value
            for key, value in (params or {}).items()
            if value is not None and value is not False
        }
        call = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": arguments}
        frame = json.dumps(call).encode()
        if len(frame) >= wire.MAX_FRAME:
            raise Usage(
                "usage",
                f"the arguments are too long: a request is limited to {wire.MAX_FRAME} bytes",
                "use shorter arguments, or several commands",
            )
        self._socket.settimeout(silence)
        self._send(frame + b"\n")
        try:
            return self._result(silence, progress)
        except KeyboardInterrupt:
            if method in _READ_METHODS:
                raise
            raise self._cancelled(method) from None

    def notify(self, method: str) -> None:
        """There is no reply; a daemon that does not know the method ignores it."""
        self._send(json.dumps({"jsonrpc": "2.0", "method": method}).encode() + b"\n")

    def _result(
        self, silence: float, progress: Callable[[dict[str, Any]], None] | None = None
    ) -> Any:
        while True:
            frame = self._receive(silence)
            if frame is None:
                raise _silent(silence)
            if "method" in frame:
                if frame["method"] == "progress" and progress:
                    progress(_object(frame.get("params")))
                self._keep(frame)
            elif "error" in frame:
                raise _failure(_object(frame["error"]))
            elif frame.get("id") == self._calls:
                return _object(frame.get("result"))

    def _cancelled(self, method: str) -> Interrupted:
        self._send(b'{"jsonrpc": "2.0", "method": "cancel"}\n')
        try:
            self._result(CANCEL_SILENCE)
        except (NoDaemon, Silent):
            outcome = PairingError(
                "cancel-unanswered",
                f"pairingd has not answered the request to cancel {method}",
                "pairctl status shows what holds",
            )
        except PairingError as answer:
            outcome = answer
        else:
            outcome = PairingError(
                "not-cancelled",
                f"{method} was done before it could be cancelled",
                "pairctl status shows what holds; pairctl revoke GUEST takes an invitation back",
            )
        return Interrupted(outcome.code, outcome.message, outcome.hint)

    def next_event(self, seconds: float | None) -> dict[str, Any] | None:
        """The next `event` notification after `watch`; None when none came in time."""
        while not self._events:
            frame = self._receive(seconds)
            if frame is None:
                return None
            if "error" in frame:  # the daemon sends it before it closes the connection
                raise _failure(_object(frame["error"]))
            self._keep(frame)
        return self._events.popleft()

    def until_closed(self, seconds: float) -> bool:
        """Whether the daemon closed the connection in time, as it does when it exits."""
        try:
            while self._receive(seconds) is not None:
                pass
        except NoDaemon:
            return True
        return False

    def _keep(self, frame: dict[str, Any]) -> None:
        if frame.get("method") == "event":
            self._events.append(_object(frame.get("params")))

    def _send(self, frame: bytes) -> None:
        try:
            self._socket.sendall(frame)
        except (ConnectionError, TimeoutError):
            return  # its last reply may still be readable; else reading reports the end, or silence
        except OSError as error:
            raise _gone(error.strerror) from None

    def _receive(self, seconds: float | None) -> dict[str, Any] | None:
        """One frame; None if none was complete in time. None for `seconds` waits forever."""
        self._socket.settimeout(seconds)
        while (end := self._buffer.find(b"\n", self._scanned_bytes)) < 0:
            self._scanned_bytes = len(self._buffer)
            if self._scanned_bytes > _MAX_REPLY_BYTES:
                raise _garbage("a reply that is too long")
            try:
                chunk = self._socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                raise _gone(error.strerror) from None
            if not chunk:
                raise _gone("it closed the connection")
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned_bytes = 0
        try:
            return _object(json.loads(line))
        except (ValueError, RecursionError):
            raise _garbage("text that is not JSON") from None


def connect() -> Client:
    """Raises NoDaemon `no-daemon`, or PairingError `protocol-mismatch`."""
    client = reach()
    spoken = client.hello["protocol"]
    if spoken != wire.PROTOCOL:
        with client:
            raise _mismatch(f"{client.hello['version']} speaks protocol {spoken}")
    if client.hello["version"] != __version__:
        output.problem(
            "warning",
            f"pairingd {client.hello['version']} is running, this is pairctl {__version__}",
            "pairctl restart starts the installed version; invitations stay",
        )
    return client


def reach(silence: float = HELLO_SILENCE) -> Client:
    """As `connect`, for any version of the daemon: enough to identify it and to stop it.

    Raises Stranger, and sends nothing, if another user's process may be at the socket.
    """
    connection = rendezvous.meet(find_paths(), silence)
    try:
        return Client(connection, silence)
    except BaseException:
        connection.close()
        raise


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _garbage(f"{type(value).__name__} instead of an object")
    return value


def _silent(silence: float) -> Silent:
    return Silent(
        "daemon-silent",
        f"pairingd has not answered for {silence:.0f} s",
        f"{_see_log()}, or try: pairctl restart",
    )


def _failure(error: dict[str, Any]) -> PairingError:
    """The daemon's refusal, in its own words; its other errors mean that versions differ."""
    data = error.get("data")
    if error.get("code") == wire.REFUSED and isinstance(data, dict):
        kind = NoDaemon if data.get("code") == "daemon-stopped" else PairingError
        refused = kind(*(str(data.pop(name, "")) for name in ("code", "message", "hint")))
        refused.data.update(data)
        return refused
    message = str(error.get("message"))[:300]
    if error.get("code") == wire.METHOD_NOT_FOUND:
        return _mismatch(f"does not support this command: {message}")
    if error.get("code") == wire.INVALID_PARAMS:
        return PairingError(
            "invalid-params",
            f"pairingd rejected the request: {message}",
            "pairctl restart starts the installed version",
        )
    return PairingError("daemon-failed", f"pairingd failed: {message}", _see_log())


def _mismatch(problem: str) -> PairingError:
    return PairingError(
        "protocol-mismatch",
        f"the running pairingd {problem}; this is pairctl {__version__}, protocol {wire.PROTOCOL}",
        "pairctl restart",
    )


def _garbage(sent: str) -> PairingError:
    return PairingError(
        "bad-reply", f"pairingd sent {sent}", "pairctl restart starts the installed version"
    )


def _gone(reason: str | None) -> NoDaemon:
    return NoDaemon(
        "daemon-gone",
        f"pairingd went away: {reason}",
        f"pairctl start; {_see_log()}",
    )


def _see_log() -> str:
    """With its path, unless a service's manager keeps it."""
    log = find_paths().log
    return f"see the daemon's log{f': {log}' if os.path.exists(log) else ''}"  # noqa: PTH110
