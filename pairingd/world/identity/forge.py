"""A key list at a URL: one GET over https, or over plain http to loopback, within limits."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pairingd import __version__
from pairingd.core.guest import Guest, parse_guest
from pairingd.core.key_formats import Format
from pairingd.core.model import Problem
from pairingd.core.ports import MAX_PORT
from pairingd.core.refusal import Refused
from pairingd.errors import IdentityError
from pairingd.process.event_loop import in_own_thread
from pairingd.world.identity import replies
from pairingd.world.identity.key_list import ANOTHER_WAY, MAX_BYTES, not_a_key_list, too_long
from pairingd.world.identity.proxies import Proxy, proxy_for
from pairingd.world.identity.unreachable import foreign, host_of, unreachable, unresolved

if TYPE_CHECKING:  # megabytes, needed only once a URL is fetched
    import ssl

    import httpx

MAX_REDIRECTS = 5
CONNECT_LIMIT_S = 5.0
WHOLE_LIMIT_S = 10.0
_PROXY_FORM = "http://[NAME:PASSWORD@]HOST:PORT"


class Answer(Struct, frozen=True):
    content: bytes
    warning: Problem | None


class _Hop:
    """One request. `blamed` is its proxy from the connection to it until it leads to the forge.

    A reused connection blames nothing. `redirects`: the answer is a redirect.
    """

    def __init__(self, target: httpx.URL, proxy: Proxy | None) -> None:
        self.target = target
        self.proxy = proxy
        self.blamed: Proxy | None = None
        self.redirects = False

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpcore, under "trace" of its documentation of request extensions."""
        if event.endswith(".connect_tcp.started"):
            self.blamed = self.proxy
        elif event in {"proxy.start_tls.started", "socks.start_tls.started"}:
            self.blamed = None
        elif event.endswith(".receive_response_headers.complete"):
            self.redirects = info["return_value"][1] // 100 == 3


