"""What comes from this machine: frames of the control socket, stored records, config.toml."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Sequence
from typing import Any, cast

from msgspec import to_builtins

from pairingd.core import strict
from pairingd.core.model import Mapping, Session
from pairingd.errors import Misconfigured
from pairingd.home import config
from pairingd.protocol import methods, wire
from pairingd.replies import report
from pairingd.server import rpc
from pairingd.state import store
from tests.fuzz import mutation, promises
from tests.fuzz.engine import Target

_runner = asyncio.Runner()


class _Pieces:
    """A reader that gives `data` in pieces as a socket would, the same ones every time."""

    def __init__(self, data: bytes) -> None:
        self._rest = data
        self._chance = random.Random(zlib.crc32(data))

    async def read(self, most: int) -> bytes:
        size = self._chance.randint(1, most)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def control_frames(data: bytes) -> str:
    """Each line is a frame, as it is or too long, which it is already without its end; each frame
    is a request, or refused in words.
    """
    *lines, rest = data.split(b"\n")
    expected = [
        None if len(line) >= wire.MAX_FRAME else line
        for line in [*lines, rest[: wire.MAX_FRAME] if len(rest) >= wire.MAX_FRAME else b""]
        if len(line) >= wire.MAX_FRAME or line.strip()
    ]
    found = _frames(data)
    assert found == expected
    return " ".join(sorted({_answered(frame) for frame in found[:20]}))


def _frames(data: bytes) -> list[bytes | None]:
    async def collected() -> list[bytes | None]:
        reader = cast("asyncio.StreamReader", _Pieces(data))
        return [frame async for frame in rpc.frames(reader)]

    coroutine = collected()
    try:
        coroutine.send(None)  # never waits
    except StopIteration as done:
        frames: list[bytes | None] = done.value
        return frames
    raise AssertionError


def _answered(frame: bytes | None) -> str:
    request_id, method = None, ""
    try:
        request = rpc.parsed(frame)
        assert isinstance(request["method"], str)
        request_id = request.get("id")
        json.dumps(request_id, allow_nan=False)
        if request["method"] not in methods.METHODS:
            return "no method"
        method = request["method"]
        kind = methods.METHODS[method].params
        params = rpc.params_of(methods.METHODS[method], request.get("params", {}))
        assert isinstance(_runner.run(params), kind)
    except rpc.RpcError as error:
        promises.words(str(error), 300)
        reply = json.loads(rpc.framed(rpc.error_reply(request_id, error)))
        promises.number(reply["error"]["code"], wire.PARSE_ERROR, wire.INVALID_REQUEST)
        return f"{method} {error.code}"
    return method


def frames(chance: random.Random, one: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Also frames as long as they may be, and a byte more or less."""
    made = mutation.lines_of_json(chance, one, others)
    if chance.randrange(1000):
        return made
    first, newline, rest = made.partition(b"\n")
    length = wire.MAX_FRAME - 1 + chance.randrange(-1, 2)
    return first.ljust(length, chance.choice([b" ", b"x"])) + newline + rest


def state_record(data: bytes) -> str:
    """What is read is written as what reads as the same."""
    read = []
    for kind in (Session, Mapping, store.Process):
        try:
            record: Any = strict.read(kind, strict.from_json(data), passing_over=True)
        except ValueError:
            continue
        written = json.dumps(to_builtins(record), allow_nan=False)
        assert strict.read(kind, strict.from_json(written), passing_over=True) == record
        read.append(kind.__name__)
    return " ".join(read)


def config_toml(data: bytes) -> str:
    """What does not fit is refused with one line of cause and one of remedy, both printable."""
    try:
        settings = config.parse(data, "config.toml")
    except Misconfigured as error:
        return promises.refusal(error, ["bad-config"])
    json.dumps(report.settings(settings), allow_nan=False)
    return "read"


TARGETS = (
    Target("control-frames", control_frames, frames),
    Target("state-record", state_record, mutation.lines_of_json),
    Target("config", config_toml),
)
