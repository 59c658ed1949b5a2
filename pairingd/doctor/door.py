"""The door's port, where config.toml has chosen one: whether it is free."""

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
    ours = subject.daemon.status.get("door") or {}
    if ours.get("open") and ours.get("port") == door.port:
        yield Finding.ok("door", f"open on port {door.port}")
        return
    try:
        listen(door.address, door.port).close()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        by = ""
        if error.errno == errno.EADDRINUSE and (
            found := await asyncio.to_thread(holder, door.port)
        ):
            by = f", by {found}"
        yield Finding.fail(
            "door",
            f"cannot listen on [door] port {door.port}: {why}{by}",
            "end that program, or choose another [door] port or address in config.toml",
        )
    else:
        yield Finding.ok("door", f"port {door.port} is free")
