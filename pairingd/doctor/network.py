"""The forges of the guests' keys, the clock compared with theirs, and the LAN on macOS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pairingd import discovery
from pairingd.core.guest import Guest
from pairingd.doctor import daemon
from pairingd.doctor.finding import Finding, Subject
from pairingd.doctor.home import LOCAL_NETWORK_DENIED
from pairingd.doctor.machine import macos
from pairingd.errors import GatewayError, IdentityError
from pairingd.home import config
from pairingd.process import environment
from pairingd.world.identity import IdentityProviders, clock_problem

# The user whose keys are fetched; a reply that there is no such user is fine too.
_NOBODY = "pairing-doctor"
_ANSWERS = frozenset({"no-such-user", "no-keys", "no-acceptable-keys"})


async def forges(subject: Subject) -> AsyncIterator[Finding]:
    """GitHub, and the forges that config.toml names, from this terminal."""
    if subject.daemon.pid and (other := environment.compared(subject.daemon.pid)):
        yield Finding.warn("forge", other.message, other.hint)
    providers = subject.settings.config.providers
    given = {key.split(".")[1] for key in subject.settings.given if key.startswith("providers.")}
    client = IdentityProviders(providers)

    async def reached(name: str) -> Finding:
        try:
            await client.keys(Guest(name, _NOBODY))
        except IdentityError as error:
            if error.code not in _ANSWERS:
                message = error.message.removeprefix(f"{name}:{_NOBODY}: ")
                return Finding.warn("forge", f"{name}: {message}", error.hint)
        return Finding.ok("forge", f"{name} answers")

    try:
        for finding in await asyncio.gather(*map(reached, sorted({"github", *given}))):
            yield finding
    finally:
        await client.aclose()


async def clock(subject: Subject) -> AsyncIterator[Finding]:
    """Compared with GitHub's, or with the forge that config.toml sets in its place."""
    client = IdentityProviders(subject.settings.config.providers)
    try:
        with contextlib.suppress(IdentityError):
            await client.keys(Guest("github", _NOBODY))
    finally:
        await client.aclose()
    offset = client.forge.clock_offset
    if offset is None:
        yield Finding.warn("clock", "no forge sent a time to compare with", "check it: date")
    elif problem := clock_problem(offset):
        yield Finding.warn("clock", problem.message, problem.hint)
    else:
        yield Finding.ok("clock", "right, compared with the forge's")


async def local_network(
    subject: Subject,
    *,
    search: Callable[[config.Router], Awaitable[object]] = discovery.search,
    system: Callable[[], tuple[int, ...]] = macos,
) -> AsyncIterator[Finding]:
    """Local Network privacy (macOS 15): denied to a daemon, it may be allowed for this terminal.

    A daemon without guests has not tried, so this makes it try. The keyword arguments are for
    tests.
    """
    problem = next(
        (p for p in subject.daemon.problems if p.get("code") == LOCAL_NETWORK_DENIED), None
    )
    if problem is None:
        if system() < (15, 0):
            return
        reached = await _reach(subject)
        problem = reached.get("error")
        if problem is None:
            yield Finding.ok("local-network", _not_denied(subject, reached))
            return
        if reached.get("errno"):
            problem = {**problem, "message": f"{problem['message']} ({reached['errno']})"}
    message, hint = (str(problem.get(key, "")) for key in ("message", "hint"))
    if problem.get("code") != LOCAL_NETWORK_DENIED:
        yield Finding.warn("local-network", message, hint)
        return
    try:
        await search(subject.settings.config.router)
    except GatewayError:
        yield Finding.fail("local-network", message, hint)
    else:
        cause = f"{message}; this terminal finds the router"
        fix = f"pairctl invite, in this terminal, sends it the router's address; or {hint}"
        yield Finding.warn("local-network", cause, fix)


async def _reach(subject: Subject) -> dict[str, Any]:
    if not subject.daemon.connected:
        return {}
    return await daemon.call(subject.daemon.socket, "reach")


def _not_denied(subject: Subject, reached: dict[str, Any]) -> str:
    if not subject.daemon.connected:
        return "not tested: pairingd is not running"
    if not reached:
        return "macOS has not denied it to the daemon so far"
    if gateway := reached.get("gateway"):
        return f"macOS lets pairingd send to the router {gateway}"
    return "not tested: there is no router to send to"
