"""A relay of the user's own: `ssh -N -R` to a machine on the internet, for networks with no way in.

The relay sees ciphertext alone, for the guest's ssh ends at the door, with the door's host key.
Who we are there is the business of the user's own ssh: its keys, agent, config and known_hosts.
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

from pairingd import config
from pairingd.core.text import shell
from pairingd.errors import WorldError
from pairingd.process.programs import end, last_words, run

_FORWARD_SECONDS = 20.0  # from the start of ssh until the relay listens
_CONFIG_SECONDS = 5.0  # for ssh to read its configuration, which may run programs (Match exec)
_END_TIMEOUT_S = 2.0  # from SIGTERM to SIGKILL
_DYNAMIC_PORTS = range(49152, 65536)  # RFC 6335 §6
_LISTENS = b"debug1: remote forward success"
_KEPT = 400  # bytes of ssh's last words
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


@dataclass(slots=True)
class Tunnel:
    """The relay listens at `host` and `port` for `door_port`, until `ended`."""

    host: str
    port: int
    door_port: int
    process: asyncio.subprocess.Process
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    said: bytes = b""
    reading: asyncio.Task[None] | None = None

    async def close(self) -> None:
        await end(self.process, _END_TIMEOUT_S)
        if self.reading:
            await self.reading


class Relay:
    def __init__(self, settings: config.Relay, door_address: str) -> None:
        self._settings = settings
        self._door = door_address or "127.0.0.1"

    async def open(self, door_port: int) -> Tunnel:
        """A tunnel whose end at the relay listens, as far as the relay says.

        Raises WorldError `relay-unreachable`, `relay-key-refused`, `relay-host-key` or
        `relay-forward-refused`; nothing is left then.
        """
        host = await self._host()
        port = self._settings.port or usual_port(host)
        target = f"[{self._door}]" if ":" in self._door else self._door
        bind = f"[{self._settings.bind}]" if ":" in self._settings.bind else self._settings.bind
        process = await self._start(
            *("-v", "-N", "-T", "-R", f"{bind}:{port}:{target}:{door_port}"),
            *(word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")),
            *("--", self._settings.ssh),
        )
        tunnel = Tunnel(host, port, door_port, process)
        listens = asyncio.Event()
        tunnel.reading = asyncio.create_task(_read(tunnel, listens))
        try:
            async with asyncio.timeout(_FORWARD_SECONDS):
                await listens.wait()
        except TimeoutError:
            await tunnel.close()
            raise _unreachable(self._settings.ssh, "no answer in time") from None
        except asyncio.CancelledError:
            await tunnel.close()
            raise
        if tunnel.ended.is_set():
            await tunnel.close()
            raise refusal(tunnel.said, self._settings.ssh, port)
        return tunnel

    def lost(self, tunnel: Tunnel) -> WorldError:
        """What to say of a tunnel that has ended by itself."""
        return refusal(tunnel.said, self._settings.ssh, tunnel.port)

    async def _host(self) -> str:
        """The relay's name as others know it, whatever it is called in the user's ssh_config."""
        try:
            known = await run(
                self._program, "-G", "--", self._settings.ssh, seconds=_CONFIG_SECONDS
            )
        except OSError as error:
            raise _no_ssh(error) from None
        except TimeoutError:
            raise _unreachable(self._settings.ssh, "its ssh configuration hangs") from None
        found = re.search(r"^hostname (\S+)$", known.said, re.MULTILINE | re.ASCII)
        if known.status or not found:
            raise _unreachable(self._settings.ssh, known.last_words)
        return found[1]

    @property
    def _program(self) -> str:
        return self._settings.command or shutil.which("ssh") or "/usr/bin/ssh"

    async def _start(self, *argv: str) -> Process:
        command = [self._program, *argv]
        if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
            command = [setpriv, "--pdeathsig", "TERM", *command]  # a killed daemon leaves none
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise _no_ssh(error) from None


Process = asyncio.subprocess.Process


def usual_port(host: str) -> int:
    """Always the same for this machine at that relay, so that guests' commands stay true."""
    digest = hashlib.sha256(f"{platform.node()}/{host}".encode()).digest()
    return _DYNAMIC_PORTS[int.from_bytes(digest[:4]) % len(_DYNAMIC_PORTS)]


async def _read(tunnel: Tunnel, listens: asyncio.Event) -> None:
    """Follow what ssh says to its end."""
    stream = tunnel.process.stderr
    assert stream is not None  # noqa: S101 - it is a pipe
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the stream's limit; a banner at the most
            continue
        if not line:
            break
        if line.startswith(_LISTENS):
            listens.set()
        elif not line.startswith((b"debug", b"OpenSSH_", b"Authenticated to ")):
            tunnel.said = (tunnel.said + line)[-_KEPT:]
    await tunnel.process.wait()
    tunnel.ended.set()
    listens.set()


def refusal(said: bytes, relay: str, port: int) -> WorldError:
    """ssh(1)'s last words, as an error."""
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
    return _unreachable(relay, last_words(said) or "the connection was lost")


def forward_refused(relay: str, port: int, why: str) -> WorldError:
    return WorldError(
        "relay-forward-refused",
        f"the relay {relay} does not forward its port {port}: {why}",
        "in its sshd_config: AllowTcpForwarding yes, GatewayPorts clientspecified; open the port "
        "in its firewall; or choose another [relay] port",
    )


def _no_ssh(error: OSError) -> WorldError:
    return WorldError(
        "relay-unreachable",
        f"ssh cannot be run: {error.strerror}",
        "install the OpenSSH client, or fix [relay] command",
    )


def _unreachable(relay: str, why: str) -> WorldError:
    return WorldError(
        "relay-unreachable",
        f"the relay {relay} cannot be reached: {why}",
        f"try: {shell('ssh', relay)}",
    )
