"""UPnP Internet Gateway Device (WANIPConnection:1 and :2), by miniupnpc in a child process.

Everything the child answers was told by a device on the LAN and is checked here before use.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import importlib.util
import ipaddress
import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pairingd import config, strict
from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.model import Mapping
from pairingd.core.text import printable
from pairingd.errors import GatewayError
from pairingd.world.gateway import grant, ssdp
from pairingd.world.gateway.adapter import Network, Presence

_ROOT = Path(__file__).parents[3]
# Without `site` (-S) the child starts in two thirds of the time; its two roots come as arguments.
_START = (
    "import sys; sys.path += sys.argv[1:];"
    "from pairingd.world.gateway.upnp_worker import main; main()"
)
_SECONDS = {"survey": 5, "look": 5, "add": 8, "delete": 5, "sweep": 20}
_MAX_ANSWER = 4096
_MAX_SURVEYED = 4
_WEEK = 604800  # the longest lease of WANIPConnection:2 §2.3.18
_CONNECTED = frozenset({"Connected", "Up"})


def _shown(value: str) -> str:
    return printable(value[:80])


def _ipv4_or_nothing(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        return ""


def _errno(value: str) -> str:
    if value and value not in errno.errorcode.values():
        raise ValueError("the name of an errno")
    return value


Text = Annotated[str, _shown]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What upnp_worker.py printed; its docstring has the meaning of the outcomes."""

    outcome: Literal[
        "unreachable", "offhost", "not-igd", "usable", "silent", "absent", "present", "foreign",
        "granted", "refused", "permanent-only", "dropped", "lied", "lied-and-kept",
        "unshown", "unread", "kept", "no-miniupnpc", "swept",
    ]  # fmt: skip
    code: Annotated[int, strict.between(0, 999)] = 0
    external: Annotated[str, _ipv4_or_nothing] = ""
    status: Text = ""
    holder: Text = ""
    description: Text = ""
    lease: Annotated[int, strict.between(0, 2**31 - 1)] = 0
    permanent: bool = False
    unshown: bool = False
    up_since: Annotated[int, strict.between(-(2**31), 2**31 - 1)] = 0
    count: Annotated[int, strict.between(0, 200)] = 0
    errno: Annotated[str, _errno] = ""


@dataclass(frozen=True, slots=True)
class _Where:
    """A network's identity and what a search in it needs to know."""

    identity: str
    address: str
    gateway: str

    @classmethod
    def at(cls, network: Network) -> _Where:
        return cls(network.identity, network.address, network.gateway)

    @classmethod
    def of(cls, mapping: Mapping) -> _Where:
        return cls(mapping.network, mapping.internal_host, mapping.gateway)


