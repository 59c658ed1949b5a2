"""Which proxy leads to a host, as curl(1) chooses it (CURLOPT_PROXY, CURLOPT_NOPROXY).

httpx reads the same variables by itself, but makes no connection at all if it cannot parse an entry
of NO_PROXY, or cannot use a variable's proxy. So pairingd chooses here: it ignores variables that
it does not use, and entries that nothing can match.
"""

from __future__ import annotations

import ipaddress
import os
import re

from msgspec import Struct

from pairingd.core.addresses import parse_address

_SYSTEM_SETTINGS = "System Settings, Network, Proxies"


class Proxy(Struct, frozen=True):
    """`source` is the variable's name, or where in System Settings. `url` may hold a password."""

    url: str
    source: str

    def __str__(self) -> str:
        """For messages: without the password, and without what cannot be printed."""
        match = re.fullmatch(r"([\w+.-]+://)(?:.*@)?([\w.:\[\]-]{1,80})/?", self.url, re.ASCII)
        if not match:
            return f"the proxy of {self.source}"
        return f"the proxy {match[1]}{match[2]} ({self.source})"

    @property
    def remedy(self) -> str:
        """How to fix it, or do without it."""
        if self.source == _SYSTEM_SETTINGS:
            return "correct it in System Settings > Network > Details > Proxies"
        return f"correct {self.source}, or unset it, then pairctl restart"


def proxy_for(host: str, port: int) -> Proxy | None:
    """The proxy for https to `host`, or None.

    May ask DNS on macOS, where exceptions can be networks: call it in a thread.
    """
    from urllib.request import getproxies, getproxies_environment, proxy_bypass

    environment = getproxies_environment()
    if not environment:  # as urllib does: the variables, or else System Settings
        url = getproxies().get("https", "")
        return Proxy(url, _SYSTEM_SETTINGS) if url and not proxy_bypass(host) else None
    scheme = "https" if environment.get("https") else "all"
    url = environment.get(scheme, "")
    if not url or bypassed(environment.get("no", ""), host, port):
        return None
    return Proxy(url if "://" in url else f"http://{url}", _variable(scheme))


def bypassed(no_proxy: str, host: str, port: int) -> bool:
    """Whether NO_PROXY names `host`: itself, a domain of it, or a network it is in."""
    return any(_matches(entry, host.strip("[]").rstrip("."), port) for entry in _entries(no_proxy))


def _entries(no_proxy: str) -> list[str]:
    return re.split(r"[\s,]+", no_proxy.lower().strip(" ,"))


def _matches(entry: str, host: str, port: int) -> bool:
    name, its_port = _parted(entry.partition("://")[2] or entry)
    if not name or (its_port and its_port != str(port)):
        return False
    if name == "*":
        return True
    address = parse_address(host)
    if address is None:
        domain = name.removeprefix("*").strip(".")
        return bool(domain) and f".{host.lower()}".endswith(f".{domain}")
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _parted(entry: str) -> tuple[str, str]:
    """The host or network of an entry, and its port or "". An IPv6 address may be in brackets."""
    match = re.fullmatch(
        r"\[(?P<address>[^\[\]]*)\](?P<prefix>/\d{1,3})?(?::(?P<port>\d{1,5}))?/?"
        r"|(?P<name>[^:/]*(?:/\d{1,3})?)(?::(?P<its_port>\d{1,5}))?/?"
        r"|(?P<bare>[^\[\]]*:[^\[\]]*)",
        entry,
    )
    if not match:
        return "", ""
    if match["address"] is not None:
        return match["address"] + (match["prefix"] or ""), match["port"] or ""
    return match["name"] or match["bare"] or "", match["its_port"] or ""


def _variable(scheme: str) -> str:
    """As spelled in the environment; if both are set, the lower-case spelling counts."""
    names = [name for name, value in os.environ.items() if value]
    lower = f"{scheme}_proxy"
    return lower if lower in names else next(name for name in names if name.lower() == lower)
