"""What somebody meant who typed something else. Pure: words in; words, a value or a hint out.

What has one meaning alone is done. What could mean something else is refused, with the command
that was probably meant as the hint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pairctl.failures import Usage
from pairingd.core.durations import HINT, parse_duration
from pairingd.core.refusal import Refused
from pairingd.core.text import quoted, shell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The same command by another name.
_SAME = {"kick": "revoke", "list": "status", "ls": "status", "who": "status"}
# A command that was perhaps meant; not close enough to be done.
_PERHAPS = {
    **dict.fromkeys(("add", "new", "open", "share"), "invite GUEST"),
    **dict.fromkeys(("ban", "remove", "rm", "uninvite", "disconnect"), "revoke GUEST"),
    **dict.fromkeys(("close", "exit", "finish", "quit"), "end"),
    **dict.fromkeys(("enter", "join"), "attach"),
    **dict.fromkeys(("accept", "admit", "allow"), "approve GUEST"),
    **dict.fromkeys(("decline", "refuse", "reject"), "deny GUEST"),
    **dict.fromkeys(("info", "guests", "ps"), "status"),
    **dict.fromkeys(("history", "receipts"), "receipt"),
    **dict.fromkeys(("events", "logs"), "log"),
    "check": "doctor",
    "down": "stop",
    "show": "invite --show GUEST",
    "settings": "config",
    "up": "start",
}
_OPTIONS = {
    **dict.fromkeys(("--duration", "--for", "--time", "--timeout", "--until", "-t"), "--ttl"),
    **dict.fromkeys(("--readonly", "--ro", "--view-only", "--watch-only", "-r"), "--read-only"),
    "-p": "--port",
    "-w": "--watch",
}
_ROLES = {
    **dict.fromkeys(("read", "read-only", "readonly", "ro", "r", "view", "watch"), "read"),
    **dict.fromkeys(("write", "read-write", "readwrite", "rw", "w"), "write"),
}
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_NEXT = {"d": "h", "h": "m", "m": "s"}  # the unit of a last number without one: 2h30
# Compiled when they are needed: most starts of pairctl guess nothing.
_KEY_TYPE = (
    r"ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)
_CLOCK = r"(?i:\d{1,2}(?::\d{2}){0,2}\s?[ap]\.?m\.?|\d{1,2}:\d{2}(?::\d{2})?)"


def words(given: Sequence[str]) -> list[str]:
    """The command line that was meant."""
    meant = list(given)
    at = next((i for i, word in enumerate(meant) if not word.startswith("-") or word == "-V"), None)
    if at is None:
        return meant
    first, rest = meant[at], meant[at + 1 :]
    if first in {"-V", "version"}:
        return [*meant[:at], "--version", *rest]
    if first == "help":
        return [*meant[:at], *rest, "--help"]
    meant[at] = _SAME.get(first, first)
    return meant


def command(word: str, known: Iterable[str]) -> str:
    """The hint for an unknown command."""
    found = _PERHAPS.get(word.lower()) or nearest(word, known, cutoff=0.7)
    return f"did you mean: pairctl {found}" if found else "pairctl --help"


def option(word: str, known: Iterable[str]) -> str:
    """The option of this command that was probably meant, or ""."""
    name = word.partition("=")[0]
    known = {one.removeprefix("--") for one in known if one.startswith("--")}
    found = _OPTIONS.get(name, "").removeprefix("--")
    if found not in known:
        found = nearest(name.lstrip("-"), sorted(known), cutoff=0.6)
    return f"--{found}" if found else ""


def nearest(word: str, known: Iterable[str], *, cutoff: float) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word.lower(), known, n=1, cutoff=cutoff)), "")


def duration(text: str) -> int:
    """Seconds, of `2h30`, `+30m`, `2hours` too. Raises Usage `bad-duration`."""
    try:
        return parse_duration(_strict(text))
    except Refused:
        pass
    try:
        return parse_duration(text)
    except Refused as refused:
        # A number alone, or words with spaces, have a likely meaning that could be another one.
        close = _strict(text.replace(" ", "") + ("m" if text.isdecimal() else ""))
        hint = f"did you mean {close}?" if _is_duration(close) else HINT
        raise Usage(refused.code, refused.message, hint) from None


def role(text: str) -> str:
    """`read` or `write` by any of their names; else the text itself."""
    return _ROLES.get(text.lower(), text)


def extension(guest: str, text: str) -> int:
    """The seconds of `pairctl extend GUEST DURATION`."""
    if _is_duration(guest) and not _is_duration(text):
        raise Usage(
            "usage",
            f"the guest comes first: {quoted(guest)} is a duration",
            shell("pairctl", "extend", text, guest),
        )
    if re.fullmatch(_CLOCK, text):
        raise Usage(
            "bad-duration",
            f"not a duration but a time: {quoted(text)}",
            shell("pairctl", "extend", guest, "--until", text),
        )
    return duration(text)


def access(guest: str, text: str) -> str:
    """The access of `pairctl role GUEST read|write`."""
    if text in {"read", "write"}:
        return text
    if role(guest) in {"read", "write"}:
        raise Usage(
            "usage",
            f"the guest comes first: {quoted(guest)} is a role",
            shell("pairctl", "role", text, role(guest)),
        )
    close = nearest(text, sorted(_ROLES), cutoff=0.6)
    raise Usage(
        "usage",
        f"not a role: {quoted(text)}",
        shell("pairctl", "role", guest, role(close)) if close else "a role is read or write",
    )


def guests(named: Sequence[str], verb: str) -> None:
    """Raise Usage where words are no guests, though they could be the names of accounts."""
    for at, word in enumerate(named):
        if re.fullmatch(_KEY_TYPE, word.removeprefix("key:")) and len(named) > at + 1:
            key = " ".join([word.removeprefix("key:"), *named[at + 1 :]])
            raise Usage(
                "bad-guest",
                f"{quoted(word)} begins a public key, which must be one word",
                shell("pairctl", verb, *named[:at], f"key:{key}"),
            )
    if verb != "invite":
        return
    for at, word in enumerate(named):
        others = [*named[:at], *named[at + 1 :]] or ["GUEST"]
        if _is_duration(word):
            meant, what = ["--ttl", _strict(word)], "a duration"
        elif len(named) > 1 and role(word) in {"read", "write"}:
            meant, what = ["--read-only"] if role(word) == "read" else [], "a role"
        else:
            continue
        raise Usage(
            "usage",
            f"{quoted(word)} is {what}, not a guest",
            f"{shell('pairctl', 'invite', *others, *meant)}; the account is github:{word}",
        )


def until(guest: str, text: str) -> str:
    """The hint for a time that is none: perhaps it is a duration."""
    if _is_duration(text):
        return shell("pairctl", "extend", guest, _strict(text))
    return "write 18:30, 6pm, or 2026-01-31T18:30:00+01:00"


def at(guests: Sequence[str], text: str) -> str:
    """The hint for a time to open at that is none: perhaps it is a duration."""
    if _is_duration(text):
        return shell("pairctl", "invite", *guests, "--ttl", _strict(text))
    return "write 14:00, 6pm, or 2026-01-31T14:00:00+01:00"


def _is_duration(text: str) -> bool:
    try:
        return parse_duration(_strict(text)) > 0
    except Refused:
        return False


def _strict(text: str) -> str:
    """As parse_duration has it, of a looser form; the text itself where it is no duration."""
    parts = re.findall(r"(\d{1,9})([a-z]*)", text.lower(), re.ASCII)
    if "".join(map("".join, parts)) != text.lower().removeprefix("+"):
        return text
    strict, unit = "", ""
    for count, name in parts:
        unit = _UNITS.get(name, "") if name else _NEXT.get(unit, "")
        if not unit:
            return text
        strict += count + unit
    return strict
