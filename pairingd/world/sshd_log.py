"""What sshd says on stderr at LogLevel VERBOSE, as far as it concerns us.

Guests choose some of its words (user names, version strings). sshd escapes control characters in
them (log.c, strnvis), so a line is a line; and each pattern is anchored at the line's start, where
only sshd's own words stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """Somebody is in, by the key with this fingerprint."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A login was tried and refused."""


_ACCEPTED = re.compile(
    r"Accepted publickey for \S+ from \S+ port \d+ ssh2: \S+ (SHA256:[A-Za-z0-9+/]{43})",
    re.ASCII,
)
_FAILED = re.compile(
    r"(?:Failed \S+ for |Invalid user |Connection closed by (?:authenticating|invalid) user "
    r"|Disconnecting (?:authenticating|invalid) user |User \S+ not allowed )",
    re.ASCII,
)


def parse(line: str) -> Accepted | Failed | None:
    """What `line` tells, None for anything else."""
    if found := _ACCEPTED.fullmatch(line):
        return Accepted(found[1])
    return Failed() if _FAILED.match(line) else None
