"""Prevents idle sleep while a guest is connected: caffeinate(8) on macOS, else systemd-inhibit(1).

Neither prevents sleep on a closed lid. Both end when we end, also if we crash.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys

from pairingd.process.programs import end, last_words

log = logging.getLogger(__name__)


class Awake:
    """`start` and `stop` may be called repeatedly. Logs only the first failure.

    Kills a child that has not ended within `stop_timeout_s` of SIGTERM.
    """

    def __init__(self, *, stop_timeout_s: float = 1.0) -> None:
        self._stop_timeout_s = stop_timeout_s
        self._child: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._active = False
        self._warned = False

    async def start(self) -> None:
        """Keep the machine awake. If all commands end by themselves, nothing does until `stop`."""
        if self._active:
            return
        self._active = True
        commands = ways()
        if not commands:
            self._warn("there is neither caffeinate nor systemd-inhibit")
            return
        try:
            child = await self._run(commands[0])
        except asyncio.CancelledError:
            self._active = False  # so that the next pass tries again
            raise
        if child:
            self._watching = asyncio.create_task(self._watch(child, commands[1:]))

    async def stop(self) -> None:
        """Let it sleep again."""
        self._active = False
        child, self._child = self._child, None
        if child is None or self._watching is None:
            return
        await end(child, self._stop_timeout_s)
        await self._watching

    async def _run(self, argv: list[str]) -> asyncio.subprocess.Process | None:
        try:
            child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            self._warn(f"{argv[0]}: {error.strerror}")
            return None
        if not self._active:
            await end(child)
            return None
        self._child = child
        return child

    async def _watch(self, child: asyncio.subprocess.Process, weaker: list[list[str]]) -> None:
        """Return once we end `child`, or the last of the `weaker` has ended by itself."""
        assert child.stderr is not None  # noqa: S101 - it is a pipe
        stderr = b""
        while chunk := await child.stderr.read(1024):
            stderr = (stderr + chunk)[-300:]
        await child.wait()
        if self._child is not child:
            return
        if not weaker:
            self._warn(last_words(stderr) or "it ended by itself")
        elif following := await self._run(weaker[0]):
            await self._watch(following, weaker[1:])

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("this machine may fall asleep although a guest is here: %s", reason)


def ways() -> list[list[str]]:
    """Commands to run, the next if one is refused; empty if there is no program."""
    if sys.platform == "darwin":
        return [["/usr/bin/caffeinate", "-i", "-w", str(os.getpid())]]
    program = shutil.which("systemd-inhibit")
    if not program:
        return []
    reason = "a guest is in the pairing session"
    # `cat` ends with its standard input, which ends with us: an inhibitor must not outlive a crash.
    options = ["--mode=block", "--who=pairingd", f"--why={reason}", "cat"]
    # A user logged in only by ssh may inhibit idleness but not sleep (logind's policy, measured).
    return [[program, f"--what={lock}", *options] for lock in ("idle:sleep", "idle")]
