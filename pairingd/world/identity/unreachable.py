"""One line on why no answer came, and whose fault it is: the proxy's, or the forge's."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pairingd.core.guest import Guest
from pairingd.core.text import one_line
from pairingd.errors import IdentityError
from pairingd.world.identity.key_list import ANOTHER_WAY
from pairingd.world.identity.proxies import Proxy

if TYPE_CHECKING:
    import httpx

_MAX_FOREIGN_CHARS = 120  # of foreign text in a message
# X.509 verification errors (openssl-verification-options(1)) that a wrong clock can cause.
_OF_THE_CLOCK = frozenset({9, 10})
_H11_QUOTE = re.compile(r"bytearray\(b(['\"])(.*)\1\)")  # of a line that is not HTTP

TRY_AGAIN = f"check this machine's network and try again, {ANOTHER_WAY}"


def unreachable(
    guest: Guest,
    target: httpx.URL,
    error: Exception,
    proxy: Proxy | None,
    *,
    connect_seconds: float,
    whole_seconds: float,
) -> IdentityError:
    """`proxy` is the one, if any, that had not reached the forge when `error` came."""
    import ssl

    import httpx

    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    where = str(proxy or host_of(target))
    if isinstance(error, httpx.ProxyError):
        problem = f"{where} answers: {foreign(str(error))}"
    elif isinstance(error, httpx.ConnectTimeout):
        problem = f"no connection to {where} within {connect_seconds:g} s"
    elif isinstance(error, TimeoutError | httpx.TimeoutException):
        problem = f"{where} sent no complete reply within {whole_seconds:g} s"
    elif is_unresolved(error):
        problem = f"{where}: its name could not be resolved" if proxy else unresolved(str(target))
    elif tls:
        problem = f"TLS with {where} failed: {foreign(str(tls))}"
    else:
        problem = f"{where}: {_cause(causes[-1])}"
    remedy = f"{proxy.remedy}; {ANOTHER_WAY}" if proxy else TRY_AGAIN
    if isinstance(tls, ssl.SSLCertVerificationError) and tls.verify_code in _OF_THE_CLOCK:
        remedy = f"check this machine's clock with date(1), {ANOTHER_WAY}"
    return IdentityError("forge-unreachable", f"{guest}: {problem}", remedy)


def is_unresolved(error: Exception) -> bool:
    """Whether an `error` of httpx means that the host's name leads nowhere, or is none."""
    import httpx

    return isinstance(error, httpx.InvalidURL) or any(
        isinstance(cause, socket.gaierror | UnicodeError | IndexError) for cause in _causes(error)
    )


def unresolved(url: str) -> str:
    return f"cannot fetch {foreign(url)}: the name could not be resolved"


def foreign(text: str) -> str:
    return one_line(text, _MAX_FOREIGN_CHARS)


def host_of(url: httpx.URL) -> str:
    """As sent: httpx raises on decoding some `xn--` names."""
    return foreign(url.raw_host.decode("ascii", "replace"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return foreign(_H11_QUOTE.sub(r"\2", str(error))) or type(error).__name__
