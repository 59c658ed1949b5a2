"""A guest to their keys.

Errors are IdentityErrors that name the guest:

    no-such-user        the forge knows no such account (404, 410)
    no-keys             there is such an account; it has published nothing
    no-acceptable-keys  each line was refused; the message says why
    not-a-key-list      an HTML page, a private key, another format, anything else
    key-list-too-long   more than MAX_BYTES
    rate-limited        `data["retry_after"]` has the seconds to wait, where they were sent
    forge-refused       any other answer, such as 401
    forge-unreachable   DNS, a proxy, TCP, TLS, time, HTTP or 5xx
    bad-redirect        to plain http, off loopback, to an invalid URL, or too often
    no-such-file, unreadable-file
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial

from pairingd.core.guest import Guest
from pairingd.core.keys import KeyList
from pairingd.home.config import Provider
from pairingd.process.event_loop import in_own_thread
from pairingd.world.identity import key_file, key_list
from pairingd.world.identity.forge import CONNECT_LIMIT_S, WHOLE_LIMIT_S, Forge
from pairingd.world.identity.key_list import Fetched


class IdentityProviders:
    """Loads httpx with the first URL; `aclose` closes its connections."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        connect_seconds: float = CONNECT_LIMIT_S,
        whole_seconds: float = WHOLE_LIMIT_S,
    ) -> None:
        self._providers = providers
        self.forge = Forge(connect_seconds=connect_seconds, whole_seconds=whole_seconds)

    async def keys(self, guest: Guest) -> Fetched:
        """The guest's keys as they are published now. Raises IdentityError."""
        if guest.key:
            return key_list.judged(guest, KeyList((guest.key,), ()))
        if guest.provider == "file":
            return key_list.read(guest, await in_own_thread(partial(key_file.content, guest)))
        url = guest.name
        if guest.provider in self._providers:
            url = self._providers[guest.provider].keys_url.replace("{name}", guest.name)
        answer = await self.forge.get(guest, url)
        fetched = key_list.read(guest, answer.content)
        if answer.warning:
            fetched.warnings.append(answer.warning)
        return fetched

    async def fetch_all(self, guests: Iterable[Guest]) -> dict[Guest, Fetched]:
        """All guests' keys, fetched at the same time; the first error cancels the others."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    guest: group.create_task(self.keys(guest)) for guest in dict.fromkeys(guests)
                }
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {guest: task.result() for guest, task in tasks.items()}

    async def aclose(self) -> None:
        """Close all connections. The next fetch makes new ones."""
        await self.forge.aclose()
