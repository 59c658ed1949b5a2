"""What sshd says on stderr at LogLevel VERBOSE, as far as it concerns us.

Guests choose some of its words (user names, algorithms, version strings), and on stderr sshd passes
their newlines on (measured, 9.2). So its stderr is a datagram socket: sshd writes each message with
one write(2) (log.c, do_log), and a record is a message, whatever is in it. A pattern must fit the
whole record or stand at its start, where only sshd's own words are.
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
    r"Accepted publickey for .+ from \S+ port \d+ ssh2: \S+ (SHA256:[A-Za-z0-9+/]{43})",
    re.ASCII,
)
_FAILED = re.compile(
    r"(?:Failed \S+ for |Invalid user |Connection closed by (?:authenticating|invalid) user "
    r"|Disconnecting (?:authenticating|invalid) user |User .+ not allowed )",
    re.ASCII,
)


def parse(record: bytes) -> Accepted | Failed | None:
    """What one message tells, None for anything else."""
    text = record.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if found := _ACCEPTED.fullmatch(text):
        return Accepted(found[1])
    return Failed() if _FAILED.match(text) else None
