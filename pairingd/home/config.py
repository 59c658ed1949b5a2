"""config.toml: every key, its type and its default.

An unknown or ill-typed key is refused with the file, the key and the allowed values.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Container, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import asdict

from pairingd import gateways
from pairingd.core import strict
from pairingd.core.guest import parse_guest
from pairingd.core.model import Access
from pairingd.core.records import replace
from pairingd.core.refusal import Refused
from pairingd.core.text import one_line, quoted
from pairingd.errors import Misconfigured
from pairingd.home import private, values
from pairingd.home.values import Duration

_MAX_BYTES = 32 * 1024  # of config.toml; all keys together take 2 KiB
_MAX_SHOWN_CHARS = 100  # of a key or value in an error message
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML: others are in quotes

_NO_LIMIT = values.Size.spelled("")
_TTL, _MAX_TTL, _LEASE = map(Duration.spelled, ("2h", "24h", "10m"))

Address = Annotated[str, values.address]
AbsolutePath = Annotated[str, values.absolute]
CommandLine = Annotated[str, values.command_line]
SharedPaths = Annotated[tuple[str, ...], values.shared_paths]
Members = Annotated[tuple[str, ...], values.members]


class Guests(Struct, frozen=True):
    ttl: Annotated[Duration, values.stay] = _TTL
    max_ttl: Annotated[Duration, values.stay] = _MAX_TTL
    access: Access = Access.WRITE
    ask: bool = False
    account: Annotated[str, values.account] = ""


class Provider(Struct, frozen=True):
    """`keys_url` answers GET with one public key a line, as sshd's authorized_keys has them."""

    keys_url: Annotated[str, values.keys_url]


class Door(Struct, frozen=True):
    address: Annotated[Address, values.all_as_empty] = ""
    port: Annotated[int, strict.between(0, 65535)] = 0


class RouterCommand(Struct, frozen=True):
    """A program of the user in a router's place: split as a shell would, run without a shell."""

    open: CommandLine = ""
    close: CommandLine = ""


class Router(Struct, frozen=True):
    enabled: bool = True
    external_port: Annotated[int, strict.between(1, 65535)] = 22
    protocols: Annotated[tuple[values.ProtocolName, ...], values.some] = gateways.CONFIGURABLE
    gateway: Annotated[str, values.gateway] = ""
    description_url: Annotated[str, values.http_url] = ""
    lease: Annotated[Duration, values.lease] = _LEASE
    allow_permanent: bool = False
    second_gateway: Annotated[str, values.second_gateway] = ""
    second_description_url: Annotated[str, values.second_description_url] = ""
    external_host: Annotated[str, values.host] = ""
    hostname: Annotated[str, values.host_name] = ""
    update: CommandLine = ""
    look_from: Annotated[str, values.ssh_destination] = ""
    command: RouterCommand = RouterCommand()

    @property
    def spoken(self) -> tuple[str, ...]:
        """The names of the protocols in use; a command stands for them all."""
        return ("command",) if self.command.open else self.protocols

    @property
    def asks_second(self) -> bool:
        """Whether pairingd may ask a router in front of the first one, too."""
        return self.enabled and not self.command.open and self.second_gateway != values.OFF

    @property
    def second(self) -> str:
        """The address of the second router, if the user has configured it."""
        return self.second_gateway or host_of(self.second_description_url)

    def of_second(self) -> Router:
        """Return this table with the second router's addresses."""
        return replace(
            self, gateway=self.second_gateway, description_url=self.second_description_url
        )


class RelayCommand(Struct, frozen=True):
    """A program that makes a tunnel: split as a shell would, run without a shell. `says` matches
    the guests' host and port in its output.
    """

    run: CommandLine = ""
    says: Annotated[str, values.endpoint_pattern] = ""


class Relay(Struct, frozen=True):
    """`ssh` is a destination of ssh(1), empty for no relay. `port` 0 means a usual one.

    `join`: guests use the relay's `port`, or `ssh -J` through it; `auto`: `ssh -J` if the port
    fails.
    """

    ssh: Annotated[str, values.ssh_destination] = ""
    join: Literal["port", "jump", "auto"] = "port"
    port: values.RelayPort = 0
    bind: Address = "0.0.0.0"  # noqa: S104 - guests come from anywhere
    ssh_program: AbsolutePath = ""
    command: RelayCommand = RelayCommand()


