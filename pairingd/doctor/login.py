"""One login over loopback with a throwaway key: real ssh, real sshd, from key to terminal.

It uses the authorized_keys line of an invitation, with echo(1) in place of tmux.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import subprocess
import time
from pathlib import Path

from msgspec import Struct

from pairingd.core.keys import parse_key
from pairingd.core.model import Access, Grant
from pairingd.core.text import shell
from pairingd.doctor.command import output
from pairingd.doctor.finding import Finding
from pairingd.errors import WorldError
from pairingd.machine.user import user_name
from pairingd.process.programs import end, last_words
from pairingd.world.authorized_keys import AuthorizedKeys, KeyFiles
from pairingd.world.sshd import ZULU_SINCE, Sshd

_KEY_LIFETIME_S = 60
_LOGIN_TIMEOUT_S = 15.0
_MAX_LINES = 12
_ERROR_PATTERN = re.compile(
    r"not allowed|error|fatal|refused|denied|failed|invalid|bad configuration", re.IGNORECASE
)


class _Outcome(Struct, frozen=True):
    status: int
    shown: str
    stderr: str
    log: str


async def check(sshd: Sshd, version: tuple[int, int], directory: Path) -> Finding:
    """`sshd` is prepared, and keeps its files in `directory`, which the caller removes."""
    token = secrets.token_hex(8)
    began = time.monotonic()
    try:
        async with asyncio.timeout(_LOGIN_TIMEOUT_S):
            key = await _throwaway_key(directory)
            keys = AuthorizedKeys(
                directory / "authorized_keys",
                tmux="/bin/echo",
                socket=directory / "tmux.sock",
                session=f"={token}",
                live=directory / "live",
                control=directory / "pairingd.sock",
                zulu=version >= ZULU_SINCE,
            )
            until = int(time.time()) + _KEY_LIFETIME_S
            (directory / "live").mkdir()
            (directory / "live" / f"doctor.{Access.WRITE.value}.{until}").touch()
            public = parse_key(key.with_suffix(".pub").read_text().strip())
            KeyFiles().write(keys, (Grant("doctor", public, until),))
            outcome = await _enter(sshd, key, directory)
    except TimeoutError:
        slow = f"a login with a throwaway key did not end within {_LOGIN_TIMEOUT_S:g} s"
        return Finding.fail("login", slow, "check your login shell's start-up files")
    seconds = time.monotonic() - began
    if outcome.status == 0 and f"={token}" in outcome.shown:
        return Finding.ok(
            "login", f"a login with a throwaway key reached a terminal in {seconds:.1f} s"
        )
    return _failed(outcome)


async def _throwaway_key(directory: Path) -> Path:
    key = directory / "throwaway"
    made = await output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
    if made is None or made[0] != 0:
        raise WorldError("no-key", "ssh-keygen made no key", "install the OpenSSH client")
    return key


async def _enter(sshd: Sshd, key: Path, directory: Path) -> _Outcome:
    host_key = await sshd.host_key()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    known_hosts, log = directory / "known_hosts", directory / "log"
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_key.type} {host_key.blob}\n")
    log.touch()
    # ssh would expand a % in the directory's name: ssh_config(5), TOKENS.
    guest = await asyncio.create_subprocess_exec(
        *_ssh(key.name, known_hosts.name, port),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), "TERM": "xterm-256color"},
    )
    server: asyncio.subprocess.Process | None = None
    try:
        with listener:
            accepted = await _accepted(listener, guest)
        if accepted:
            with accepted, log.open("wb") as records:
                accepted.setblocking(True)
                server, _ = await sshd.start(accepted, records)
        shown, stderr = await guest.communicate()
        if server:
            await server.wait()
        return _Outcome(
            guest.returncode or 0,
            *(text.decode(errors="replace") for text in (shown, stderr, log.read_bytes())),
        )
    finally:
        await end(guest)
        if server:
            await end(server)


async def _accepted(
    listener: socket.socket, guest: asyncio.subprocess.Process
) -> socket.socket | None:
    """None if `guest` has ended without connecting."""
    loop = asyncio.get_running_loop()
    connected = loop.create_task(loop.sock_accept(listener))
    ended = loop.create_task(guest.wait())
    try:
        await asyncio.wait((connected, ended), return_when=asyncio.FIRST_COMPLETED)
        return connected.result()[0] if connected.done() else None
    finally:
        connected.cancel()
        ended.cancel()


def _ssh(key: str, known_hosts: str, port: int) -> list[str]:
    """Ignores the user's ssh_config, agent and known_hosts."""
    options = (
        *("BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "ControlPath=none"),
        *("PreferredAuthentications=publickey", "StrictHostKeyChecking=yes", "ConnectTimeout=5"),
        *(f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=/dev/null"),
        "LogLevel=ERROR",
    )
    return [
        *("ssh", "-F", "none", "-tt", "-i", key, "-p", str(port)),
        *(word for option in options for word in ("-o", option)),
        f"{user_name()}@127.0.0.1",
    ]


def _failed(outcome: _Outcome) -> Finding:
    log = [line.strip() for line in outcome.log.splitlines() if line.strip()]
    shown = last_words(outcome.shown) or "nothing"
    ended = f"ssh ended with {outcome.status}; the terminal showed: {shown}"
    lines = [*log, *(f"ssh: {line}" for line in outcome.stderr.splitlines()), ended]
    # Of a login that was accepted sshd has errors that do not matter, as about wtmp.
    refused = [] if "Accepted publickey" in outcome.log else filter(_ERROR_PATTERN.search, lines)
    error = next(iter(refused), ended)
    hint = "see the lines below; [sshd] command in config.toml chooses another sshd"
    if "account is locked" in outcome.log:
        unlock = shell("usermod", "-p", "*", user_name())
        hint = f"as root: {unlock} allows keys, and still no password"
    return Finding.fail(
        "login",
        f"a login with a throwaway key failed: {error[:200]}",
        hint,
        *lines[-_MAX_LINES:],
    )
