"""The user's remote machine, from which pairingd looks at our endpoints: `ssh -L` to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pairingd.core.addresses import ip_version
from pairingd.core.text import printable, shell
from pairingd.errors import WorldError
from pairingd.process.programs import last_words
from pairingd.process.ssh import find, near_end, start_forward
from pairingd.process.tunnel import Program, Tunnel, how_it_ended

# ssh(1)'s message that its far end did not connect, and why.
_NOT_CONNECTED = re.compile(rb"open failed: (.*)")
# connect(2) and getaddrinfo(3) of Linux, the BSDs and macOS: nobody accepts connections there.
_NOBODY = re.compile(r"refused|timed out|no route to host|not known|is unreachable", re.IGNORECASE)


class View:
    """An endpoint as the remote machine sees it. A connection to `near` leads there."""

    def __init__(self, tunnel: Tunnel, host: str) -> None:
        self._tunnel = tunnel
        self._host = host

    @property
    def pid(self) -> int:
        return self._tunnel.pid

    @property
    def near(self) -> tuple[str, int]:
        return self._tunnel.host, self._tunnel.port

    @property
    def connect_error(self) -> str:
        """Why that machine did not connect, in its words; "" if it did, or gives no reason."""
        reasons = _NOT_CONNECTED.findall(self._tunnel.output)
        return printable(reasons[-1].decode(errors="replace").strip()[:200]) if reasons else ""

    @property
    def blind(self) -> bool:
        """Whether that machine could not try, which says nothing about our endpoint."""
        reason = self.connect_error
        if self._tunnel.ended.is_set() or (reason and not _NOBODY.search(reason)):
            return True
        only_ipv4 = "is unreachable" in reason.lower()
        return only_ipv4 and ip_version(self._host) == 6


class LookFrom:
    """`destination` as ssh(1) takes it; `program` is ssh's path, or empty."""

    def __init__(self, destination: str, program: str) -> None:
        self.destination = destination
        self._program = program

    @asynccontextmanager
    async def towards(self, host: str, port: int) -> AsyncIterator[View]:
        """Raises WorldError `look-from-failed`."""
        async with near_end(self._start, host, port, self._failed) as tunnel:
            yield View(tunnel, host)

    def refused(self, reason: str) -> WorldError:
        """The error if it lets us log in, but does not connect for us."""
        return WorldError(
            "look-from-failed",
            f"{self.destination} does not connect to the guests' endpoint for us: "
            f"{reason or 'it gives no reason'}",
            "it needs AllowTcpForwarding yes in its sshd_config, and no permitopen for our key",
        )

    async def _start(self, *forward: str) -> Program:
        try:
            return await start_forward(find(self._program), self.destination, *forward)
        except OSError as error:
            raise self._failure(f"ssh cannot be run: {error.strerror}") from None

    def _failed(self, tunnel: Tunnel, reason: str) -> WorldError:
        if reason:
            return self._failure(reason)
        output, status = last_words(tunnel.output), tunnel.status
        ended = "" if status is None else f" (ssh {how_it_ended(status)})"
        return self._failure(f"{output or 'no reason given'}{ended}")

    def _failure(self, reason: str) -> WorldError:
        login = shell("ssh", "-o", "BatchMode=yes", self.destination)
        return WorldError(
            "look-from-failed",
            f"{self.destination} cannot be used to look from: {reason}",
            f"login must work without a prompt: {login}",
        )