class Cgnat(Struct, frozen=True):
    """`stun` is a STUN server, asked over TCP, "" for none. It belongs to a third party."""

    stun: Annotated[str, values.stun_server] = ""

    @property
    def server(self) -> tuple[str, int]:
        return values.host_and_port(self.stun, values.STUN_PORT)


class Tmux(Struct, frozen=True):
    session: Annotated[str, values.session_name] = "pairing"
    command: AbsolutePath = ""


class Host(Struct, frozen=True):
    attach: bool = False
    keep_awake: bool = True
    notify: bool = True


class Box(Struct, frozen=True):
    """What a box shares besides its directory. `memory` is per process, `processes` for all of
    them.

    `network`: "none"; "internet", which includes the local network but not this machine's
    127.0.0.1; or "full", all that this machine reaches, including services that listen only for
    itself.
    """

    read: SharedPaths = ()
    write: SharedPaths = ()
    env: Annotated[tuple[str, ...], values.variables] = ("EDITOR",)
    network: Literal["none", "internet", "full"] = "none"
    memory: values.Size = _NO_LIMIT
    processes: Annotated[int, strict.between(0, 1_000_000)] = 0


class Sshd(Struct, frozen=True):
    command: Annotated[str, values.program] = "/usr/sbin/sshd"


PROVIDERS: Mapping[str, Provider] = {
    "github": Provider("https://github.com/{name}.keys"),
    "gitlab": Provider("https://gitlab.com/{name}.keys"),
    "codeberg": Provider("https://codeberg.org/{name}.keys"),
    "sourcehut": Provider("https://meta.sr.ht/~{name}.keys"),
}


class Config(Struct, frozen=True):
    guests: Guests = Guests()
    providers: dict[Annotated[str, values.provider_name], Provider] = field(
        default_factory=lambda: dict(PROVIDERS)
    )
    door: Door = Door()
    router: Router = Router()
    tmux: Tmux = Tmux()
    sshd: Sshd = Sshd()
    host: Host = Host()
    box: Box = Box()
    relay: Relay = Relay()
    cgnat: Cgnat = Cgnat()
    groups: dict[Annotated[str, values.group_name], Members] = field(default_factory=dict)

    @property
    def forwarded_address(self) -> str:
        """The only address of ours that a router may lead to; "": any. The user's own program knows
        where it leads.
        """
        return "" if self.router.command.open else self.door.address


