"""Checks for the values of config.toml, for `core.strict`, which names the allowed values."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pairingd import gateways
from pairingd.account.place import NAME
from pairingd.core.addresses import ip_version
from pairingd.core.durations import parse_duration
from pairingd.core.guest import parse_guest
from pairingd.core.ports import parse_port
from pairingd.core.refusal import Refused
from pairingd.core.strict import allows
from pairingd.core.text import has_controls

# RFC 1123 §2.1, with a dot at least: a bare word is more likely a mistake. `xn--`: RFC 5890 §2.3.2
HOST_NAME = re.compile(
    r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])",
    re.IGNORECASE | re.ASCII,
)
STUN_PORT = 3478  # RFC 8489 §18.6
_SSH_USER = r"(?:[a-z0-9._][a-z0-9._@+-]*@)?"
_SSH_DESTINATION = re.compile(  # ssh(1): brackets and a port are for the URI alone
    rf"{_SSH_USER}[a-z0-9._][a-z0-9._:-]*"
    rf"|(?-i:ssh://){_SSH_USER}(?:\[[a-f0-9:.]+\]|[a-z0-9._][a-z0-9._-]*)(?::(?P<port>\d{{1,5}}))?",
    re.IGNORECASE | re.ASCII,
)
_MAX_DESTINATION_CHARS = 256
_MAX_STAY_S = 36500 * 86400  # RFC 3339 has four digits for the year
_ADDRESS = re.compile(r"[0-9a-f.:]+(%[\w.-]+)?", re.IGNORECASE | re.ASCII)  # RFC 4007 §11.2
_GRAPHIC = re.compile(r"[!-~]+")  # what RFC 3986 §2 lets a URL have is among these
_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_GROUP_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # TOML's bare keys
OFF = "off"
_RESERVED_PROVIDERS = frozenset({"file", "key", "http", "https"})

if TYPE_CHECKING:
    ProtocolName = str
else:
    ProtocolName = Literal[gateways.CONFIGURABLE]


class _RelayPort:
    """`"assigned"`: whichever port the relay assigns."""

    @staticmethod
    def spelled(value: object) -> object:
        if value == "assigned" or (type(value) is int and 0 <= value <= 65535):
            return value
        raise ValueError('an integer from 0 to 65535, or "assigned"')


if TYPE_CHECKING:
    RelayPort = int | Literal["assigned"]
else:
    RelayPort = _RelayPort


class Duration(int):
    """Seconds, and `text`, as the user wrote them: `"90m"`."""

    text: str

    @classmethod
    def spelled(cls, value: object) -> Duration:
        try:
            duration = cls(parse_duration(value if isinstance(value, str) else ""))
        except Refused:
            raise ValueError('a duration in quotes: "45s", "90m", "2h", "1h30m" or "1d"') from None
        duration.text = str(value)
        return duration


class Size(int):
    """Bytes, and `text`, as the user wrote them: `"2G"`; 0 and "" for no limit."""

    text: str

    @classmethod
    def spelled(cls, value: object) -> Size:
        match = re.fullmatch(r"([1-9]\d{0,5})([MG])", str(value), re.ASCII)
        if not isinstance(value, str) or (value and not match):
            raise ValueError('a size in quotes, such as "512M" or "2G", or empty')
        size = cls(int(match[1]) << (20 if match[2] == "M" else 30) if match else 0)
        size.text = value
        return size


@allows("a URL in quotes with {name} once, in its path, and no other braces")
def keys_url(value: str) -> str:
    try:
        named = "{name}" in urlsplit(value).path
    except ValueError:  # its text would be taken for what is allowed
        named = False
    if re.findall("[{}]", value) != ["{", "}"] or not named:
        raise ValueError
    try:
        parse_guest(value.replace("{name}", "name"), ())
    except Refused:
        raise ValueError(
            "an https:// URL (plain http:// only to loopback) with neither @host nor #fragment"
        ) from None
    return value


@allows('an IP address in quotes, or ""')
def address(value: str) -> str:
    """Of one machine, or all of one's."""
    if value and (not _ADDRESS.fullmatch(value) or not ip_version(value) or _is_of_many(value)):
        raise ValueError
    return value


def _is_of_many(value: str) -> bool:
    return value == "255.255.255.255" or ipaddress.ip_address(value).is_multicast


@allows('an IP address of a machine in quotes, or ""')
def machine(value: str) -> str:
    if address(value) and ipaddress.ip_address(value).is_unspecified:
        raise ValueError
    return value


@allows('an IPv4 address of a machine in quotes, or ""')
def gateway(value: str) -> str:
    if machine(value) and ip_version(value) != 4:
        raise ValueError
    return value


@allows(f'a private IPv4 address in quotes, "{OFF}", or ""')
def second_gateway(value: str) -> str:
    try:
        fits = value in {"", OFF} or not ipaddress.IPv4Address(value).is_global
    except ValueError:
        fits = False
    if not fits:
        raise ValueError
    return value


@allows('an http:// URL in quotes at a private IPv4 address, or ""')
def second_description_url(value: str) -> str:
    host = urlsplit(http_url(value)).hostname or ""
    if value and (ip_version(host) != 4 or ipaddress.ip_address(host).is_global):
        raise ValueError
    return value


