"""The errors that people see for what a UPnP router answers, or does not."""

from __future__ import annotations

import errno
import socket
import sys

from pairingd.core.addresses import is_public
from pairingd.core.text import printable
from pairingd.errors import GatewayError
from pairingd.machine import lan
from pairingd.world.gateway import refusals
from pairingd.world.gateway.upnp.soap import (
    ACTION_FAILED,
    CONFLICT,
    INVALID_ARGS,
    NOT_AUTHORIZED,
    SAME_PORT,
    USED_OTHERWISE,
)

# IGDv1 routers use 718, ConflictInMappingEntry, for policy as well; pairingd does not request a
# port that is seen to be held.
_POLICY = frozenset({NOT_AUTHORIZED, CONFLICT, ACTION_FAILED})
# Some providers' routers answer so to everything, because they have no port to give.
_SHARED_ADDRESS = (
    "your provider may share one address among its customers (CGNAT): ask it for a public address, "
    "or set up a [relay]"
)


def shown(value: str) -> str:
    return printable(value[:80])


def unreachable(url: str, error: OSError, platform: str = sys.platform) -> GatewayError:
    """No description at the URL."""
    if lan.is_denied(error, platform):
        return lan.denied()
    if isinstance(error, TimeoutError):
        return refusals.silent_upnp()
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
        return GatewayError(
            "router-silent",
            f"this machine cannot ask the router by UPnP: {error.strerror}",
            "pairingd retries; if this lasts, end other programs",
        )
    reason = errno.errorcode.get(error.errno or 0, "")
    if isinstance(error, socket.gaierror):
        reason = "the name could not be resolved"
    return GatewayError(
        "no-gateway",
        f"no UPnP description at {shown(url)}{reason and f': {reason}'}",
        "switch UPnP on in the router, or correct [router] description_url",
    )


def bad_description_url(url: str) -> GatewayError:
    return GatewayError(
        "bad-description-url",
        f"no router of this network describes itself at {shown(url)}",
        "name a plain http:// URL at the gateway's own address",
    )


def offhost(url: str) -> GatewayError:
    return GatewayError(
        "router-lied",
        f"{shown(url)} names a control URL on another host",
        "some device poses as the router, or its firmware is broken; look at that address",
    )


def no_igd(url: str) -> GatewayError:
    return GatewayError(
        "no-gateway",
        f"{shown(url)} is no UPnP internet gateway",
        "switch UPnP on in the router, or correct [router] description_url",
    )


def nobody() -> GatewayError:
    return GatewayError(
        "no-gateway",
        "no router answered to UPnP",
        "switch UPnP on in the router, or set [router] description_url",
    )


def taken(port: int, holder: str) -> GatewayError:
    return GatewayError(
        "port-taken",
        f"the router forwards port {port} to {shown(holder) or 'another device'} already",
        "remove that forward in the router, or choose another port with --port",
    )


def lied(port: int, *, kept: bool) -> GatewayError:
    """The Router remembers this verdict."""
    cause = (
        f"the router forwards port {port} to another port or machine than requested, and so may "
        "expose this machine's own sshd"
    )
    if kept:
        outcome = f"{cause}, and does not delete that mapping"
        hint = f"delete the forward of port {port} in the router's settings now"
    else:
        outcome, hint = f"{cause}; pairingd deleted that mapping", refusals.SAME_PORT_HINT
    error = GatewayError("router-lied", outcome, hint)
    error.lied = True
    return error


def kept(port: int, code: int) -> GatewayError:
    """`code` of the action that was to delete it; 0 where it was said to have done so."""
    if code in {0, refusals.NO_CODE}:
        error = refusals.still_there(port)
        error.data["upnp"] = 0
        return error
    return GatewayError(
        "not-permitted" if code == NOT_AUTHORIZED else "router-failed",
        f"the router does not delete the mapping of port {port} (UPnP error {code})",
        "delete it in the router's settings",
        upnp=code,
    )


def unread(port: int, code: int) -> GatewayError:
    return GatewayError(
        "router-failed",
        f"the router does not report who holds port {port}{_numbered(code)}",
        "restart the router, or forward the port there by hand",
        upnp=code,
    )


def refused(code: int, port: int, external: str) -> GatewayError:
    """An action that was refused with `code`. Data's `upnp` is the router's code, 0 for none."""
    error = _refused(code, port, external)
    error.data["upnp"] = 0 if code == refusals.NO_CODE else code
    return error


def permanent_only(code: int, port: int) -> GatewayError:
    hint = "set [router] allow_permanent = true if you accept that, or forward by hand"
    cause = f"the router makes only mappings that never expire (UPnP error {code})"
    if code == INVALID_ARGS:  # the other cause has no code of its own
        cause = (
            f"the router refuses every lease for port {port} (UPnP error {code}): it makes only "
            "mappings that never expire, or it can make none"
        )
        hint = f"{hint}; or {_SHARED_ADDRESS}"
    return GatewayError("permanent-only", cause, hint, upnp=code)


def _refused(code: int, port: int, external: str) -> GatewayError:
    if code == SAME_PORT:
        return GatewayError(
            "same-port-only",
            "the router forwards only between equal ports",
            "fix [door] port, and use the same one with --port",
        )
    if code == USED_OTHERWISE:
        return GatewayError(
            "port-taken",
            f"the router uses port {port} itself",
            "choose another port with --port",
        )
    if code == ACTION_FAILED and not is_public(external):
        return GatewayError(
            "double-nat",
            f"the router has no public address ({shown(external) or 'none'}) and opens no port",
            "another router, or the provider's, is in front of it: forward the port there too, "
            "ask the provider for a public address, or set a [relay]",
        )
    if code in _POLICY:
        also = f"; or {_SHARED_ADDRESS}" if code == CONFLICT else ""
        return GatewayError(
            "not-permitted",
            f"the router does not let this machine open port {port} (UPnP error {code})",
            "allow this device to share ports by itself in the router's settings "
            "(UPnP permissions; in a FRITZ!Box: Permit independent port sharing), "
            f"or choose a high port with --port{also}",
        )
    also = f"; or {_SHARED_ADDRESS}" if code == INVALID_ARGS else ""
    return GatewayError(
        "router-failed",
        f"the router failed to change port {port}{_numbered(code)}",
        f"restart the router, or forward the port there by hand{also}",
    )


def _numbered(code: int) -> str:
    return "" if code in (0, refusals.NO_CODE) else f" (UPnP error {code})"
