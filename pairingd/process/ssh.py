"""The user's own ssh(1), by which pairingd logs in to a machine of theirs.

Who we are there is the business of their ssh: its keys, agent, config and known_hosts.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from pairingd.core.addresses import bracketed
from pairingd.process.tunnel import Process, Tunnel, wait_for
from pairingd.process.tunnel import start as start_program

_LOGGED_IN = re.compile(rb"^debug1: Entering interactive session")
# ssh_config(5). What is set here wins over the user's own configuration: a shared connection
# would outlive us, and their known_hosts is theirs to write.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ExitOnForwardFailure": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RequestTTY": "no",
    "ServerAliveCountMax": "3",
    "ServerAliveInterval": "15",
    "UpdateHostKeys": "no",
}


def find(program: str) -> str:
    """`program`, or where it is empty the first ssh on PATH."""
    return program or shutil.which("ssh") or "/usr/bin/ssh"


async def start_forward(program: str, destination: str, *forward: str) -> Process:
    """Raises OSError."""
    options = (word for one in _OPTIONS.items() for word in ("-o", "=".join(one)))
    return await start_program(program, "-v", "-N", "-T", *forward, *options, "--", destination)


@asynccontextmanager
async def near_end(
    start: Callable[..., Awaitable[Process]],
    host: str,
    port: int,
    failure: Callable[[Tunnel, str], Exception],
) -> AsyncIterator[Tunnel]:
    """A port of our loopback from which a machine elsewhere connects to `host` and `port`, if it
    lets us; `start` starts ssh to it with more options. Connections are taken here in any case.

    Raises what `start` raises, and `failure` of why there is no login.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        near = free.getsockname()[1]
    forward = ("-L", f"127.0.0.1:{near}:{bracketed(host)}:{port}")
    tunnel = Tunnel("127.0.0.1", near, 0, await start(*forward))
    await wait_for(tunnel, _LOGGED_IN, partial(failure, tunnel))
    try:
        yield tunnel
    finally:
        await tunnel.close()