class Forge:
    """Loads httpx with the first URL; `aclose` closes its connections."""

    def __init__(self, *, connect_seconds: float, whole_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._whole_seconds = whole_seconds
        self._clients: dict[tuple[str, Proxy | None], httpx.AsyncClient] = {}
        self._trusted: ssl.SSLContext | None = None
        self.clock_offset: float | None = None  # seconds that ours is ahead, from the last answer

    async def get(self, guest: Guest, url: str) -> Answer:
        """Raises IdentityError, as `providers` lists them."""
        import httpx

        target = _askable(url)
        if not target:
            raise IdentityError(
                "forge-unreachable",
                f"{guest}: {unresolved(url)}",
                "check the URL, or the provider's keys_url in config.toml",
            )
        hop = _Hop(target, None)
        try:
            async with asyncio.timeout(self._whole_seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    hop = _Hop(target, await self._proxy(target))
                    client = self._client(guest, target.scheme, hop.proxy)
                    extensions = {"trace": hop.trace}
                    async with client.stream("GET", target, extensions=extensions) as response:
                        self.clock_offset = replies.clock_offset(response.headers, time.time())
                        if not response.next_request:
                            content = await _body(guest, response)
                            return Answer(content, replies.clock_problem(self.clock_offset))
                        target = _redirected(guest, target, response.next_request.url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            if hop.redirects and not isinstance(error, OSError):  # of a redirect no body is read
                raise _not_followed(guest, hop.target, "an invalid URL") from None
            raise unreachable(
                guest,
                hop.target,
                error,
                hop.blamed,
                connect_seconds=self._connect_seconds,
                whole_seconds=self._whole_seconds,
            ) from None
        raise IdentityError(
            "bad-redirect",
            f"{guest}: {host_of(target)} redirects more than {MAX_REDIRECTS} times",
            "use the URL that it finally leads to",
        )

    async def aclose(self) -> None:
        """Close all connections. The next request makes new ones."""
        clients, self._clients, self._trusted = self._clients, {}, None
        for client in clients.values():
            await client.aclose()

    async def _proxy(self, target: httpx.URL) -> Proxy | None:
        """Plain http goes to loopback: a proxy would carry it off the machine."""
        if target.scheme != "https":
            return None
        return await in_own_thread(partial(proxy_for, host_of(target), target.port or 443))

    def _client(self, guest: Guest, scheme: str, proxy: Proxy | None) -> httpx.AsyncClient:
        if (scheme, proxy) not in self._clients:
            self._clients[scheme, proxy] = self._new_client(guest, scheme, proxy)
        return self._clients[scheme, proxy]

    def _new_client(self, guest: Guest, scheme: str, proxy: Proxy | None) -> httpx.AsyncClient:
        """Verifies the forge's TLS also behind an office's proxy; SSL_CERT_FILE may name its CA.

        Plain http has a context that trusts no one, which spares loading the CAs.
        """
        import ssl
        from http.cookiejar import DefaultCookiePolicy

        import httpx

        trusted = self._cas(guest) if scheme == "https" else None
        over_tls = trusted if proxy and proxy.url.lower().startswith("https:") else None
        try:
            client = httpx.AsyncClient(
                verify=trusted or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                trust_env=False,
                proxy=_through(proxy, over_tls) if proxy else None,
                timeout=httpx.Timeout(self._whole_seconds, connect=self._connect_seconds),
                headers={
                    "User-Agent": f"pairing/{__version__}",
                    "Accept": "text/plain",
                    "Accept-Encoding": "identity",  # a compressed body could outgrow any cap
                },
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise _unusable(guest, proxy, error) from None
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return client

    def _cas(self, guest: Guest) -> ssl.SSLContext:
        """Loaded once: they take some MiB and tens of milliseconds."""
        import httpx

        try:
            self._trusted = self._trusted or httpx.create_ssl_context()
        except OSError as error:
            raise IdentityError(
                "forge-unreachable",
                f"{guest}: the certificates of the environment: {foreign(str(error))}",
                "fix SSL_CERT_FILE or SSL_CERT_DIR, then pairctl restart",
            ) from None
        return self._trusted


def _through(proxy: Proxy, over_tls: ssl.SSLContext | None) -> httpx.Proxy:
    """Raises ValueError or httpx.InvalidURL for an address that cannot be used."""
    import httpx

    through = httpx.Proxy(proxy.url, ssl_context=over_tls)
    if (through.url.port or 0) > MAX_PORT:  # httpx itself would fail on connecting
        raise ValueError("not a port")
    return through


def _unusable(guest: Guest, proxy: Proxy | None, error: Exception) -> IdentityError:
    """SOCKS needs socksio: without it httpx raises ImportError."""
    if proxy and isinstance(error, ImportError):
        cause = f"{proxy} speaks SOCKS, which needs the Python package socksio"
        remedy = (
            "set https_proxy to an http:// proxy, or install that: pipx inject pairctl socksio; "
            "then pairctl restart"
        )
    elif proxy and proxy.url.lower().startswith(("http:", "https:")):
        cause = f"{proxy} cannot be used: its address is not {_PROXY_FORM}"
        remedy = f"{proxy.remedy}; in a password write %23 for #, %2F for / and %3F for ?"
    else:
        cause, remedy = (
            f"{proxy} is not an http:// or https:// proxy",
            proxy.remedy if proxy else "",
        )
    return IdentityError("forge-unreachable", f"{guest}: {cause}", remedy)


def _askable(url: str) -> httpx.URL | None:
    """Only URLs in the grammar of guests: httpx raises foreign errors for some others."""
    import httpx

    try:
        parse_guest(url, ())
        return httpx.URL(url)
    except (Refused, httpx.InvalidURL):
        return None


def _redirected(guest: Guest, source: httpx.URL, location: httpx.URL) -> httpx.URL:
    """Once encrypted, always encrypted; once on loopback, always on loopback."""
    target = _askable(str(location).partition("#")[0])
    if target and target.scheme == source.scheme:
        return target
    where = f"{foreign(location.scheme)}://{host_of(location)}, which is not followed"
    raise _not_followed(guest, source, where)


def _not_followed(guest: Guest, source: httpx.URL, where: str) -> IdentityError:
    return IdentityError(
        "bad-redirect",
        f"{guest}: {host_of(source)} redirects to {where}",
        f"use an https:// URL that does not redirect, {ANOTHER_WAY}",
    )


async def _body(guest: Guest, response: httpx.Response) -> bytes:
    if response.status_code != HTTPStatus.OK:
        raise replies.no_list(guest, response)
    if response.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
        raise not_a_key_list(guest, Format("compressed content"))
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_BYTES:
            raise too_long(guest)
    return bytes(content)
