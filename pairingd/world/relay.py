"""A relay of the user's own: `ssh -N -R` to a machine on the internet, for networks with no way in.

The relay sees ciphertext alone, for the guest's ssh ends at the door, with the door's host key.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from pairingd import config
from pairingd.core.addresses import bracketed
from pairingd.core.text import shell
from pairingd.errors import WorldError
from pairingd.process.programs import last_words, run
from pairingd.process.ssh import find, near_end, start_forward
from pairingd.process.tunnel import Process, Tunnel, how_it_ended, wait_for

_CONFIG_SECONDS = 5.0  # for ssh to read its configuration, which may run programs (Match exec)
_DYNAMIC_PORTS = range(49152, 65536)  # RFC 6335 §6
_SSH_PORT = 22
_LISTENS = re.compile(rb"^debug1: remote forward success")
# Of a port that the relay assigns; it comes after the line above.
_ALLOCATED = re.compile(rb"^Allocated port ([0-9]{1,5}) for remote forward")


class Relay:
    def __init__(self, settings: config.Relay, door_address: str) -> None:
        self._settings = settings
        self._door = door_address or "127.0.0.1"
        self._assigned = 0  # the port of the last tunnel, wished for again

    async def open(self, door_port: int) -> Tunnel:
        """A tunnel whose end at the relay listens for everybody, as far as the relay says.

        Raises WorldError `relay-unreachable`, `relay-key-refused`, `relay-host-key` or
        `relay-forward-refused`; nothing is left then.
        """
        return await self._listen(door_port, bracketed(self._settings.bind))

    async def open_jump(self, door_port: int) -> Tunnel:
        """A tunnel whose end listens at the relay's loopback alone, for a guest's `ssh -J`.

        Raises WorldError as `open` does.
        """
        return await self._listen(door_port, "localhost")

    @asynccontextmanager
    async def inside(self, port: int) -> AsyncIterator[tuple[str, int]]:
        """An address here that leads to `port` of the relay's own loopback, if the relay lets us
        connect to there. Raises WorldError, as `open` does.
        """
        async with near_end(self._start, "localhost", port, self._failed) as tunnel:
            yield tunnel.host, tunnel.port

    def lost(self, tunnel: Tunnel) -> WorldError:
        """What to say of a tunnel that has ended by itself."""
        status = tunnel.process.returncode
        return refusal(tunnel.output, self._settings.ssh, tunnel.port, status)

    def unseen(self, tunnel: Tunnel, *, inside: bool) -> WorldError:
        """What to say where nobody outside finds the door."""
        return not_seen(tunnel, inside=inside)

    async def _listen(self, door_port: int, bind: str) -> Tunnel:
        host, jump = await self._names()
        assigned = self._settings.port == "assigned"
        port = self._assigned if assigned else self._settings.port or usual_port(host)
        forward = ("-R", f"{bind}:{port}:{bracketed(self._door)}:{door_port}")
        tunnel = Tunnel(host, int(port), door_port, await self._start(*forward), jump=jump)
        self._assigned = 0  # what is refused is not wished for again
        words = _LISTENS if tunnel.port else _ALLOCATED
        found = await wait_for(tunnel, words, partial(self._failed, tunnel))
        tunnel.port = tunnel.port or int(found[1])
        if assigned:
            self._assigned = tunnel.port
        return tunnel

    def _failed(self, tunnel: Tunnel, why: str) -> WorldError:
        return _unreachable(self._settings.ssh, why) if why else self.lost(tunnel)

    async def _names(self) -> tuple[str, str]:
        """The relay's name as others know it, whatever it is called in the user's ssh_config; and
        as ssh(1)'s -J takes it.
        """
        try:
            known = await run(
                self._program, "-G", "--", self._settings.ssh, seconds=_CONFIG_SECONDS
            )
        except OSError as error:
            raise _no_ssh(error) from None
        except TimeoutError:
            raise _unreachable(self._settings.ssh, "its ssh configuration hangs") from None
        words = dict(re.findall(r"^(hostname|port|user) (\S+)$", known.stdout, re.MULTILINE))
        if known.status or "hostname" not in words:
            raise _unreachable(self._settings.ssh, known.last_words)
        host, port = words["hostname"], int(words.get("port", _SSH_PORT))
        user = f"{words['user']}@" if "user" in words else ""
        where = "" if port == _SSH_PORT else f":{port}"
        return host, f"{user}{bracketed(host)}{where}"

    @property
    def _program(self) -> str:
        return find(self._settings.ssh_program)

    async def _start(self, *forward: str) -> Process:
        try:
            return await start_forward(self._program, self._settings.ssh, *forward)
        except OSError as error:
            raise _no_ssh(error) from None


def usual_port(host: str) -> int:
    """Always the same for this machine at that relay, so that guests' commands stay true."""
    digest = hashlib.sha256(f"{platform.node()}/{host}".encode()).digest()
    return _DYNAMIC_PORTS[int.from_bytes(digest[:4]) % len(_DYNAMIC_PORTS)]


def refusal(said: bytes, relay: str, port: int, status: int | None = None) -> WorldError:
    """ssh(1)'s last words and exit status, as an error."""
    if b"Permission denied" in said or b"Too many authentication failures" in said:
        return WorldError(
            "relay-key-refused",
            f"the relay {relay} accepts none of your ssh keys",
            f"login must work without a prompt: {shell('ssh', '-o', 'BatchMode=yes', relay)}",
        )
    if b"Host key verification failed" in said:
        return WorldError(
            "relay-host-key",
            f"the relay {relay} is not in your known_hosts, or its host key has changed",
            f"log in once by hand, and check its key: {shell('ssh', relay)}",
        )
    if b"forwarding failed" in said or b"forwarding is disabled" in said:
        return forward_refused(relay, port, "it refuses to listen there")
    why = last_words(said) or "the connection was lost"
    return _unreachable(relay, why if status is None else f"{why} (ssh {how_it_ended(status)})")


def forward_refused(relay: str, port: int, why: str) -> WorldError:
    return WorldError(
        "relay-forward-refused",
        f"the relay {relay} does not forward {_port(port)}: {why}",
        "in its sshd_config: AllowTcpForwarding yes, GatewayPorts clientspecified; open the port "
        'in its firewall; choose another [relay] port; or set [relay] join = "jump"',
    )


def not_seen(tunnel: Tunnel, *, inside: bool) -> WorldError:
    """Nobody outside finds the door at the relay; `inside`: it is seen at the relay's loopback."""
    if inside:
        why = "only the relay itself reaches it there (GatewayPorts no, or a firewall)"
        return forward_refused(tunnel.host, tunnel.port, why)
    return WorldError(
        "relay-forward-refused",
        f"the relay {tunnel.host} says that it forwards its port {tunnel.port}, and the door is "
        "not seen there",
        'if it assigns ports by itself, set [relay] port = "assigned"; or choose another port',
    )


def _port(port: int) -> str:
    return f"its port {port}" if port else "any port"


def _no_ssh(error: OSError) -> WorldError:
    return WorldError(
        "relay-unreachable",
        f"ssh cannot be run: {error.strerror}",
        "install the OpenSSH client, or fix [relay] ssh_program",
    )


def _unreachable(relay: str, why: str) -> WorldError:
    return WorldError(
        "relay-unreachable",
        f"the relay {relay} cannot be reached: {why}",
        f"try: {shell('ssh', relay)}",
    )
