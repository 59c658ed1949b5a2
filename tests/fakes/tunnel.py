"""A stranger's relay and its program in one: python tunnel.py HOST PORT forwards to loopback's PORT.

It says where it listens, as such programs do, and what it was told to say before.
"""

from __future__ import annotations

import asyncio
import sys


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(host: str, port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _copy(reader, inner[1]), _copy(inner[0], writer), return_exceptions=True
        )

    server = await asyncio.start_server(serve, host, 0)
    print("Welcome. You have 60 minutes.", flush=True)
    print(f"tcp://{host}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
