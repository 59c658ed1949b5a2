"""What to say where the first router's own address is not on the internet."""

from __future__ import annotations

from msgspec import Struct

from pairingd.core.addresses import external_class, is_shared
from pairingd.core.model import Mapping, Problem
from pairingd.core.refusal import PairingError

_OTHERWISE = "ask the provider for a public address, or set up a [relay]"


class NotOpened(Struct, frozen=True):
    """No port on the second router, `gateway`, which was `silent` or refused. `gateway` is "" where
    none was found, and `error` then says why.
    """

    gateway: str
    silent: bool
    error: PairingError


def outermost(first: Mapping | None, second: Mapping | None) -> Mapping | None:
    """What guests on the internet come to first."""
    return second if second and second.external_host else first


def double_nat(
    first: Mapping | None, second: Mapping | None = None, failed: NotOpened | None = None
) -> Problem | None:
    """The warning, unless the guests' endpoint is on the internet. `second` is the mapping on the
    router in front of the `first` one's.
    """
    if first is None or not _has_another_in_front(first.external_host):
        return None
    here = f"the router's own address {first.external_host} is not on the internet"
    if second is None:
        return _first_alone(first, here, failed)
    if not _has_another_in_front(second.external_host):
        return None
    return Problem(
        "double-nat",
        f"{here}, nor is that of the second router, {second.gateway}: {second.external_host}",
        f"{_OTHERWISE}; guests on the internet may not reach you",
    )


def _first_alone(first: Mapping, here: str, failed: NotOpened | None) -> Problem:
    if failed is None:
        return Problem(
            "double-nat",
            here,
            f"also forward the port on the router in front of it, {_OTHERWISE}; "
            "guests on the internet may not reach you",
        )
    if not failed.gateway:
        return Problem("double-nat", f"{here}, and {failed.error.message}", failed.error.hint)
    by_hand = f"forward port {first.external_port} there to {first.external_host} by hand"
    what, hint = f"the second router, {failed.gateway},", f"{by_hand}; or {_OTHERWISE}"
    if is_shared(first.external_host):
        what, hint = f"the provider's PCP server, {failed.gateway},", _OTHERWISE
    elif failed.silent:
        hint = f"switch UPnP, PCP or NAT-PMP on in {failed.gateway}, or {hint}"
    else:
        hint = f"allow {first.external_host} to open ports in {failed.gateway}, or {hint}"
    how = "is silent" if failed.silent else f"refused: {failed.error.message}"
    return Problem("double-nat", f"{here}, and {what} {how}", hint)


def _has_another_in_front(host: str) -> bool:
    return external_class(host) in {"private", "cgnat"}
