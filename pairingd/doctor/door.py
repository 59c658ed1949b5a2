"""Whether the door's port is free, if config.toml sets one."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator

from pairingd.doctor.finding import Finding, Subject
from pairingd.process.holder import holder
from pairingd.world.door.listener import listen


async def check(subject: Subject) -> AsyncIterator[Finding]:
    door = subject.settings.config.door
    if not door.port:
        return
    state = subject.daemon.status.get("door") or {}
    if state.get("open") and state.get("port") == door.port:
        yield Finding.ok("door", f"open on port {door.port}")
        return
    try:
        listen(door.address, door.port).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        by = ""
        if error.errno == errno.EADDRINUSE and (
            program := await asyncio.to_thread(holder, door.port)
        ):
            by = f", by {program}"
        yield Finding.fail(
            "door",
            f"cannot listen on [door] port {door.port}: {reason}{by}",
            "end that program, or choose another [door] port or address in config.toml",
        )
    else:
        yield Finding.ok("door", f"port {door.port} is free")
