"""Makes a public port checker, which the user names, connect to the door.

Its reply proves nothing, neither "open" nor "closed": it may test another address, or its own
network may block the connection. A connection that arrives at the door proves the endpoint.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

from pairingd.core.ports import at_port
from pairingd.core.text import one_line
from pairingd.core.ways import leads_straight
from pairingd.doctor import daemon
from pairingd.doctor.finding import Finding, Subject
from pairingd.world.identity.unreachable import is_unresolved

LIMIT_S = 40.0
_REPLY_TIMEOUT_S = 20.0  # checkers try for some seconds before they answer
_ARRIVAL_TIMEOUT_S = 5.0  # after the checker's reply
_POLL_INTERVAL_S = 0.25
_MAX_REPLY_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 80  # of its reply


async def check(
    subject: Subject, *, arrival_timeout_s: float = _ARRIVAL_TIMEOUT_S
) -> AsyncIterator[Finding]:
    """`arrival_timeout_s` is for tests."""
    if not subject.outside:
        return
    daemon_state = subject.daemon
    place = _place(daemon_state.status.get("endpoints", ()))
    if not daemon_state.status.get("door", {}).get("open"):
        invite = "pairctl invite a guest first; the door is open only then"
        yield Finding.warn("outside", "not tested: the door is closed", invite)
    elif place is None:
        none = "not tested: no endpoint of the door is on the internet"
        yield Finding.warn("outside", none, "see the warnings of: pairctl status")
    else:
        yield await _checked(subject.outside, daemon_state.socket, *place, arrival_timeout_s)


def _place(endpoints: Any) -> tuple[str, int] | None:
    """The best endpoint at which a connection from the internet reaches the door unchanged."""
    for endpoint in endpoints:
        if leads_straight(endpoint["kind"], endpoint["host"]):
            return endpoint["host"], endpoint["port"]
    return None


async def _checked(
    template: str, control: str, host: str, port: int, arrival_timeout_s: float
) -> Finding:
    url = template.replace("{host}", quote(host)).replace("{port}", str(port))
    site = one_line(urlsplit(url).hostname or url, 60)
    before = await _arrivals(control)
    asking = asyncio.create_task(_reply(url, host))
    try:
        until = float("inf")
        now = asyncio.get_running_loop().time
        while now() < until:
            if await _arrivals(control) > before:
                arrived = f"a connection from the internet reached the door ({site} was asked)"
                return Finding.ok("outside", arrived)
            if asking.done() and until == float("inf"):
                until = now() + arrival_timeout_s
            await asyncio.sleep(_POLL_INTERVAL_S)
    finally:
        asking.cancel()
    return Finding.warn(
        "outside",
        f"no connection from the internet has reached the door; {site} {asking.result()}",
        "that alone does not prove it closed; a better test: [router] look_from, or a friend's "
        f"pairctl look {at_port(host, port)} with the fingerprint of the host key",
    )


async def _arrivals(control: str) -> int:
    count = (await daemon.call(control, "arrivals")).get("count")
    return count if isinstance(count, int) else 0


async def _reply(url: str, host: str) -> str:
    """Its reply, as part of a message. Never raises."""
    import httpx

    async def read() -> str:
        transport = httpx.AsyncHTTPTransport(local_address=_unspecified(url, host))
        async with (
            httpx.AsyncClient(transport=transport, timeout=_REPLY_TIMEOUT_S) as client,
            client.stream("GET", url, headers={"Accept": "text/plain, */*"}) as reply,
        ):
            content = b""
            async for chunk in reply.aiter_bytes():
                content += chunk
                if len(content) > _MAX_REPLY_BYTES:
                    break
        if reply.is_redirect:
            return f"redirects to {one_line(reply.headers.get('Location', ''), _SHOWN_CHARACTERS)}"
        text = one_line(content.decode(errors="replace"), _SHOWN_CHARACTERS)
        return f"answers {reply.status_code}: {text or 'nothing'}"

    try:
        async with asyncio.timeout(_REPLY_TIMEOUT_S):
            return await read()
    except TimeoutError:
        return "does not answer"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = one_line(str(error), _SHOWN_CHARACTERS) or type(error).__name__
        if is_unresolved(error):
            reason = "its name could not be resolved"
        return f"cannot be asked: {reason}"


def _unspecified(url: str, host: str) -> str | None:
    """Connect by the endpoint's address family: many checkers test the client's address."""
    for name in (urlsplit(url).hostname or "", host):
        try:
            return "::" if ipaddress.ip_address(name).version == 6 else "0.0.0.0"  # noqa: S104
        except ValueError:
            continue
    return None
