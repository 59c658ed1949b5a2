"""Warnings for a first router whose external address is not on the internet."""

from __future__ import annotations

from msgspec import Struct

from pairingd.core.addresses import external_class, is_shared
from pairingd.core.model import Mapping, Problem
from pairingd.core.refusal import PairingError

_ALTERNATIVES = "ask the provider for a public address, or set up a [relay]"


class NotOpened(Struct, frozen=True):
    """No port is open on the second router, `gateway`, which was `silent` or refused. `gateway` is
    "" if there was none, and `error` has the reason.
    """

    gateway: str
    silent: bool
    error: PairingError


def outermost(first: Mapping | None, second: Mapping | None) -> Mapping | None:
    """Return the mapping that guests on the internet reach first."""
    return second if second and second.external_host else first


def double_nat(
    first: Mapping | None, second: Mapping | None = None, failed: NotOpened | None = None
) -> Problem | None:
    """Return the warning, or None if the guests' endpoint is on the internet. `second` is the
    mapping on the router in front of the `first` one's.
    """
    if first is None or not _has_another_in_front(first.external_host):
        return None
    cause = f"the router's own address {first.external_host} is not on the internet"
    if second is None:
        return _first_alone(first, cause, failed)
    if not second.external_host:
        return Problem(
            "double-nat",
            f"{cause}, and the second router, {second.gateway}, has no external address",
            f"check that router's connection to the internet, {_ALTERNATIVES}",
        )
    if not _has_another_in_front(second.external_host):
        return None
    return Problem(
        "double-nat",
        f"{cause}, nor is that of the second router, {second.gateway}: {second.external_host}",
        f"{_ALTERNATIVES}; guests on the internet may not reach you",
    )


def _first_alone(first: Mapping, cause: str, failed: NotOpened | None) -> Problem:
    if failed is None:
        return Problem(
            "double-nat",
            cause,
            f"also forward the port on the router in front of it, {_ALTERNATIVES}; "
            "guests on the internet may not reach you",
        )
    if not failed.gateway:
        return Problem("double-nat", f"{cause}, and {failed.error.message}", failed.error.hint)
    by_hand = f"forward port {first.external_port} there to {first.external_host} by hand"
    router, hint = f"the second router, {failed.gateway},", f"{by_hand}; or {_ALTERNATIVES}"
    if is_shared(first.external_host):
        router, hint = f"the provider's PCP server, {failed.gateway},", _ALTERNATIVES
    elif failed.silent:
        hint = f"switch UPnP, PCP or NAT-PMP on in {failed.gateway}, or {hint}"
    else:
        hint = f"allow {first.external_host} to open ports in {failed.gateway}, or {hint}"
    failure = "is silent" if failed.silent else f"refused: {failed.error.message}"
    return Problem("double-nat", f"{cause}, and {router} {failure}", hint)


def _has_another_in_front(host: str) -> bool:
    return external_class(host) in {"private", "cgnat"}
