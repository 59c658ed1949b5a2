"""The UPnP child's answers, checked, and the errors that people see for them.

All of it comes from a device on the LAN.
"""

from __future__ import annotations

import errno
import ipaddress
from dataclasses import dataclass
from typing import Annotated, Literal

from pairingd import strict
from pairingd.core.addresses import ExternalClass, external_class
from pairingd.core.model import Mapping
from pairingd.core.text import printable
from pairingd.errors import GatewayError
from pairingd.world.gateway import refusals

# By 718, ConflictInMappingEntry, IGDv1 routers mean policy as well; a port that somebody is seen to
# hold is not asked for.
_POLICY = frozenset({606, 718, 501})
_TAKEN = frozenset({729})
_SAME_PORT = 724
_ACTION_FAILED = 501


def shown(value: str) -> str:
    return printable(value[:80])


def ipv4_or_nothing(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        return ""


def _errno(value: str) -> str:
    if value and value not in errno.errorcode.values():
        raise ValueError("the name of an errno")
    return value


Text = Annotated[str, shown]


@dataclass(frozen=True, slots=True)
class Answer:
    """What upnp_worker.py printed; its docstring has the meaning of the outcomes."""

    outcome: Literal[
        "unreachable", "offhost", "not-igd", "usable", "silent", "absent", "present", "foreign",
        "granted", "refused", "permanent-only", "dropped", "lied", "lied-and-kept",
        "unshown", "unread", "kept", "swept",
    ]  # fmt: skip
    code: Annotated[int, strict.between(0, 999)] = 0
    external: Annotated[str, ipv4_or_nothing] = ""
    status: Text = ""
    holder: Text = ""
    description: Text = ""
    lease: Annotated[int, strict.between(0, 2**31 - 1)] = 0
    permanent: bool = False
    unshown: bool = False
    up_since: Annotated[int, strict.between(-(2**31), 2**31 - 1)] = 0
    count: Annotated[int, strict.between(0, 200)] = 0
    errno: Annotated[str, _errno] = ""


def parse(output: bytes) -> Answer:
    """What the child printed. Raises ValueError: what it parsed in C may have taken it over."""
    return strict.read(Answer, strict.from_json(output))


def is_public(external: str) -> bool:
    return external_class(external) is ExternalClass.PUBLIC


def bad_description_url(url: str) -> GatewayError:
    return GatewayError(
        "bad-description-url",
        f"no router of this network describes itself at {shown(url)}",
        "name a plain http:// URL at the gateway's address, or at one of the same network",
    )


def no_igd(where: str) -> GatewayError:
    return GatewayError(
        "no-gateway",
        f"{where} is no UPnP internet gateway",
        "switch UPnP on in the router, or correct [router] description_url",
    )


def silent() -> GatewayError:
    return GatewayError(
        "router-silent",
        "the router stopped answering to UPnP",
        "try again; restart the router if this lasts",
    )


def cannot_ask(error: OSError) -> GatewayError:
    return GatewayError(
        "router-silent",
        f"this machine cannot ask the router by UPnP: {error.strerror}",
        "pairingd retries; if this lasts, end other programs",
    )


def refusal(answer: Answer, mapping: Mapping) -> GatewayError:
    """The error that people see. Its data's `upnp` is the router's code, 0 where it gave none."""
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
                f"the router makes only mappings that never expire (UPnP error {code})",
                "set [router] allow_permanent = true if you accept that, or forward by hand",
            )
        case "dropped":
            error = GatewayError(
                "router-lied",
                "the router reports success and drops the mapping at once",
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
                f"the router forwards port {port} to another port than requested, and so may "
                "expose this machine's own sshd; pairingd deleted that mapping",
                "update the router's firmware, or forward the port there by hand",
            )
        case "lied-and-kept":
            error = GatewayError(
                "router-lied",
                f"the router forwards port {port} to another port than requested, and so may "
                "expose this machine's own sshd, and does not delete that mapping",
                f"delete the forward of port {port} in the router's settings now",
            )
        case "kept" if not code:
            error = refusals.still_there(port)
        case "unread":
            error = GatewayError(
                "router-failed",
                f"the router does not report who holds port {port} (UPnP error {code})",
                "restart the router, or forward the port there by hand",
            )
        case "silent":
            error = silent()
        case _:
            error = _refused(answer, port)
    error.data["upnp"] = code
    return error


def _refused(answer: Answer, port: int) -> GatewayError:
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
    if code == _ACTION_FAILED and not is_public(answer.external):
        return GatewayError(
            "double-nat",
            f"the router has no public address ({answer.external or 'none'}) and opens no port",
            "another router, or the provider's, is in front of it: forward the port there too, "
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
