"""Where guests' keys come from: forges, URLs, files, or the words of the invitation itself.

Whatever answers is hostile: time, size and redirects are bounded, and its text reaches a message
only as printable characters. Errors are IdentityErrors that name the guest:

    no-such-user        the forge knows no such account (404, 410)
    no-keys             there is such an account; it has published nothing
    no-acceptable-keys  each line was refused; the message says why
    not-a-key-list      an HTML page, a login form, anything else
    key-list-too-long   more than MAX_BYTES
    rate-limited        `data["retry_after"]` has the seconds to wait, where they were told
    forge-refused       any other answer, such as 401
    forge-unreachable   DNS, TCP, TLS, time, HTTP or 5xx
    bad-redirect        to plain http, off loopback, or too often
    no-such-file, unreadable-file
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import re
import socket
import ssl
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from pairingd import __version__
from pairingd.config import Provider
from pairingd.core.durations import format_duration
from pairingd.core.guest import URL_PROVIDERS, Guest, parse_guest
from pairingd.core.keys import ANOTHER_KEY, KeyList, RefusedLine, is_weak, parse_key_list
from pairingd.core.model import Key, Problem
from pairingd.core.refusal import Refused
from pairingd.core.text import one_line
from pairingd.errors import IdentityError

if TYPE_CHECKING:
    import httpx  # megabytes, wanted only once a URL is asked

MAX_BYTES = 256 * 1024
MAX_REDIRECTS = 5
CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 10.0
_MAX_RETRY_AFTER = 7 * 86400
_MAX_REASONS = 5
_MAX_FOREIGN = 120  # characters of foreign text in a message

_ANOTHER_WAY = "or invite with file:PATH or key:TYPE BASE64"
_ONE_A_LINE = "it must hold one public key a line, as a .pub file does"
_TRY_AGAIN = f"check this machine's network and try again, {_ANOTHER_WAY}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """At least one key, and what the host should know about the list it stood in."""

    keys: tuple[Key, ...]
    warnings: list[Problem]


class IdentityProviders:
    """httpx and its connections come into memory with the first URL, and go with `aclose`."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        connect_seconds: float = CONNECT_SECONDS,
        whole_seconds: float = WHOLE_SECONDS,
    ) -> None:
        self._providers = providers
        self._connect_seconds = connect_seconds
        self._whole_seconds = whole_seconds
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def keys(self, guest: Guest) -> Fetched:
        """The guest's keys as they are published now. Raises IdentityError."""
        if guest.key:
            return _judge(guest, KeyList((guest.key,), ()))
        if guest.provider == "file":
            content = await asyncio.to_thread(_read, guest)
        elif guest.provider in self._providers:
            content = await self._get(
                guest, self._providers[guest.provider].keys_url.replace("{name}", guest.name)
            )
        else:
            content = await self._get(guest, guest.name)
        return _judge(guest, _key_list(guest, content))

    async def fetch_all(self, guests: Iterable[Guest]) -> dict[Guest, Fetched]:
        """All guests' keys, fetched at the same time; the first error cancels the others."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {one: group.create_task(self.keys(one)) for one in dict.fromkeys(guests)}
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {guest: task.result() for guest, task in tasks.items()}

    async def aclose(self) -> None:
        """Let go of all connections. The next fetch makes new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def _get(self, guest: Guest, url: str) -> bytes:
        import httpx

        target = _askable(url)
        if not target:
            raise IdentityError(
                "forge-unreachable",
                f"{guest}: {_unresolved(url)}",
                "check the URL, or the provider's keys_url in config.toml",
            )
        try:
            async with asyncio.timeout(self._whole_seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    client = self._client(guest, target.scheme)
                    async with client.stream("GET", target) as response:
                        if not response.next_request:
                            return await _body(guest, response)
                        target = _redirected(guest, target, response.next_request.url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._unreachable(guest, target, error) from None
        raise IdentityError(
            "bad-redirect",
            f"{guest}: {_host(target)} redirects more than {MAX_REDIRECTS} times",
            "use the URL that it finally leads to",
        )

    def _client(self, guest: Guest, scheme: str) -> httpx.AsyncClient:
        if scheme not in self._clients:
            try:
                self._clients[scheme] = self._new_client(scheme)
            except (ImportError, OSError, ValueError) as error:
                raise IdentityError(
                    "forge-unreachable",
                    f"{guest}: the environment's proxy or certificates: {_foreign(str(error))}",
                    "fix HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE or SSL_CERT_DIR, "
                    "then pairctl restart",
                ) from None
        return self._clients[scheme]

    def _new_client(self, scheme: str) -> httpx.AsyncClient:
        """A client for each scheme, since the environment must count for one of them alone.

        Behind an office's proxy HTTPS_PROXY is the only way out, and SSL_CERT_FILE may name its
        CA; TLS to the forge holds through it. Plain http goes to loopback: a proxy would carry
        it off the machine. It gets a context that trusts no one, which spares loading the CAs.
        """
        from http.cookiejar import DefaultCookiePolicy

        import httpx

        encrypted = scheme == "https"
        client = httpx.AsyncClient(
            verify=True if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=encrypted,
            timeout=httpx.Timeout(self._whole_seconds, connect=self._connect_seconds),
            headers={
                "User-Agent": f"pairing/{__version__}",
                "Accept": "text/plain",
                "Accept-Encoding": "identity",  # a compressed body could outgrow any cap
            },
        )
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return client

    def _unreachable(self, guest: Guest, target: httpx.URL, error: Exception) -> IdentityError:
        import httpx

        host = _host(target)
        causes = list(_causes(error))
        if isinstance(error, httpx.ConnectTimeout):
            what = f"no connection to {host} within {self._connect_seconds:g} s"
        elif isinstance(error, TimeoutError | httpx.TimeoutException):
            what = f"{host} sent no complete reply within {self._whole_seconds:g} s"
        elif isinstance(error, httpx.InvalidURL) or any(
            isinstance(cause, socket.gaierror | UnicodeError | IndexError) for cause in causes
        ):
            what = _unresolved(str(target))
        elif tls := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
            what = f"TLS with {host} failed: {_foreign(str(tls))}"
        else:
            what = f"{host}: {_cause(causes[-1])}"
        return IdentityError("forge-unreachable", f"{guest}: {what}", _TRY_AGAIN)


def _unresolved(url: str) -> str:
    return f"cannot fetch {_foreign(url)}: the name could not be resolved"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return _foreign(str(error)) or type(error).__name__


def _askable(url: str) -> httpx.URL | None:
    """Only what is in the grammar of guests: some other URLs end in errors httpx does not own."""
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
    raise IdentityError(
        "bad-redirect",
        f"{guest}: {_host(source)} redirects to {_foreign(location.scheme)}://{_host(location)}, "
        "which is not followed",
        f"use an https:// URL that does not redirect, {_ANOTHER_WAY}",
    )


async def _body(guest: Guest, response: httpx.Response) -> bytes:
    if response.status_code != HTTPStatus.OK:
        raise _no_list(guest, response)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _not_a_key_list(guest, "compressed content")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_BYTES:
            raise _too_long(guest)
    return bytes(content)


def _no_list(guest: Guest, response: httpx.Response) -> IdentityError:
    status, host = response.status_code, _host(response.url)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        if guest.provider in URL_PROVIDERS:
            return IdentityError("no-such-user", f"{guest}: nothing is there", "check the URL")
        return IdentityError(
            "no-such-user",
            f"{guest}: {host} has no such user",
            "check the spelling, and on which forge they are: gitlab:NAME, codeberg:NAME, …",
        )
    limited = status == HTTPStatus.FORBIDDEN and (
        "Retry-After" in response.headers or response.headers.get("X-RateLimit-Remaining") == "0"
    )
    if limited or status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = retry_after(response.headers, time.time())
        wait = "a few minutes" if seconds is None else format_duration(seconds)
        return IdentityError(
            "rate-limited",
            f"{guest}: {host} refuses more requests for now",
            f"try again in {wait}, {_ANOTHER_WAY}",
            **({} if seconds is None else {"retry_after": seconds}),
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return IdentityError("forge-unreachable", f"{guest}: {host} answers {status}", _TRY_AGAIN)
    return IdentityError(
        "forge-refused",
        f"{guest}: {host} answers {status}",
        f"its key lists must be readable without login, {_ANOTHER_WAY}",
    )


def retry_after(headers: Mapping[str, str], now: float) -> int | None:
    """Whole seconds to wait (RFC 9110 §10.2.3, else GitHub's X-RateLimit-Reset), if told."""
    from email.utils import parsedate_to_datetime

    told = headers.get("Retry-After", "")
    if _is_count(told):
        seconds = float(told)
    elif told:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - now
        except (ValueError, OverflowError):
            return None
    elif _is_count(reset := headers.get("X-RateLimit-Reset", "")):
        seconds = float(reset) - now
    else:
        return None
    return min(max(round(seconds), 1), _MAX_RETRY_AFTER)


def _is_count(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,12}", text) is not None


def _read(guest: Guest) -> bytes:
    """Runs in a thread, since a network disk may be slow."""
    try:
        with io.FileIO(guest.name, opener=_open_without_waiting) as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise IdentityError(
            "no-such-file", f"{guest}: no such file", "check the path on this machine"
        ) from None
    except OSError as error:
        raise IdentityError(
            "unreadable-file",
            f"{guest}: {error.strerror}",
            "name a regular file that you can read, such as their id_ed25519.pub",
        ) from None
    if len(content) > MAX_BYTES:
        raise _too_long(guest)
    return content


def _open_without_waiting(path: str, flags: int) -> int:
    """Only a regular file: a FIFO or a terminal could keep its reader for ever."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _key_list(guest: Guest, content: bytes) -> KeyList:
    """What is no key list at all is told apart from one whose lines are each refused."""
    if content.lstrip().startswith(b"<"):
        raise _not_a_key_list(guest, "an HTML page")
    found = parse_key_list(content)
    if not found.keys and found.refused and not any(line.type for line in found.refused):
        private = b"PRIVATE KEY-----" in content
        raise _not_a_key_list(guest, "a private key" if private else "something else")
    return found


def _judge(guest: Guest, found: KeyList) -> Fetched:
    refused = _reasons(found.refused)
    if not found.keys and not refused and guest.provider == "file":
        raise IdentityError("no-keys", f"{guest}: the file holds no SSH key", _ONE_A_LINE)
    if not found.keys and not refused:
        raise IdentityError(
            "no-keys",
            f"{guest}: no SSH key is published there",
            f"ask them to publish one, {_ANOTHER_WAY}",
        )
    if not found.keys:
        raise IdentityError(
            "no-acceptable-keys",
            f"{guest}: no key is acceptable: {refused}",
            ANOTHER_KEY,
        )
    warnings: list[Problem] = []
    if refused:
        warnings.append(
            Problem(
                "refused-keys",
                f"{guest}: not let in: {refused}",
                "the guest must use one of the other keys",
            )
        )
    warnings.extend(
        Problem(
            "weak-key",
            f"{guest}: {key.fingerprint} is an RSA key of only {key.bits} bits",
            ANOTHER_KEY,
        )
        for key in found.keys
        if is_weak(key)
    )
    return Fetched(found.keys, warnings)


def _reasons(refused: tuple[RefusedLine, ...]) -> str:
    told = [f"line {line.number}: {line.reason}" for line in refused[:_MAX_REASONS]]
    if len(refused) > _MAX_REASONS:
        told.append(f"and {len(refused) - _MAX_REASONS} more")
    return "; ".join(told)


def _not_a_key_list(guest: Guest, what: str) -> IdentityError:
    return IdentityError(
        "not-a-key-list",
        f"{guest}: not a list of public keys but {what}",
        _ONE_A_LINE,
    )


def _too_long(guest: Guest) -> IdentityError:
    return IdentityError(
        "key-list-too-long",
        f"{guest}: longer than {MAX_BYTES // 1024} KiB",
        _ONE_A_LINE,
    )


def _foreign(text: str) -> str:
    return one_line(text, _MAX_FOREIGN)


def _host(url: httpx.URL) -> str:
    """As it went over the wire: httpx raises on decoding some `xn--` names."""
    return _foreign(url.raw_host.decode("ascii", "replace"))
