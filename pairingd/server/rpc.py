"""JSON-RPC 2.0, one object a line: decodes requests, encodes results and errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from types import NoneType
from typing import Any

from pairingd.core import strict
from pairingd.errors import PairingError
from pairingd.protocol import params, wire
from pairingd.protocol.methods import Method

CHUNK = 1 << 16  # bytes read at a time


class RpcError(Exception):
    """An error of the protocol itself, JSON-RPC 2.0 §5.1. `request_id`: that of a request which is
    invalid otherwise.
    """

    def __init__(self, code: int, message: str, request_id: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes | None]:
    """Yield one frame a line. Yields None for one as soon as it is too long, and keeps nothing of
    it: its sender may wait for the error before the line ends.
    """
    buffer = bytearray()
    too_long = False
    while chunk := await reader.read(CHUNK):
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            buffer += chunk[start:end]
            start = end + 1
            frame = bytes(buffer)
            buffer.clear()
            if too_long:
                too_long = False  # already yielded
            elif len(frame) >= wire.MAX_FRAME:
                yield None
            elif frame.strip():
                yield frame
        if too_long:
            continue
        buffer += chunk[start:]
        if len(buffer) >= wire.MAX_FRAME:
            buffer.clear()
            too_long = True
            yield None


def is_cancel(frame: bytes | None) -> bool:
    """Whether it is the notification `cancel`. It is about the request in progress and does not
    wait for its turn.
    """
    if frame is None or b'"cancel"' not in frame:
        return False
    with contextlib.suppress(RpcError):
        request = parsed(frame)
        return request["method"] == "cancel" and "id" not in request
    return False


def parsed(frame: bytes | None) -> dict[str, Any]:
    if frame is None:
        raise RpcError(wire.INVALID_REQUEST, f"a frame is limited to {wire.MAX_FRAME} bytes")
    try:
        request = strict.from_json(frame.decode())
    except UnicodeDecodeError:
        raise RpcError(wire.PARSE_ERROR, "not UTF-8") from None
    except ValueError:
        raise RpcError(wire.PARSE_ERROR, "not JSON") from None
    members = request if isinstance(request, dict) else {}
    request_id = members.get("id")
    if type(request_id) not in {str, int, float, NoneType}:  # not bool, an int to Python
        raise RpcError(wire.INVALID_REQUEST, "not a JSON-RPC 2.0 request: id")
    valid = (
        members.get("jsonrpc") == "2.0"
        and isinstance(members.get("method"), str)
        and isinstance(members.get("params", {}), dict | list)  # §4.2
    )
    if not valid:
        raise RpcError(wire.INVALID_REQUEST, "not a JSON-RPC 2.0 request", request_id)
    return members


async def params_of(method: Method[Any, Any], given: Mapping[str, object] | list[object]) -> object:
    """Return the parameter record of the method. Raises RpcError."""
    if isinstance(given, list):
        raise RpcError(wire.INVALID_PARAMS, "params: must be an object, with names")
    with contextlib.suppress(strict.Unfit):
        return strict.read(method.params, given)
    try:  # in a thread: importing pydantic takes tenths of a second on a busy machine
        return await asyncio.to_thread(params.read_by_pydantic, method.params, given)
    except ValueError as unfit:
        raise RpcError(wire.INVALID_PARAMS, str(unfit)) from None


def framed(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def error_reply(request_id: object, error: Exception) -> dict[str, Any]:
    """Return JSON-RPC's code and message, with the error for people in `data`."""
    match error:
        case PairingError():
            code, problem = wire.REFUSED, error
        case RpcError():
            hint = "docs/protocol.md has every method"
            code, problem = error.code, PairingError("bad-request", str(error), hint)
        case _:
            cause = f"unexpected: {type(error).__name__}"
            problem = PairingError("internal", cause, "see the daemon's log for the reason")
            code = wire.INTERNAL_ERROR
    data = {"code": problem.code, "message": problem.message, "hint": problem.hint, **problem.data}
    message = {"code": code, "message": problem.message, "data": data}
    return {"jsonrpc": "2.0", "id": request_id, "error": message}
