"""The bytes of a key list to keys, and to what the host should know about them."""

from __future__ import annotations

from msgspec import Struct

from pairingd.core import key_formats
from pairingd.core.guest import Guest
from pairingd.core.keys import ANOTHER_KEY, KeyList, RefusedLine, is_weak, parse_key_list
from pairingd.core.model import Key, Problem
from pairingd.core.text import shell
from pairingd.errors import IdentityError

MAX_BYTES = 256 * 1024
_MAX_REASONS = 5

ANOTHER_WAY = "or invite with file:PATH or key:TYPE BASE64"


class Fetched(Struct, frozen=True):
    """At least one key, and what the host should know about the list it stood in."""

    keys: tuple[Key, ...]
    warnings: list[Problem]


def read(guest: Guest, content: bytes) -> Fetched:
    """Tell what is no key list at all apart from one whose lines are each refused."""
    found = parse_key_list(content)
    unnamed = found.refused and not any(line.type for line in found.refused)
    if key_formats.is_page(content) or (unnamed and not found.keys):
        raise not_a_key_list(guest, key_formats.whole(content))
    return judged(guest, found)


def judged(guest: Guest, found: KeyList) -> Fetched:
    refused = _reasons(found.refused)
    if not found.keys and not refused and guest.provider == "file":
        raise IdentityError(
            "no-keys", f"{guest}: the file holds no SSH key", key_formats.ONE_A_LINE
        )
    if not found.keys and not refused:
        raise IdentityError(
            "no-keys",
            f"{guest}: no SSH key is published there",
            f"ask them to publish one, {ANOTHER_WAY}",
        )
    if not found.keys:
        remedies = [line.remedy for line in found.refused]
        raise IdentityError(
            "no-acceptable-keys",
            f"{guest}: no key is acceptable: {refused}",
            ANOTHER_KEY if ANOTHER_KEY in remedies else _for(guest, remedies[0]),
        )
    warnings: list[Problem] = []
    if refused:
        warnings.append(
            Problem(
                "refused-keys",
                f"{guest}: not let in: {refused}",
                "the guest must use one of the other keys",
            )
        )
    warnings.extend(
        Problem(
            "weak-key",
            f"{guest}: {key.fingerprint} is an RSA key of only {key.bits} bits",
            ANOTHER_KEY,
        )
        for key in found.keys
        if is_weak(key)
    )
    return Fetched(found.keys, warnings)


def not_a_key_list(guest: Guest, found: key_formats.Format) -> IdentityError:
    return IdentityError(
        "not-a-key-list",
        f"{guest}: not a list of public keys but {found.name}",
        _for(guest, found.remedy),
    )


def too_long(guest: Guest) -> IdentityError:
    return IdentityError(
        "key-list-too-long",
        f"{guest}: longer than {MAX_BYTES // 1024} KiB",
        key_formats.ONE_A_LINE,
    )


def _for(guest: Guest, remedy: str) -> str:
    return remedy.replace("{file}", shell(guest.name) if guest.provider == "file" else "FILE")


def _reasons(refused: tuple[RefusedLine, ...]) -> str:
    reasons = [f"line {line.number}: {line.reason}" for line in refused[:_MAX_REASONS]]
    if len(refused) > _MAX_REASONS:
        reasons.append(f"and {len(refused) - _MAX_REASONS} more")
    return "; ".join(reasons)
