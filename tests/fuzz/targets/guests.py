"""What guests and strangers choose: sshd's log lines, public keys, the names of guests."""

from __future__ import annotations

import re

from pairingd.core.guest import parse_guest
from pairingd.core.keys import MAX_COMMENT, MAX_LINES, KeyList, parse_key_list
from pairingd.core.model import Key
from pairingd.core.refusal import Refused
from pairingd.world.forced_command.sieve import Sieve
from pairingd.world.sshd import log as sshd_log
from tests.fuzz import mutation, promises
from tests.fuzz.engine import Target

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)
_CODES = ("bad-guest", "unknown-provider", "no-acceptable-keys")
_PROVIDERS = ("github", "gitlab", "codeberg", "sourcehut")


def log_line(data: bytes) -> str:
    """Nobody is let in but in sshd's own words, which are all of the record."""
    found = sshd_log.parse(data)
    if isinstance(found, sshd_log.Accepted):
        assert _FINGERPRINT.fullmatch(found.fingerprint)
        assert data.startswith(b"Accepted publickey for ")
        record = data.removesuffix(b"\n").removesuffix(b"\r")
        assert record.endswith(b" " + found.fingerprint.encode())
        assert not re.search(rb"[\r\n]", record)
    return type(found).__name__


def drawing(data: bytes) -> str:
    """However it is cut, the same passes, and passes again; every ESC begins a known sequence."""
    drawn = Sieve().take(data)
    cut = Sieve()
    assert b"".join(cut.take(data[at : at + 7]) for at in range(0, len(data), 7)) == drawn
    assert Sieve().take(drawn) == drawn
    assert not re.search(rb"\x1b[^][()*+78=>DEHM\\]|\xc2[\x80-\x9f]|\x05", drawn)
    assert not re.search(
        rb"\x1b\[[0-?]*[cnxy]|\x1b\](10|11|4);|\x1b\](12|52);[^\x07\x1b]*\?", drawn
    )
    return f"{len(drawn) < len(data)} {len(Sieve().undo) > 0}"


def key_list(data: bytes) -> str:
    """What is accepted is written for sshd as one line, which reads as the same key."""
    found = parse_key_list(data)
    for refused in found.refused:
        promises.words(refused.reason + refused.type, 200)
        assert refused.number > 0
    for key in found.keys:
        sound(key)
    assert len({key.blob for key in found.keys}) == len(found.keys)
    assert len(found.keys) + len(found.refused) <= MAX_LINES + 1
    reasons = {line.reason.replace(line.type or " ", "") for line in found.refused}
    return " ".join(sorted({key.type for key in found.keys} | reasons)[:2])


def sound(key: Key) -> None:
    assert _FINGERPRINT.fullmatch(key.fingerprint)
    assert key.comment.isprintable()
    assert len(key.comment) <= MAX_COMMENT
    line = f"{key.type} {key.blob} {key.comment}".rstrip()
    assert line.isprintable()
    assert parse_key_list(line.encode()) == KeyList((key,), ())


def guest_name(data: bytes) -> str:
    """What is a guest is so again by its identity, and harmless in a URL, a path and a terminal."""
    text = data.decode(errors="surrogateescape")
    try:
        guest = parse_guest(text, _PROVIDERS)
    except Refused as refused:
        return promises.refusal(refused, _CODES)
    assert str(guest).isprintable()
    if guest.provider in _PROVIDERS:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", guest.name, re.ASCII)
    if guest.key:
        sound(guest.key)
    else:
        assert parse_guest(str(guest), _PROVIDERS) == guest
    return guest.provider


TARGETS = (
    Target("drawing", drawing),
    Target("sshd-log", log_line),
    Target("key-list", key_list, mutation.base64_words),
    Target("guest-name", guest_name, mutation.base64_words),
)
