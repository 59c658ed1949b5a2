"""The user's own program in a router's place, for routers that have an API, or only ssh.

Its environment says what to do:

    PAIRING_EXTERNAL_PORT  the port to open, the same at every call
    PAIRING_INTERNAL_HOST  this machine's address
    PAIRING_INTERNAL_PORT  the door's port here
    PAIRING_LEASE          seconds; `open` is run again at half of it
    PAIRING_PROTOCOL       tcp

Both programs must be safe to run twice. The last line of what `open` prints may be HOST or
HOST:PORT, the endpoint as guests see it; otherwise it is [router] external_host.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable

from pairingd.core.addresses import ip_version
from pairingd.core.holding_events import Presence
from pairingd.core.model import Mapping
from pairingd.core.network import Network
from pairingd.core.ports import parse_port
from pairingd.core.records import replace
from pairingd.core.text import printable
from pairingd.errors import GatewayError
from pairingd.home import config, values
from pairingd.process.programs import Finished, TookTooLong, last_words, run
from pairingd.world.gateway.adapter import Record, Tools, nobody_records
from pairingd.world.gateway.grant import external_host

_TIMEOUT_S = 20.0
_MAX_SHOWN_CHARS = 200
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")  # ECMA-48 §8.3.117


class CommandAdapter:
    """`clock` is the wall clock. Such a mapping cannot be observed: the programs are trusted."""

    protocol = "command"

    def __init__(
        self, settings: config.Router, clock: Callable[[], float], *, seconds: float = _TIMEOUT_S
    ) -> None:
        self._command = settings.command
        self._external_host = settings.external_host
        self._clock = clock
        self._timeout_s = seconds

    async def probe(self, network: Network) -> bool:  # noqa: ARG002 - the Adapter protocol's
        """Whether both programs exist; runs neither."""
        for name, command in (("open", self._command.open), ("close", self._command.close)):
            program, *_ = values.argv(command)
            if not shutil.which(program):
                raise _failed(name, f"cannot be run: {program}")
        return True

    async def open(
        self,
        requested: Mapping,
        lease: int,
        *,
        exact: bool = True,  # noqa: ARG002 - the program chooses the port
        record: Record = nobody_records,  # noqa: ARG002 - `requested` has all that an undo needs
    ) -> Mapping:
        return await self._open(requested, lease)

    async def renew(
        self,
        mapping: Mapping,
        lease: int,
        *,
        record: Record = nobody_records,  # noqa: ARG002 - likewise
    ) -> Mapping:
        return await self._open(mapping, lease)

    async def check(
        self,
        mapping: Mapping,
        *,
        quick: bool = False,  # noqa: ARG002 - no check asks anybody
    ) -> Presence:
        over = mapping.granted_until is not None and self._clock() >= mapping.granted_until
        return Presence.ABSENT if over else Presence.PRESENT

    async def close(self, mapping: Mapping) -> None:
        await self._run("close", self._command.close, mapping, 0)

    async def _open(self, mapping: Mapping, lease: int) -> Mapping:
        now = self._clock()
        done = await self._run("open", self._command.open, mapping, lease)
        host, port = external_address(done.stdout) or ("", 0)
        if ip_version(host) and not external_host(host, mapping.internal_host):
            host, port = "", 0  # as 0.0.0.0, while the router is offline
        host = host or self._external_host
        if not host:
            printed = last_words(done.stdout or done.stderr)
            raise GatewayError(
                "router-command-failed",
                "the [router.command] open does not print the address for guests"
                f"{printed and f': {printed}'}",
                "let it print HOST or HOST:PORT on its last line, or set [router] external_host",
            )
        return replace(
            mapping,
            external_host=host,
            external_port=port or mapping.external_port,
            handle=mapping.handle or (("asked", str(mapping.external_port)),),
            granted_until=now + lease,
            renew_at=now + lease / 2,
        )

    async def _run(self, name: str, command: str, mapping: Mapping, lease: int) -> Finished:
        """Run the program. Its process is gone when this raises or is cancelled, if it is
        one that we may end.
        """
        program, *arguments = values.argv(command)
        environment = os.environ | {
            "PAIRING_EXTERNAL_PORT": dict(mapping.handle).get("asked", str(mapping.external_port)),
            "PAIRING_INTERNAL_HOST": mapping.internal_host,
            "PAIRING_INTERNAL_PORT": str(mapping.internal_port),
            "PAIRING_LEASE": str(lease),
            "PAIRING_PROTOCOL": "tcp",
        }
        try:
            done = await run(
                *(program, *arguments),
                seconds=self._timeout_s,
                environ=environment,
                with_children=True,
            )
        except OSError as error:
            raise _failed(name, _why(error, self._timeout_s)) from None
        if done.status:
            raise _failed(name, f"ended with status {done.status}{_shown(done)}")
        return done


def adapter(tools: Tools) -> CommandAdapter | None:
    """None if config.toml names no command."""
    return CommandAdapter(tools.settings, tools.clock) if tools.settings.command.open else None


def external_address(output: str) -> tuple[str, int] | None:
    """The last line as HOST or HOST:PORT, port 0 if it names none; None for anything else."""
    lines = [line.strip() for line in _COLOURS.sub("", output).splitlines() if line.strip()]
    if not lines:
        return None
    line = lines[-1]
    if _is_host(line):
        return line, 0
    host, colon, port = line.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if colon and _is_host(host) and (number := parse_port(port)):
        return host, number
    return None


def _is_host(text: str) -> bool:
    if ip_version(text):
        return "%" not in text
    return values.HOST_NAME.fullmatch(text) is not None


def _why(error: OSError, limit_s: float) -> str:
    match error:
        case TookTooLong(so_far=output):
            return f"took more than {limit_s:g} s and was ended{_shown(output)}"
        case TimeoutError():
            return "hangs, and cannot be ended"
        case _:
            return f"cannot be run: {error.strerror}"


def _shown(done: Finished) -> str:
    """The end of its output for an error's one line, without control characters."""
    text = " ".join(_COLOURS.sub("", done.stderr or done.stdout).split())
    return f": {printable(text[-_MAX_SHOWN_CHARS:])}" if text else ""


def _failed(name: str, reason: str) -> GatewayError:
    return GatewayError(
        "router-command-failed",
        f"the [router.command] {name} {reason}",
        "run it by hand with the PAIRING_ variables set, and fix it",
    )
