"""No idle sleep while a guest is here: caffeinate(8) on macOS, systemd-inhibit(1) elsewhere.

Neither holds against a closed lid. Both end with us, however we end.
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
    """`start` and `stop` may be called as often as one likes. What fails is said once, no more.

    A child that has not followed SIGTERM within `stop_timeout_s` is killed.
    """

    def __init__(self, *, stop_timeout_s: float = 1.0) -> None:
        self._stop_timeout_s = stop_timeout_s
        self._child: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._wanted = False
        self._told = False

    async def start(self) -> None:
        """Keep the machine awake. Where all end by themselves there is no other until `stop`."""
        if self._wanted:
            return
        self._wanted = True
        commands = ways()
        if not commands:
            self._tell("there is neither caffeinate nor systemd-inhibit")
        elif child := await self._run(commands[0]):
            self._watching = asyncio.create_task(self._watch(child, commands[1:]))

    async def stop(self) -> None:
        """Let it sleep again, from now on."""
        self._wanted = False
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
            self._tell(f"{argv[0]}: {error.strerror}")
            return None
        if not self._wanted:
            await end(child)
            return None
        self._child = child
        return child

    async def _watch(self, child: asyncio.subprocess.Process, weaker: list[list[str]]) -> None:
        """Until `child` is ended by us, or the last of the `weaker` has ended by itself."""
        assert child.stderr is not None  # noqa: S101 - it is a pipe
        said = b""
        while chunk := await child.stderr.read(1024):
            said = (said + chunk)[-300:]
        await child.wait()
        if self._child is not child:
            return
        if not weaker:
            self._tell(last_words(said) or "it ended by itself")
        elif following := await self._run(weaker[0]):
            await self._watch(following, weaker[1:])

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            log.warning("this machine may fall asleep although a guest is here: %s", why)


def ways() -> list[list[str]]:
    """What to run, and to end: the next where one is refused; none where there is no program."""
    if sys.platform == "darwin":
        return [["/usr/bin/caffeinate", "-i", "-w", str(os.getpid())]]
    found = shutil.which("systemd-inhibit")
    if not found:
        return []
    why = "a guest is in the pairing session"
    # `cat` ends with its standard input, and that with us: an inhibitor must not outlive a crash.
    words = ["--mode=block", "--who=pairingd", f"--why={why}", "cat"]
    # Who is logged in by ssh alone may inhibit idleness and not sleep (logind's policy, measured).
    return [[found, f"--what={what}", *words] for what in ("idle:sleep", "idle")]