class UpnpAdapter:
    """Mappings by UPnP. `ssdp_port` and `platform` are for tests."""

    protocol = "upnp"

    def __init__(
        self,
        settings: config.Router,
        clock: Callable[[], float],
        *,
        ssdp_port: int = ssdp.PORT,
        platform: str = sys.platform,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ssdp_port = ssdp_port
        self._platform = platform
        self._urls: dict[str, str] = {}

    async def probe(self, network: Network) -> bool:
        where = _Where.at(network)
        try:
            await self._ask(where, {"deed": "survey"}, self._urls.get(where.identity, ""))
        except GatewayError as error:
            if error.code == "no-gateway":
                return False
            raise
        return True

    async def open(self, wanted: Mapping, lease: int) -> Mapping:
        return await self._add(wanted, lease)

    async def renew(self, mapping: Mapping, lease: int) -> Mapping:
        return await self._add(mapping, lease)

    async def check(self, mapping: Mapping) -> Presence:
        try:
            url, answer = await self._ask(_Where.of(mapping), _job("look", mapping), _url(mapping))
        except GatewayError as error:
            if error.code == "local-network-denied":
                raise
            return Presence.UNKNOWN
        outside = _external_host(answer.external, url)
        if answer.outcome == "present" and outside and outside != mapping.external_host:
            return Presence.ABSENT  # what was made for the address of before is worth nothing
        return {
            "present": Presence.PRESENT,
            "absent": Presence.ABSENT,
            "foreign": Presence.FOREIGN,
        }.get(answer.outcome, Presence.UNKNOWN)

    async def close(self, mapping: Mapping) -> None:
        ends = "permanent" not in dict(mapping.handle)
        if mapping.unshown and ends and (mapping.granted_until or 0.0) <= self._clock():
            return  # and what may stand there by now cannot be told from ours
        _, answer = await self._ask(_Where.of(mapping), _job("delete", mapping), _url(mapping))
        if answer.outcome not in ("absent", "foreign"):
            raise _refusal(answer, mapping)

    async def sweep(self, network: Network, keep: Collection[int]) -> int:
        """Remove what earlier daemons of this machine left, however it came to be forgotten.

        How many mappings that were. Raises GatewayError like `probe`.
        """
        where = _Where.at(network)
        job = {"deed": "sweep", "address": network.address, "keep": list(keep)}
        _, answer = await self._ask(where, job, self._urls.get(where.identity, ""))
        return answer.count

    async def told(self, network: Network, locations: Sequence[str]) -> None:
        """Take them as if a search of our own had heard of them, and remember the best.

        Raises GatewayError `bad-description-url` for one that no search would have kept, and like
        `open` where none of them is a gateway's; what was known before is then known still.
        """
        where = _Where.at(network)
        for location in locations:
            host = ssdp.location_host(location)
            if not host or (host != where.gateway and not ssdp.on_link(host, where.address)):
                raise _bad_description_url(location)
        self._urls[where.identity] = await self._choose(where, locations)

    async def _add(self, mapping: Mapping, lease: int) -> Mapping:
        handle = dict(mapping.handle)
        permanent = "permanent" in handle
        job = _job("add", mapping) | {
            "lease": 0 if permanent else lease,
            "granted": int(handle.get("lease", "0")),
            "permanent": permanent or self._settings.allow_permanent,
        }
        url, answer = await self._ask(_Where.of(mapping), job, _url(mapping))
        if answer.outcome != "granted":
            raise _refusal(answer, mapping)
        # A mapping without an end, or of an untold one, is looked after as if it had the wanted.
        granted = min(answer.lease or lease, _WEEK)
        handle = {"url": url, "description": answer.description, "lease": str(granted)}
        if answer.permanent:
            handle["permanent"] = "yes"
        if answer.unshown:
            handle |= {"unshown": "yes", "up_since": str(answer.up_since)}
        now = self._clock()
        return replace(
            mapping,
            external_host=_external_host(answer.external, url),
            handle=tuple(handle.items()),
            granted_until=now + granted,
            renew_at=now + max(granted / 2, 4.0),
        )

    async def _ask(self, where: _Where, job: dict[str, Any], url: str) -> tuple[str, _Answer]:
        """The answer of this network's router, searched for when it is not where it was.

        Raises GatewayError `no-gateway`, `router-silent` or `local-network-denied`.
        """
        fixed = self._settings.description_url
        known = fixed or url or self._urls.get(where.identity, "")
        if known:
            answer = await self._run(known, job)
            if answer.outcome not in ("unreachable", "not-igd", "offhost"):
                return known, answer
            self._urls.pop(where.identity, None)
            if fixed:
                raise self._unfit(answer, known)
        found = await self._search(where)
        self._urls[where.identity] = found
        return found, await self._run(found, job)

    async def _search(self, where: _Where) -> str:
        locations, error = await ssdp.search(
            where.address,
            where.gateway,
            lambda host: ssdp.on_link(host, where.address),
            self._ssdp_port,
        )
        if not locations:
            if error is not None and self._denied(errno.errorcode.get(error.errno or 0, "")):
                raise _local_network_denied()
            raise GatewayError(
                "no-gateway",
                "no router answered to UPnP",
                "switch UPnP on in the router, or set [router] description_url",
            )
        return await self._choose(where, locations)

    async def _choose(self, where: _Where, locations: Sequence[str]) -> str:
        own = [url for url in locations if ssdp.location_host(url) == where.gateway]
        problem: GatewayError | None = None
        for group in (own, [url for url in locations if url not in own][:_MAX_SURVEYED]):
            best, refused = await self._best(group[:_MAX_SURVEYED])
            if best:
                return best
            problem = problem or refused
        raise problem or _no_igd("no device")

    async def _best(self, urls: list[str]) -> tuple[str, GatewayError | None]:
        """Connected and public before connected, before any (miniupnpc knows one IGD a search)."""
        surveys = await asyncio.gather(
            *(self._run(url, {"deed": "survey"}) for url in urls), return_exceptions=True
        )
        ranked: list[tuple[int, str]] = []
        problem: GatewayError | None = None
        for url, survey in zip(urls, surveys, strict=True):
            if isinstance(survey, _Answer) and survey.outcome == "usable":
                ranked.append((_worth(survey), url))
            elif isinstance(survey, _Answer):
                problem = problem or self._unfit(survey, url)
            elif isinstance(survey, GatewayError):
                problem = problem or survey
            else:
                raise survey
        return (max(ranked, key=lambda pair: pair[0])[1] if ranked else ""), problem

    def _unfit(self, answer: _Answer, url: str) -> GatewayError:
        if answer.outcome == "unreachable":
            if self._denied(answer.errno):
                return _local_network_denied()
            why = f": {answer.errno}" if answer.errno else ""
            return GatewayError(
                "no-gateway",
                f"no UPnP description at {_shown(url)}{why}",
                "switch UPnP on in the router, or correct [router] description_url",
            )
        if answer.outcome == "offhost":
            return GatewayError(
                "router-lied",
                f"{_shown(url)} names a control URL on another host",
                "some device poses as the router, or its firmware is broken; look at that address",
            )
        return _no_igd(_shown(url))

    def _denied(self, name: str) -> bool:
        # Local Network privacy (macOS 15; Apple TN3179) fails like this and like nothing else.
        return name == "EHOSTUNREACH" and self._platform == "darwin"

    async def _run(self, url: str, job: dict[str, Any]) -> _Answer:
        """One job in a child process, which is gone when this returns, raises or is cancelled."""
        seconds = _SECONDS[job["deed"]]
        try:
            transport, child = await asyncio.get_running_loop().subprocess_exec(
                _Child,
                *(sys.executable, "-I", "-S", "-c", _START, str(_ROOT), binding()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise _cannot_ask(error) from None
        try:
            child.told(transport, json.dumps(job | {"url": url, "seconds": seconds + 1}))
            async with asyncio.timeout(seconds):
                await child.ended.wait()
            answer = strict.read(_Answer, json.loads(child.said))
        except TimeoutError:
            raise _silent() from None
        except ValueError:
            raise grant.unreadable() from None
        finally:
            transport.close()  # which kills what still runs
            await child.ended.wait()
        if answer.outcome == "no-miniupnpc":
            raise _no_miniupnpc()
        return answer


class _Child(asyncio.SubprocessProtocol):
    """What a child says, bounded. asyncio's streams would stop reading there, and never end."""

    def __init__(self) -> None:
        self.said = b""
        self.ended = asyncio.Event()

    def told(self, transport: asyncio.SubprocessTransport, line: str) -> None:
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        stdin.write(line.encode() + b"\n")
        stdin.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - stdout is the only one
        if len(self.said) <= _MAX_ANSWER:
            self.said += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.ended.set()


@functools.cache
def binding() -> str:
    """The directory miniupnpc is imported from, found without importing it here.

    Raises GatewayError `no-miniupnpc`: not every Python has a wheel of it.
    """
    spec = importlib.util.find_spec("miniupnpc")
    if spec is None or spec.origin is None:
        raise _no_miniupnpc()
    return str(Path(spec.origin).parent)


def _job(deed: str, mapping: Mapping) -> dict[str, Any]:
    description = f"pairingd{mapping.token[:8]}"
    handle = dict(mapping.handle)
    return {
        "deed": deed,
        "address": mapping.internal_host,
        "internal_port": mapping.internal_port,
        "external_port": mapping.external_port,
        "description": description,
        "known": handle.get("description", description),
        "unshown": mapping.unshown,
        "up_since": int(handle.get("up_since", "0")),
    }


def _url(mapping: Mapping) -> str:
    return dict(mapping.handle).get("url", "")


def _worth(survey: _Answer) -> int:
    if survey.status not in _CONNECTED:
        return 0
    return 2 if _is_public(survey.external) else 1


def _is_public(external: str) -> bool:
    return external_class(external) is ExternalClass.PUBLIC


def _external_host(told: str, url: str) -> str:
    """What the router says it is called outside; "" where that cannot be true."""
    if external_class(told) is not ExternalClass.BOGUS:
        return told
    # A router that is itself on loopback (a demonstration, a test) may say so of its other side.
    host = ssdp.location_host(url) or ""
    both = (_ipv4_or_nothing(told), _ipv4_or_nothing(host))
    return told if all(x and ipaddress.ip_address(x).is_loopback for x in both) else ""


def _bad_description_url(url: str) -> GatewayError:
    return GatewayError(
        "bad-description-url",
        f"no router of this network describes itself at {_shown(url)}",
        "name a plain http:// URL at the gateway's address, or at one of the same network",
    )


def _no_igd(where: str) -> GatewayError:
    return GatewayError(
        "no-gateway",
        f"{where} is no UPnP internet gateway",
        "switch UPnP on in the router, or correct [router] description_url",
    )


def _no_miniupnpc() -> GatewayError:
    return GatewayError(
        "no-miniupnpc",
        "UPnP cannot be spoken: the Python package miniupnpc is missing or broken",
        "install pairing with Python 3.11 to 3.13, or switch on PCP or NAT-PMP in the router",
    )


def _silent() -> GatewayError:
    return GatewayError(
        "router-silent",
        "the router stopped answering to UPnP",
        "try again; restart the router if this lasts",
    )


def _cannot_ask(error: OSError) -> GatewayError:
    return GatewayError(
        "router-silent",
        f"this machine cannot ask the router by UPnP: {error.strerror}",
        "it is tried again; if this lasts, end other programs",
    )


def _local_network_denied() -> GatewayError:
    return GatewayError(
        "local-network-denied",
        "macOS does not let pairingd reach the local network",
        "allow it in System Settings > Privacy & Security > Local Network",
    )


_POLICY = frozenset({606, 718, 501})
_TAKEN = frozenset({729})
_SAME_PORT = 724
_ACTION_FAILED = 501


def _refusal(answer: _Answer, mapping: Mapping) -> GatewayError:
    """What a person is told. `upnp` in its data is the router's own code, 0 where it gave none."""
    port, code = mapping.external_port, answer.code
    match answer.outcome:
        case "foreign":
            holder = answer.holder or "another device"
            error = GatewayError(
                "port-taken",
                f"the router forwards port {port} to {holder} already",
                "remove that forward in the router, or choose another port with --port",
            )
        case "permanent-only":
            error = GatewayError(
                "permanent-only",
                f"the router makes only mappings that never end by themselves (UPnP error {code})",
                "set [router] allow_permanent = true if you accept that, or forward by hand",
            )
        case "dropped":
            error = GatewayError(
                "router-lied",
                "the router says yes and drops the mapping at once",
                "set [router] allow_permanent = true, or forward the port there by hand",
            )
        case "unshown":
            error = GatewayError(
                "mapping-unshown",
                f"the router does not show what it forwards port {port} to, and another server of "
                "this machine listens there",
                "choose another port with --port, or forward the port there by hand",
            )
        case "lied":
            error = GatewayError(
                "router-lied",
                f"the router leads port {port} to another port than it was told, and so may open "
                "this machine's own sshd; that mapping was deleted",
                "update the router's firmware, or forward the port there by hand",
            )
        case "lied-and-kept":
            error = GatewayError(
                "router-lied",
                f"the router leads port {port} to another port than it was told, and so may open "
                "this machine's own sshd, and does not delete that mapping",
                f"delete the forward of port {port} in the router's settings now",
            )
        case "kept" if not code:
            error = grant.still_there(port)
        case "unread":
            error = GatewayError(
                "router-failed",
                f"the router does not tell who has port {port} (UPnP error {code}), so it is left",
                "restart the router, or forward the port there by hand",
            )
        case "silent":
            error = _silent()
        case _:
            error = _said_no(answer, port)
    error.data["upnp"] = code
    return error


def _said_no(answer: _Answer, port: int) -> GatewayError:
    code = answer.code if answer.outcome == "refused" else 0
    if code == _SAME_PORT:
        return GatewayError(
            "same-port-only",
            "the router forwards only between equal ports",
            "fix [door] port, and use the same one with --port",
        )
    if code in _TAKEN:
        return GatewayError(
            "port-taken",
            f"the router uses port {port} itself",
            "choose another port with --port",
        )
    if code == _ACTION_FAILED and not _is_public(answer.external):
        return GatewayError(
            "double-nat",
            f"the router has no public address ({answer.external or 'none'}) and opens no port",
            "there is another router, or the provider's, before it: forward the port there too, "
            "ask the provider for a public address, or set a [relay]",
        )
    if code in _POLICY:
        return GatewayError(
            "not-permitted",
            f"the router does not let this machine open port {port} (UPnP error {code})",
            "allow this device to share ports by itself in the router's settings "
            "(UPnP permissions; in a FRITZ!Box: Permit independent port sharing), "
            "or choose a high port with --port",
        )
    return GatewayError(
        "router-failed",
        f"the router failed to change port {port} (UPnP error {answer.code})",
        "restart the router, or forward the port there by hand",
    )