def all_as_empty(value: str) -> str:
    return "" if value and ipaddress.ip_address(value).is_unspecified else value


@allows('an http:// URL in quotes, of the router\'s description, at no IPv6 address, or ""')
def http_url(value: str) -> str:
    if value:
        try:
            parts = urlsplit(value)
            known = parts.scheme == "http" and parts.hostname and parts.port != 0
            ipv4 = ip_version(parts.hostname or "") != 6
            open_to_all = "@" not in parts.netloc  # a control URL with a password is never asked
            fits = bool(known and ipv4 and open_to_all and _GRAPHIC.fullmatch(value))
        except ValueError:
            fits = False
        if not fits:
            raise ValueError
    return value


@allows('a host name with a dot or an IP address, in quotes, or ""')
def host(value: str) -> str:
    if "%" in value:  # a zone is for this machine alone
        raise ValueError
    return value if HOST_NAME.fullmatch(value) else machine(value)


@allows('a host name with a dot, in quotes, or ""')
def host_name(value: str) -> str:
    if value and not HOST_NAME.fullmatch(value):
        raise ValueError
    return value


@allows('a host name with a dot or an IPv4 address, in quotes, perhaps with :PORT; or ""')
def stun_server(value: str) -> str:
    name, port = host_and_port(value, STUN_PORT)
    if value and not ((HOST_NAME.fullmatch(name) or ip_version(name) == 4) and port > 0):
        raise ValueError
    return value


def host_and_port(value: str, usual: int) -> tuple[str, int]:
    """Split HOST[:PORT]; the port is -1 if it is invalid."""
    name, colon, port = value.partition(":")
    return name, (parse_port(port) or -1) if colon else usual


@allows('[user@]host or ssh://[user@]host[:port], in quotes, or ""')
def ssh_destination(value: str) -> str:
    match = _SSH_DESTINATION.fullmatch(value[: _MAX_DESTINATION_CHARS + 1])
    fits = match and len(value) <= _MAX_DESTINATION_CHARS and parse_port(match["port"] or "22")
    if value and not fits:
        raise ValueError
    return value


@allows('a command line in quotes, or ""')
def command_line(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"a command line ({error})") from None
    if value and (not any(words[:1]) or "\0" in value):
        raise ValueError
    return value


def argv(command: str) -> list[str]:
    """Split a command line of config.toml; its program may begin with ~/."""
    program, *arguments = shlex.split(command)
    # Path.expanduser raises if no account defines ~.
    return [os.path.expanduser(program), *arguments]  # noqa: PTH111


@allows("a regular expression in quotes with the groups (?P<host>…) and (?P<port>…)")
def endpoint_pattern(value: str) -> str:
    try:
        groups = re.compile(value.encode()).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"a regular expression of Python ({error})") from None
    if value and not {"host", "port"} <= set(groups):
        raise ValueError
    return value


@allows("letters, digits, - and _ in quotes, at most 64 of them")
def session_name(value: str) -> str:
    # tmux(1): a session name may hold no colon or period; the rest keeps it printable.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value, re.ASCII):
        raise ValueError
    return value


@allows('an absolute path in quotes, or ""')
def absolute(value: str) -> str:
    return value and program(value)


@allows("a list of paths in quotes that begin with / or ~/")
def shared_paths(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(not path.startswith(("/", "~/")) or has_controls(path) for path in value):
        raise ValueError
    return value


@allows('the name of an account made by pairctl account create, in quotes, or ""')
def account(value: str) -> str:
    if value and not NAME.fullmatch(value):
        raise ValueError
    return value


@allows("a list of names of environment variables, in quotes")
def variables(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII) for name in value):
        raise ValueError
    return value


@allows("an absolute path in quotes, not empty")
def program(value: str) -> str:
    if not value.startswith("/") or has_controls(value):
        raise ValueError
    return value


@allows('a duration in quotes: "45s", "90m", "2h", "1h30m" or "1d"; at most "36500d"')
def stay(value: Duration) -> Duration:
    if value > _MAX_STAY_S:
        raise ValueError
    return value


@allows('a duration in quotes from "5s" to "7d"')
def lease(value: Duration) -> Duration:
    if not 5 <= value <= 604800:
        raise ValueError
    return value


def some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("at least one of them; to use no router, set router.enabled = false")
    return value


def provider_name(value: str) -> str:
    if not _PROVIDER_NAME.fullmatch(value) or value in _RESERVED_PROVIDERS:
        raise ValueError(
            "tables named with lower-case letters, digits and -, and none of "
            + ", ".join(sorted(_RESERVED_PROVIDERS))
        )
    return value


def group_name(value: str) -> str:
    if not _GROUP_NAME.fullmatch(value):
        raise ValueError("lists named with letters, digits, - and _")
    return value


@allows('a list of guests, such as "octocat" or "gitlab:ann"; not empty, no groups')
def members(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or any(not member or member.startswith("@") for member in value):
        raise ValueError
    return tuple(map(_from_home, value))


def _from_home(member: str) -> str:
    """With the home directory in a `file:~/…`; the shell does that for pairctl's arguments."""
    prefix, colon, path = member.partition(":")
    if prefix.lower() == "file" and path.startswith("~/"):
        return prefix + colon + os.path.expanduser(path)  # noqa: PTH111 - as in `command`
    return member
