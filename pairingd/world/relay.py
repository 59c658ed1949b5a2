"""The user's own relay: `ssh -N -R` to a machine on the internet, for networks without an endpoint.

The relay sees only ciphertext, because the guest's ssh ends at the door, with the door's host key.
"""

from __future__ import annotations

import platform
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from pairingd.core.ports import at_port, bracketed, dynamic_port
from pairingd.core.text import shell
from pairingd.errors import WorldError
from pairingd.home import config
from pairingd.process.programs import last_words, run
from pairingd.process.ssh import find, near_end, start_forward
from pairingd.process.tunnel import Program, Tunnel, how_it_ended, wait_for

_CONFIG_TIMEOUT_S = 5.0  # for ssh to read its configuration, which may run programs (Match exec)
_SSH_PORT = 22
_LISTENS = re.compile(rb"^debug1: remote forward success")
# For a port that the relay assigns; it comes after the line above.
_ALLOCATED = re.compile(rb"^Allocated port ([0-9]{1,5}) for remote forward")


class Relay:
    def __init__(self, settings: config.Relay, door_address: str) -> None:
        self._settings = settings
        self._door = door_address or "127.0.0.1"
        self._assigned = 0  # the port of the last tunnel, requested again

    async def open(self, door_port: int) -> Tunnel:
        """A tunnel whose end at the relay listens for everybody, as the relay reports.

        Raises WorldError `relay-unreachable`, `relay-key-refused`, `relay-host-key` or
        `relay-forward-refused`; nothing is left then.
        """
        return await self._listen(door_port, bracketed(self._settings.bind))

    async def open_jump(self, door_port: int) -> Tunnel:
        """A tunnel whose end listens only at the relay's loopback, for a guest's `ssh -J`.

        Raises WorldError as `open` does.
        """
        return await self._listen(door_port, "localhost")

    @asynccontextmanager
    async def inside(self, port: int) -> AsyncIterator[tuple[str, int]]:
        """A local address that leads to `port` of the relay's own loopback, if the relay lets us
        connect to there. Raises WorldError, as `open` does.
        """
        async with near_end(self._start, "localhost", port, self._failed) as tunnel:
            yield tunnel.host, tunnel.port

    def lost(self, tunnel: Tunnel) -> WorldError:
        """The error for a tunnel that has ended by itself."""
        return refusal(tunnel.output, self._settings.ssh, tunnel.port, tunnel.status)

    def unseen(self, tunnel: Tunnel, *, inside: bool) -> WorldError:
        """The error if nobody outside finds the door; `inside`: the relay's loopback shows it."""
        if inside:
            reason = "only the relay itself reaches it there (GatewayPorts no, or a firewall)"
            return forward_refused(tunnel.host, tunnel.port, reason)
        return WorldError(
            "relay-forward-refused",
            f"the relay {tunnel.host} says that it forwards its port {tunnel.port}, and the door "
            "is not seen there",
            'if it assigns ports by itself, set [relay] port = "assigned"; or choose another port',
        )

    async def _listen(self, door_port: int, bind: str) -> Tunnel:
        host, jump = await self._names()
        assigned = self._settings.port == "assigned"
        port = self._assigned if assigned else self._settings.port or _usual_port(host)
        forward = ("-R", f"{bind}:{port}:{at_port(self._door, door_port)}")
        tunnel = Tunnel(host, int(port), door_port, await self._start(*forward), jump=jump)
        self._assigned = 0  # a refused port is not requested again
        pattern = _LISTENS if tunnel.port else _ALLOCATED
        match = await wait_for(tunnel, pattern, partial(self._failed, tunnel))
        tunnel.port = tunnel.port or int(match[1])
        if assigned:
            self._assigned = tunnel.port
        return tunnel

    def _failed(self, tunnel: Tunnel, reason: str) -> WorldError:
        return _unreachable(self._settings.ssh, reason) if reason else self.lost(tunnel)

    async def _names(self) -> tuple[str, str]:
        """The relay's name as others know it, whatever the user's ssh_config calls it; and its form
        for ssh(1)'s -J.
        """
        try:
            known = await run(
                self._program, "-G", "--", self._settings.ssh, seconds=_CONFIG_TIMEOUT_S
            )
        except OSError as error:
            raise _no_ssh(error) from None
        except TimeoutError:
            raise _unreachable(self._settings.ssh, "its ssh configuration hangs") from None
        options = dict(re.findall(r"^(hostname|port|user) (\S+)$", known.stdout, re.MULTILINE))
        if known.status or "hostname" not in options:
            raise _unreachable(self._settings.ssh, known.last_words)
        host, port = options["hostname"], int(options.get("port", _SSH_PORT))
        user = f"{options['user']}@" if "user" in options else ""
        where = "" if port == _SSH_PORT else f":{port}"
        return host, f"{user}{bracketed(host)}{where}"

    @property
    def _program(self) -> str:
        return find(self._settings.ssh_program)

    async def _start(self, *forward: str) -> Program:
        try:
            return await start_forward(self._program, self._settings.ssh, *forward)
        except OSError as error:
            raise _no_ssh(error) from None


def _usual_port(host: str) -> int:
    """Always the same for this machine at that relay, so that guests' commands stay valid."""
    return dynamic_port(f"{platform.node()}/{host}")


def refusal(output: bytes, relay: str, port: int, status: int | None = None) -> WorldError:
    """ssh(1)'s last words and exit status, as an error."""
    if b"Permission denied" in output or b"Too many authentication failures" in output:
        return WorldError(
            "relay-key-refused",
            f"the relay {relay} accepts none of your ssh keys",
            f"login must work without a prompt: {shell('ssh', '-o', 'BatchMode=yes', relay)}",
        )
    if b"Host key verification failed" in output:
        return WorldError(
            "relay-host-key",
            f"the relay {relay} is not in your known_hosts, or its host key has changed",
            f"log in once by hand, and check its key: {shell('ssh', relay)}",
        )
    if b"forwarding failed" in output or b"forwarding is disabled" in output:
        return forward_refused(relay, port, "it refuses to listen there")
    reason = last_words(output) or "the connection was lost"
    return _unreachable(
        relay, reason if status is None else f"{reason} (ssh {how_it_ended(status)})"
    )


def forward_refused(relay: str, port: int, reason: str) -> WorldError:
    where = f"its port {port}" if port else "any port"
    return WorldError(
        "relay-forward-refused",
        f"the relay {relay} does not forward {where}: {reason}",
        "in its sshd_config: AllowTcpForwarding yes, GatewayPorts clientspecified; open the port "
        'in its firewall; choose another [relay] port; or set [relay] join = "jump"',
    )


def _no_ssh(error: OSError) -> WorldError:
    return WorldError(
        "relay-unreachable",
        f"ssh cannot be run: {error.strerror}",
        "install the OpenSSH client, or fix [relay] ssh_program",
    )


def _unreachable(relay: str, reason: str) -> WorldError:
    return WorldError(
        "relay-unreachable",
        f"the relay {relay} cannot be reached: {reason}",
        f"try: {shell('ssh', relay)}",
    )