class Settings(Struct, frozen=True):
    """The configuration in force, the keys that the file sets, and what was read; None: no file."""

    config: Config
    file: str
    given: frozenset[str] = frozenset()
    content: bytes | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether the file now holds something else, which the next start reads."""
        try:
            return private.read_config(self.file) != self.content
        except Misconfigured:
            return False


def load(path: Path) -> Settings:
    """Return the configuration in `path`, or the defaults if there is no such file.

    Raises Misconfigured: `unsafe-config` or `unsafe-home` if other users could have written it,
    `bad-config` with the line of a syntax error or the key of a wrong value.
    """
    content = private.read_config(str(path))
    if content is None:
        return Settings(Config(), str(path))
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Settings:
    if len(content) > _MAX_BYTES:  # tomllib's time is the square of a dotted key's length
        raise Misconfigured(
            "bad-config", f"{name}: more than {_MAX_BYTES // 1024} KiB", "shorten the file"
        )
    try:
        tables = tomllib.loads(content.decode("utf-8-sig"))
        given = frozenset(key for key, _ in flat(tables))
        config = _completed(strict.read(Config, tables), given)
        if problem := _inconsistent(config) or _no_guest(config):
            raise Misconfigured("bad-config", f"{name}: {problem[0]}", problem[1])
        return Settings(config, name, given, content)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Misconfigured(
            "bad-config", f"{name}: not UTF-8 (at line {line})", "save the file as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        last_line = content.rstrip().count(b"\n") + 1
        reason = re.sub(r"\(at end of document\)$", f"(at line {last_line}, the last)", str(error))
        # A table comes as the repr of a tuple: ('providers', 'github').
        reason = re.sub(r"\('(.*?)',?\)", r"[\1]", reason).replace("', '", ".")
        raise Misconfigured(
            "bad-config", f"{name}: {reason}", "fix the TOML at that line; text values need quotes"
        ) from None
    except strict.Unfit as error:
        raise _bad_value(error, name) from None
    except (ValueError, RecursionError):  # tomllib raises these for huge numbers and deep nesting
        raise Misconfigured(
            "bad-config",
            f"{name}: nested too deeply, or a number is too long (at line {_overflow(content)})",
            "fix the TOML at that line",
        ) from None


def _completed(config: Config, given: Container[str]) -> Config:
    """Add what depends on the keys that are `given`: a default must not contradict one of them."""
    guests = config.guests
    if "guests.ttl" not in given:
        guests = replace(guests, ttl=min(guests.ttl, guests.max_ttl))
    return replace(config, guests=guests, providers={**PROVIDERS, **config.providers})


def _overflow(content: bytes) -> int:
    """Return the line up to which tomllib can read, but not further. It does not name it."""
    lines = content.decode("utf-8-sig").split("\n")

    def overflows(count: int) -> bool:
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            return False
        except (ValueError, RecursionError):
            return True
        return False

    return bisect_left(range(len(lines)), x=True, key=overflows)


def _inconsistent(config: Config) -> tuple[str, str] | None:
    """Return the conflict between keys that are valid by themselves, and its fix."""
    guests, router = config.guests, config.router
    if guests.max_ttl < guests.ttl:
        return (
            f'guests.max_ttl, "{guests.max_ttl.text}", is shorter than guests.ttl',
            f'make it no shorter than "{guests.ttl.text}", or shorten guests.ttl',
        )
    if bool(router.command.open) != bool(router.command.close):
        return "router.command has only one of open and close", "give both, or neither"
    if router.update and not router.hostname:
        return "router.update is for router.hostname", "give router.hostname as well"
    relay = config.relay
    if relay.ssh and relay.command.run:
        return "relay.ssh and relay.command.run are two relays", "leave one of them out"
    if relay.command.says and not relay.command.run:
        return "relay.command has only says", "give relay.command.run as well"
    if router.external_host and not (router.enabled and router.command.open):
        if router.enabled:
            return (
                "router.external_host is for a port that is forwarded by hand",
                "set router.enabled = false as well, or leave external_host out",
            )
        if not config.door.port:
            return (
                "a port that is forwarded by hand needs a fixed door.port",
                "set door.port to the port that the router forwards to",
            )
    return None


def _no_guest(config: Config) -> tuple[str, str] | None:
    """Return why a member of a group can be no guest, and its fix."""
    for name, group in config.groups.items():
        for member in group:
            try:
                parse_guest(member, config.providers)
            except Refused as refused:
                return f"groups.{name}: {refused.message}", refused.hint
    return None


def flat(tables: Mapping[str, Any] | Struct, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key with its tables' names, such as `guests.ttl`, and its value."""
    for name, value in (asdict(tables) if isinstance(tables, Struct) else tables).items():
        if isinstance(value, dict | Struct):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _bad_value(unfit: strict.Unfit, name: str) -> Misconfigured:
    names = (part if _BARE_KEY.fullmatch(part) else quoted(part) for part in unfit.path)
    key = one_line(".".join(names), _MAX_SHOWN_CHARS)
    if isinstance(unfit, strict.Unknown):
        return Misconfigured(
            "bad-config", f"{name}: unknown key {key}", f"allowed there: {', '.join(unfit.allowed)}"
        )
    if isinstance(unfit.value, dict) and unfit.expected.startswith("a table"):
        cause = f"is not {unfit.expected}"  # it is one, and lacks a key
    else:
        cause = f"= {_as_toml(unfit.value)} is not allowed"
    return Misconfigured("bad-config", f"{name}: {key} {cause}", f"{key} must be: {unfit.expected}")


def _as_toml(value: object) -> str:
    """Return `value` roughly as the user wrote it."""
    match value:
        case bool():
            return str(value).lower()
        case date() | time():
            return value.isoformat()
        case dict():
            return "a table"
        case _:
            return (
                quoted(value) if isinstance(value, str) else one_line(repr(value), _MAX_SHOWN_CHARS)
            )


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""
