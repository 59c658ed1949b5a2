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

ANOTHER_WAY = 'or invite with file:PATH or "key:TYPE BASE64"'


class Fetched(Struct, frozen=True):
    """At least one key, and what the host should know about its list."""

    keys: tuple[Key, ...]
    warnings: list[Problem]


def read(guest: Guest, content: bytes) -> Fetched:
    """Distinguishes what is no key list at all from one whose lines are all refused."""
    parsed = parse_key_list(content)
    unnamed = parsed.refused and not any(line.type for line in parsed.refused)
    if key_formats.is_page(content) or (unnamed and not parsed.keys):
        raise not_a_key_list(guest, key_formats.whole(content))
    return judged(guest, parsed)


def judged(guest: Guest, parsed: KeyList) -> Fetched:
    refused = _reasons(parsed.refused)
    if not parsed.keys and not refused and guest.provider == "file":
        raise IdentityError(
            "no-keys", f"{guest}: the file holds no SSH key", key_formats.ONE_A_LINE
        )
    if not parsed.keys and not refused:
        raise IdentityError(
            "no-keys",
            f"{guest}: no SSH key is published there",
            f"ask them to publish one, {ANOTHER_WAY}",
        )
    if not parsed.keys:
        remedies = [line.remedy for line in parsed.refused]
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
        for key in parsed.keys
        if is_weak(key)
    )
    return Fetched(parsed.keys, warnings)


def not_a_key_list(guest: Guest, actual: key_formats.Format) -> IdentityError:
    return IdentityError(
        "not-a-key-list",
        f"{guest}: not a list of public keys but {actual.name}",
        _for(guest, actual.remedy),
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
