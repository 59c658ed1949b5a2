"""Runs the user's own ssh(1) to log in to a machine of theirs.

Their ssh decides as whom: by its keys, agent, config and known_hosts.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from pairingd.core.ports import at_port
from pairingd.process.tunnel import Program, Tunnel, wait_for
from pairingd.process.tunnel import start as start_program

_LOGGED_IN = re.compile(rb"^debug1: Entering interactive session")
# ssh_config(5). These override the user's own configuration: a shared connection would outlive
# us, and only they write their known_hosts.
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
    """Return `program`, or the first ssh on PATH if it is empty."""
    return program or shutil.which("ssh") or "/usr/bin/ssh"


async def start_forward(program: str, destination: str, *forward: str) -> Program:
    """Raises OSError."""
    options = (word for option in _OPTIONS.items() for word in ("-o", "=".join(option)))
    return await start_program(program, "-v", "-N", "-T", *forward, *options, "--", destination)


@asynccontextmanager
async def near_end(
    start: Callable[..., Awaitable[Program]],
    host: str,
    port: int,
    failure: Callable[[Tunnel, str], Exception],
) -> AsyncIterator[Tunnel]:
    """Forward a port of our loopback through another machine to `host` and `port`, if that machine
    allows it; `start` starts ssh to it with more options. The port accepts connections in any case.

    Raises what `start` raises, and `failure` with the reason if the login fails.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        near = free.getsockname()[1]
    forward = ("-L", f"127.0.0.1:{near}:{at_port(host, port)}")
    tunnel = Tunnel("127.0.0.1", near, 0, await start(*forward))
    await wait_for(tunnel, _LOGGED_IN, partial(failure, tunnel))
    try:
        yield tunnel
    finally:
        await tunnel.close()
