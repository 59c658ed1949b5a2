"""The question whether a guest may come in, on each of the host's terminals."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Collection

from pairingd.core.approval import Visitor
from pairingd.errors import WorldError
from pairingd.home.paths import VARIABLES
from pairingd.world.tmux import Tmux

# Where Python finds packages, as with `pip install --user`.
_OF_PYTHON = ("PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONUSERBASE")
_POLL_INTERVAL_S = 1.0  # to find new terminals, and those that showed something else


class Popups:
    """`hosts` returns the names of the host's terminals; `failed` is called, once for each visitor,
    if tmux shows no popup on one of them.

    The popup's program is `pairctl.popup`. It asks pairingd who waits, so that nothing of a
    guest's passes through tmux, and ends once nobody does.
    """

    def __init__(
        self,
        tmux: Tmux,
        hosts: Callable[[], Awaitable[Collection[str]]],
        failed: Callable[[Visitor], None],
    ) -> None:
        self._tmux = tmux
        self._hosts = hosts
        self._failed = failed

    async def show(self, visitor: Visitor) -> None:
        """Show the question until cancelled. Not if the server is in a box: the popup's program
        would run there, and anyone in it could answer.
        """
        if self._tmux.box:
            self._failed(visitor)
            return
        shown: dict[str, asyncio.Task[None]] = {}
        failed: set[str] = set()
        try:
            while True:
                for name in set(await self._hosts()) - failed:
                    if name not in shown or shown[name].done():
                        show = self._show(name, visitor, failed)
                        shown[name] = asyncio.create_task(show)
                await asyncio.sleep(_POLL_INTERVAL_S)
        finally:
            for task in shown.values():
                task.cancel()
            await asyncio.gather(*shown.values(), return_exceptions=True)

    async def _show(self, client: str, visitor: Visitor, failed: set[str]) -> None:
        """Tmux shows one popup at a time on a terminal, and returns at once where there is one."""
        try:
            await self._tmux.popup(client, _program(visitor.pid))
        except WorldError:
            if not failed:
                self._failed(visitor)
            failed.add(client)


def _program(connection: int) -> tuple[str, ...]:
    """With the daemon's own paths: a tmux server has the environment of its first client."""
    names = (*VARIABLES, *_OF_PYTHON)
    environment = {name: os.environ[name] for name in names if name in os.environ}
    unset = (argument for name in names if name not in environment for argument in ("-u", name))
    settings = (f"{name}={value}" for name, value in environment.items())
    program = (sys.executable, "-P", "-m", "pairctl.popup", str(connection))
    return ("/usr/bin/env", *unset, *settings, *program)
