"""The process that does one job with a UPnP router (worker.py): started, awaited, ended."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, cast

from pairingd.world.gateway import refusals
from pairingd.world.gateway.upnp.answer import Answer, cannot_ask, parse, silent

ROOT = Path(__file__).parents[4]
# Without `site` (-S) the child starts in two thirds of the time; where it imports from comes as
# arguments.
START = (
    "import sys; sys.path += sys.argv[1:];"
    "from pairingd.world.gateway.upnp.worker import main; main()"
)
JOB_SECONDS = {"survey": 5, "look": 5, "add": 8, "delete": 5, "sweep": 20}
_MAX_ANSWER = 4096


async def run(job: dict[str, Any]) -> Answer:
    """What the job came to. The process is gone when this returns, raises or is cancelled.

    Raises GatewayError `router-silent` and `router-failed`.
    """
    seconds = JOB_SECONDS[job["task"]]
    try:
        transport, child = await asyncio.get_running_loop().subprocess_exec(
            _Child,
            *(sys.executable, "-I", "-S", "-c", START, str(ROOT), *libraries()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise cannot_ask(error) from None
    try:
        child.write(transport, json.dumps(job | {"seconds": seconds + 1}))
        async with asyncio.timeout(seconds):
            await child.ended.wait()
        answer = parse(child.output)
    except TimeoutError:
        raise silent() from None
    except ValueError:
        raise refusals.unreadable() from None
    finally:
        transport.close()  # which kills what still runs
        await child.ended.wait()
    return answer


class _Child(asyncio.SubprocessProtocol):
    """A child's output, bounded. asyncio's streams would stop reading there, and never end."""

    def __init__(self) -> None:
        self.output = b""
        self.ended = asyncio.Event()

    def write(self, transport: asyncio.SubprocessTransport, line: str) -> None:
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        stdin.write(line.encode() + b"\n")
        stdin.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - stdout alone
        if len(self.output) <= _MAX_ANSWER:
            self.output += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.ended.set()


@functools.cache
def libraries() -> tuple[str, ...]:
    """The directories that miniupnpc, if any, and h11 are imported from. Imports neither."""
    return tuple(dict.fromkeys(filter(None, (_directory("miniupnpc"), _directory("h11")))))


def _directory(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin).parent
    return str(origin.parent if spec.submodule_search_locations else origin)
