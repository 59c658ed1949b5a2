"""URLs that a device on the LAN names: the real host of each."""

from __future__ import annotations

from urllib.parse import urlsplit

from pairingd.core.ports import bracketed

LONGEST = 512


def location_host(location: str) -> str | None:
    """The host of a plain http URL without credentials, oddities or unprintable characters."""
    if not location.isprintable() or " " in location or len(location) > LONGEST:
        return None
    try:
        parts = urlsplit(location)
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        return None
    if parts.scheme != "http" or "@" in parts.netloc or parts.fragment:
        return None
    return parts.hostname


def repointed(location: str, gateway: str) -> str:
    """The same place at the gateway's own address.

    A scope is written as it is (`[fe80::1%eth0]`): no reader here knows RFC 6874's `%25`.
    """
    parts = urlsplit(location)
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{bracketed(gateway)}{port}").geturl()
