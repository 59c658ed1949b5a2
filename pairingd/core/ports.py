"""TCP ports: as people, programs and relays write them, and those to choose from."""

from __future__ import annotations

MAX_PORT = 65535
DYNAMIC_PORTS = range(49152, 65536)  # RFC 6335 §6
_MAX_DIGITS = 5  # Python refuses to convert thousands


def parse_port(text: str) -> int | None:
    """Return the port from 1 to MAX_PORT; None if the text is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        return None
    return int(text) if 0 < int(text) <= MAX_PORT else None


def bracketed(host: str) -> str:
    """Return the host as written before a port: IPv6 in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def at_port(host: str, port: int) -> str:
    """Return HOST:PORT, with `host` as `bracketed`."""
    return f"{bracketed(host)}:{port}"


def dynamic_port(name: str) -> int:
    """Return one of DYNAMIC_PORTS, always the same for this name."""
    import hashlib  # late: pairctl starts without it

    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return DYNAMIC_PORTS[number % len(DYNAMIC_PORTS)]
