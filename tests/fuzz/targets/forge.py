"""What a forge answers, as it comes from the network: HTTP, redirects, headers, key lists."""

from __future__ import annotations

import asyncio
import functools
import ssl
import sys

import httpcore
import httpx

from pairingd.core.guest import Guest
from pairingd.errors import IdentityError
from pairingd.home.config import PROVIDERS
from pairingd.world.identity import IdentityProviders
from pairingd.world.identity.forge import CONNECT_LIMIT_S, WHOLE_LIMIT_S, Forge
from tests.fuzz import promises
from tests.fuzz.engine import Target
from tests.fuzz.targets.guests import sound

sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type] # httpcore seeks it at every step
_CODES = (
    *("no-such-user", "no-keys", "no-acceptable-keys", "not-a-key-list", "key-list-too-long"),
    *("rate-limited", "forge-refused", "forge-unreachable", "bad-redirect"),
)


class _Forge(Forge):
    """Every connection, of which each is for one request, is answered with the same bytes."""

    def __init__(self) -> None:
        super().__init__(connect_seconds=CONNECT_LIMIT_S, whole_seconds=WHOLE_LIMIT_S)
        self._backend = httpcore.AsyncMockBackend([])

    def answers(self, data: bytes) -> None:
        self._backend._buffer = [data]

    async def _proxy(self, _target: httpx.URL) -> None:
        """None is configured here."""

    def _new_client(self, *_: object) -> httpx.AsyncClient:
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.AsyncHTTPTransport(verify=no_tls)
        transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=no_tls, max_keepalive_connections=0, network_backend=self._backend
        )
        return httpx.AsyncClient(transport=transport, trust_env=False)


@functools.cache
def _once() -> tuple[asyncio.AbstractEventLoop, _Forge, IdentityProviders]:
    providers, forge = IdentityProviders(PROVIDERS), _Forge()
    providers.forge = forge
    return asyncio.new_event_loop(), forge, providers


async def _asked(providers: IdentityProviders) -> str:
    try:
        fetched = await providers.keys(Guest("github", "octocat"))
    except IdentityError as error:
        promises.number(int(str(error.data.get("retry_after", 1))), 1, 7 * 86400)
        return promises.refusal(error, _CODES)
    assert fetched.keys
    for key in fetched.keys:
        sound(key)
    for warning in fetched.warnings:
        promises.words(warning.message + warning.hint)
    return " ".join(one.code for one in fetched.warnings)


def answer(data: bytes) -> str:
    """Whole keys, or an error by name; what is said of either is printable and bounded."""
    loop, forge, providers = _once()
    forge.answers(data)
    return loop.run_until_complete(_asked(providers))


TARGETS = (Target("forge-answer", answer),)
