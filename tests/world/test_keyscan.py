"""What a look from outside tells our own door from: another server, a mute one, and nobody."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pairingd.world.keyscan import Sight, look
from tests.world.gateway.conftest import free_port

KEY = ("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43)


async def test_look_returns_nobody_if_the_connection_is_refused() -> None:
    assert await look("127.0.0.1", free_port(), *KEY, seconds=1) is Sight.NOBODY


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-another\r\n", b"\0" * 4096])
async def test_look_returns_unsure_if_the_server_shows_no_key_of_ours(
    greeting: bytes,
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await look("127.0.0.1", port, *KEY, seconds=1) is Sight.UNSURE


async def test_look_returns_unsure_without_a_route() -> None:
    # TCP connects to no broadcast address: ENETUNREACH, or EACCES.
    assert await look("255.255.255.255", 22, *KEY, seconds=1) is Sight.UNSURE


@contextmanager
def an_sshd(place: Path, kind: str) -> Iterator[tuple[int, str]]:
    """A real sshd with one host key of that kind: its port, and the key as type and blob."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    key = place / f"host_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
    config = place / f"config_{kind}"
    config.write_text(f"HostKey {key}\nPidFile none\n")
    sshds: list[subprocess.Popen[bytes]] = []
    sshd = ("/usr/sbin/sshd", "-i", "-e", "-f", str(config))

    def serve() -> None:
        while True:
            try:
                guest, _ = listening.accept()
            except OSError:
                return
            with guest:
                end = guest.fileno()
                sshds.append(
                    subprocess.Popen(sshd, stdin=end, stdout=end, stderr=subprocess.DEVNULL)
                )

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        public = key.with_suffix(".pub").read_text().split()
        try:
            yield listening.getsockname()[1], f"{public[0]} {public[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            serving.join()
            for process in sshds:
                process.kill()
                process.wait()


@pytest.mark.attack("a router leads the guests' port to another server", "seen by its host key")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
async def test_another_server_is_known_by_its_host_key(tmp_path: Path, kind: str) -> None:
    with an_sshd(tmp_path, kind) as (port, key):
        assert await look("127.0.0.1", port, *KEY) is Sight.ANOTHER_SERVER
        # The router's own server, which answers where it turns nothing around.
        assert await look("127.0.0.1", port, *KEY, router="127.0.0.1") is Sight.UNSURE
        assert await look("127.0.0.1", port, *key.split()) is Sight.OUR_DOOR
