"""Guesses what a mistyped command line means. Pure: words in; words, a value or a hint out.

Input with only one meaning is accepted. Input that could mean something else is rejected, with the
probable command as the hint.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pairctl.failures import Usage
from pairingd.core.durations import format_duration, parse_duration
from pairingd.core.refusal import Refused
from pairingd.core.text import QUOTES, quoted, shell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# Other names of commands.
_SYNONYMS = {"kick": "revoke", "list": "status", "ls": "status", "who": "status"}
# Suggestions in the hint; not close enough to run.
_SUGGESTIONS = {
    **dict.fromkeys(("add", "new", "open", "share"), "invite GUEST"),
    **dict.fromkeys(
        ("ban", "boot", "disconnect", "drop", "kill", "remove", "rm", "uninvite"), "revoke GUEST"
    ),
    **dict.fromkeys(("close", "exit", "finish", "quit"), "end"),
    **dict.fromkeys(("enter", "join"), "attach"),
    **dict.fromkeys(("accept", "admit", "allow"), "approve GUEST"),
    **dict.fromkeys(("decline", "refuse", "reject"), "deny GUEST"),
    **dict.fromkeys(("info", "guests", "ps"), "status"),
    **dict.fromkeys(("history", "receipts"), "receipt"),
    **dict.fromkeys(("events", "logs"), "log"),
    **dict.fromkeys(("demote", "mute"), "role GUEST read"),
    **dict.fromkeys(("promote", "unmute"), "role GUEST write"),
    **dict.fromkeys(("down", "shutdown"), "stop"),
    "check": "doctor",
    "no": "deny GUEST",
    "show": "invite --show GUEST",
    "settings": "config",
    "tail": "log --follow",
    "up": "start",
    "watch": "status --watch",
    "yes": "approve GUEST",
}
_OPTIONS = {
    **dict.fromkeys(("--duration", "--for", "--time", "--timeout", "--until", "-t"), "--ttl"),
    **dict.fromkeys(("--expire", "--expires", "--expires-in", "--lifetime"), "--ttl"),
    **dict.fromkeys(("--access", "--role", "--rw", "--write"), "--read-only"),
    **dict.fromkeys(
        ("--readonly", "--ro", "--view-only", "--watch-only", "-r", "-ro"), "--read-only"
    ),
    **dict.fromkeys(("--opens", "--start", "--starts"), "--at"),
    **dict.fromkeys(("--count", "--lines", "--limit", "--tail", "--n"), "-n"),
    "-l": "--list",
    "-p": "--port",
    "-w": "--watch",
}
_EVERYBODY = frozenset({"all", "everybody", "everyone"})
_ROLES = {
    **dict.fromkeys(("read", "read-only", "readonly", "ro", "r", "view", "watch"), "read"),
    **dict.fromkeys(("reader", "viewer"), "read"),
    **dict.fromkeys(("write", "read-write", "readwrite", "rw", "w", "writer"), "write"),
}
# People type them between guests, or before a time, a duration or a role. Each is somebody's
# account, too.
_JOINING = frozenset({"and", "as", "at", "by", "for", "from", "in", "to", "until", "with"})
_ENDING = frozenset({"by", "to", "until"})  # those of them before an end
_DURATION_OPTIONS = frozenset({"--idle", "--join-within", "--ttl"})
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_NEXT_UNIT = {"d": "h", "h": "m", "m": "s"}  # the unit of a last number that has none: 2h30
# Compiled when needed: pairctl seldom guesses.
_KEY_TYPE = (
    r"ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)
_CLOCK = r"(?i:\d{1,2}(?::\d{2}){0,2}\s?[ap]\.?m\.?|\d{1,2}:\d{2}(?::\d{2})?)"


def words(argv: Sequence[str]) -> list[str]:
    """The command line with synonyms replaced. Raises Usage for a duration in two words."""
    corrected = list(argv)
    for at, (count, unit) in enumerate(pairwise(argv)):
        alone = len(unit) <= 2 and argv[at - 1] not in _DURATION_OPTIONS  # may be a guest
        if count.isdecimal() and not alone and _is_duration(count + unit):
            one_word = [*argv[:at], _strict(count + unit), *argv[at + 2 :]]
            raise Usage(
                "bad-duration",
                f"a duration is one word: {quoted(f'{count} {unit}')}",
                shell("pairctl", *one_word),
            )
    index = next(
        (i for i, word in enumerate(corrected) if not word.startswith("-") or word == "-V"), None
    )
    if index is None:
        return corrected
    first, rest = corrected[index], corrected[index + 1 :]
    if first in {"-V", "version"}:
        return [*corrected[:index], "--version", *rest]
    if first == "help":
        return words([*corrected[:index], *rest, "--help"])
    corrected[index] = _SYNONYMS.get(first, first)
    return corrected


def command(word: str, known: Iterable[str]) -> str:
    """The hint for an unknown command."""
    suggestion = _SUGGESTIONS.get(word.lower()) or nearest(word, known, cutoff=0.7)
    return f"did you mean: pairctl {suggestion}" if suggestion else "pairctl --help"


def option(word: str, known: Iterable[str]) -> str:
    """The option of this command that is most like `word`, or ""."""
    name, known = word.partition("=")[0], list(known)
    if re.fullmatch(r"-\d+", name) and "-n" in known:
        return f"-n {name[1:]}"
    if (match := _OPTIONS.get(name, "")) in known:
        return match
    long = sorted(choice[2:] for choice in known if choice.startswith("--"))
    match = nearest(name.lstrip("-"), long, cutoff=0.6)
    return f"--{match}" if match else ""


def unexpected(args: Mapping[str, Any], unknown: Sequence[str], known: Iterable[str]) -> str:
    """The hint for words that a command does not take. `args` has what it was given beside them,
    and `known` are its options.
    """
    name = args["command"]
    help_ = " ".join(["pairctl", *filter(None, [name]), "--help"])
    if name in {"end", "revoke"} and all(word.lstrip("-") in _EVERYBODY for word in unknown):
        return "to remove everybody: pairctl end"
    if given := next((word for word in unknown if word.startswith("-")), ""):
        close = option(given, known)
        return f"did you mean {close}? {help_} lists the options" if close else help_
    if name == "end":
        whom = "these guests" if len(unknown) > 1 else "one guest"
        return f"to remove {whom}: {shell('pairctl', 'revoke', *unknown)}"
    if name == "extend" and args.get("duration"):
        return _spaced(args["guest"], args["duration"], unknown) or help_
    return help_


def nearest(word: str, known: Iterable[str], *, cutoff: float) -> str:
    """The only one that begins with `word`, or else the most similar one; "" if none is."""
    from difflib import get_close_matches

    known = list(known)
    begun = [name for name in known if word and name.startswith(word.lower())]
    if len(begun) == 1:
        return begun[0]
    return next(iter(get_close_matches(word.lower(), known, n=1, cutoff=cutoff)), "")


def duration(text: str) -> int:
    """Seconds; accepts `2h30`, `+30m`, `2hours` too. Raises Usage `bad-duration`."""
    try:
        return parse_duration(_strict(text))
    except Refused:
        pass
    try:
        return parse_duration(text)
    except Refused as refused:
        # A number alone, or words with spaces, probably mean a duration: only hint at it.
        close = _strict(text.replace(" ", "") + ("m" if text.isdecimal() else ""))
        hint = f"did you mean {close}?" if _is_duration(close) else refused.hint
        raise Usage(refused.code, refused.message, hint) from None


def role(text: str) -> str:
    """`read` or `write` for any of their names; else the text itself."""
    return _ROLES.get(text.lower(), text)


def extension(guest: str, text: str) -> int:
    """The seconds of `pairctl extend GUEST DURATION`."""
    if _is_duration(guest) and not _is_duration(text):
        raise Usage(
            "usage",
            f"the guest comes first: {quoted(guest)} is a duration",
            shell("pairctl", "extend", text, guest),
        )
    if re.fullmatch(_CLOCK, guest):
        raise _swapped_time(text, guest)
    if re.fullmatch(_CLOCK, text):
        raise Usage(
            "bad-duration",
            f"not a duration but a time: {quoted(text)}",
            shell("pairctl", "extend", guest, "--until", text),
        )
    return duration(text)


def _swapped_time(guest: str, text: str) -> Usage:
    return Usage(
        "usage",
        f"the guest comes first: {quoted(text)} is a time",
        shell("pairctl", "extend", guest, "--until", text),
    )


def _spaced(guest: str, text: str, more: Sequence[str]) -> str:
    """The hint for `pairctl extend GUEST 1h 30m`, or for one with a preposition; else ""."""
    joined = "".join(word for word in [text, *more] if word not in _JOINING)
    if re.fullmatch(_CLOCK, joined):
        return shell("pairctl", "extend", guest, "--until", joined)
    return shell("pairctl", "extend", guest, _strict(joined)) if _is_duration(joined) else ""


def look(place: str, fingerprint: str) -> None:
    """Raise Usage if the operands of `pairctl look HOST:PORT SHA256:…` are swapped."""
    if place.startswith("SHA256:") and not fingerprint.startswith("SHA256:"):
        raise Usage(
            "usage",
            f"not an address but a fingerprint: {quoted(place)}",
            shell("pairctl", "look", fingerprint, place),
        )


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


def guests(named: Sequence[str], verb: str, ttl: int | None = None) -> None:
    """Raise Usage if a word is not a guest, though it could be the name of an account."""
    for index, word in enumerate(named):
        key_type = word.strip(QUOTES).removeprefix("key:").strip(QUOTES)
        if re.fullmatch(_KEY_TYPE, key_type) and len(named) > index + 1:
            key = " ".join([key_type, *named[index + 1 :]]).rstrip(QUOTES)
            raise Usage(
                "bad-guest",
                f"{quoted(word)} begins a public key, which must be one word",
                shell("pairctl", verb, *named[:index], f"key:{key}"),
            )
    if verb != "invite":
        return
    _no_commas(named)
    for index, word in enumerate(named):
        others = [*_unjoined(named[:index]), *named[index + 1 :]] or ["GUEST"]
        then = ""
        if _is_duration(word):
            options, kind = ["--ttl", _joined(ttl, _strict(word))], "a duration"
        elif len(named) > 1 and re.fullmatch(_CLOCK, word):
            options, kind = ["--at", word], "a time"
            if index and named[index - 1] in _ENDING:
                options = []
                then = f"; then: {shell('pairctl', 'extend', others[0], '--until', word)}"
        elif len(named) > 1 and role(word) in {"read", "write"}:
            options, kind = ["--read-only"] if role(word) == "read" else [], "a role"
        else:
            continue
        raise Usage(
            "usage",
            f"{quoted(word)} is {kind}, not a guest",
            shell("pairctl", "invite", *others, *options)
            + then
            + (f"; the account is github:{word}" if word.isalnum() else ""),
        )
    if len(alone := _unjoined(named)) < len(named):
        word = next(word for word in named[1:] if word in _JOINING)
        raise Usage(
            "bad-guest",
            f"guests have no words between them: {quoted(word)}",
            shell("pairctl", "invite", *alone) + f"; the account is github:{word}",
        )


def _joined(ttl: int | None, more: str) -> str:
    """Both as one duration, for `--ttl 1h 30m`; `more` alone if that is none."""
    both = format_duration(ttl or 0) + more
    return both if ttl and _is_duration(both) else more


def _unjoined(named: Sequence[str]) -> list[str]:
    return [word for place, word in enumerate(named) if not place or word not in _JOINING]


def _no_commas(named: Sequence[str]) -> None:
    """Raise Usage for `bob,ann` or `bob, ann`."""
    listed = [word for word in named if re.fullmatch(r"[\w.-]+(?:,[\w.-]*)+", word, re.ASCII)]
    if listed:
        parts = [part for word in named for part in (word.split(",") if word in listed else [word])]
        raise Usage(
            "bad-guest",
            f"guests have no commas between them: {quoted(listed[0])}",
            shell("pairctl", "invite", *filter(None, parts)),
        )


def until(guest: str, text: str) -> str:
    """The hint for an invalid --until: a duration, or a guest in its place."""
    if re.fullmatch(_CLOCK, guest):
        return shell("pairctl", "extend", text, "--until", guest)
    if _is_duration(text):
        return shell("pairctl", "extend", guest, _strict(text))
    return "write 18:30, 6pm, or 2026-01-31T18:30:00+01:00"


def at(guests: Sequence[str], text: str) -> str:
    """The hint for an invalid --at, which may be a duration."""
    if _is_duration(text):
        return shell("pairctl", "invite", *guests, "--ttl", _strict(text))
    return "write 14:00, 6pm, or 2026-01-31T14:00:00+01:00"


def _is_duration(text: str) -> bool:
    try:
        return parse_duration(_strict(text)) > 0
    except Refused:
        return False


def _strict(text: str) -> str:
    """A looser duration in the form of parse_duration; the text itself if it is none."""
    parts = re.findall(r"(\d{1,9})([a-z]*)", text.lower(), re.ASCII)
    if "".join(map("".join, parts)) != text.lower().removeprefix("+"):
        return text
    strict, unit = "", ""
    for count, name in parts:
        unit = _UNITS.get(name, "") if name else _NEXT_UNIT.get(unit, "")
        if not unit:
            return text
        strict += count + unit
    return strict
