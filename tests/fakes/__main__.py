"""Forges and routers for one process of the tests: each a server of its own, in one interpreter.

A line of JSON on stdin starts one, and is answered by a line: `{"forge": DIR}` with its URL,
`{"igd": EXTERNAL_HOST}` with that of its description. `{"close": URL}` ends it. A forge with "port"
and "network", the file of a namespace, is at that port there, and its URL ends with both. All end
with stdin.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.fakes.forge import Forge
from tests.fakes.igd import FakeIgd
from tests.namespaces import in_network


async def main() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    started: dict[str, AsyncExitStack] = {}
    async for line in reader:
        match json.loads(line):
            case {"forge": directory, "port": port, "network": network}:
                stack = AsyncExitStack()
                with in_network(network):
                    listener = socket.create_server(("127.0.0.1", port))
                forge = Forge(directory=Path(directory), listener=listener)
                answer = f"{(await stack.enter_async_context(forge)).url}{network}"
                started[answer] = stack
            case {"forge": directory}:
                stack = AsyncExitStack()
                forge = await stack.enter_async_context(Forge(directory=Path(directory)))
                answer = forge.url
                started[answer] = stack
            case {"igd": external_host}:
                stack = AsyncExitStack()
                igd = FakeIgd(external_host=external_host, listen="127.0.0.1")
                answer = (await stack.enter_async_context(igd)).description_url
                started[answer] = stack
            case {"close": answer}:
                await started.pop(answer).aclose()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
