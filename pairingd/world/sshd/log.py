"""sshd's messages on stderr at LogLevel VERBOSE, as far as they concern us.

Guests choose some of their words (user names, algorithms, version strings), and sshd passes their
newlines on to stderr (measured, 9.2). So its stderr is a datagram socket: sshd writes each message
with one write(2) (log.c, do_log), and a record is a message, whatever is in it. A pattern must fit
the whole record or stand at its start, which has only sshd's own words.
"""

from __future__ import annotations

import contextlib
import re
import socket

from msgspec import Struct

# Bytes. macOS keeps 4096 of a datagram socket (net.local.dgram.recvspace), which is a few dozen
# messages, and drops what does not fit; Linux makes the sender wait.
LOG_BUFFER = 256 * 1024


def channel() -> tuple[socket.socket, socket.socket]:
    """Our end, and sshd's standard error."""
    own_end, sshd_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in (own_end, sshd_end):
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with contextlib.suppress(OSError):  # the system allows less: kern.ipc.maxsockbuf
                end.setsockopt(socket.SOL_SOCKET, buffer, LOG_BUFFER)
    return own_end, sshd_end


class Accepted(Struct, frozen=True):
    """A login succeeded, by the key with this fingerprint."""

    fingerprint: str


class Failed(Struct, frozen=True):
    """A login was refused, with the key that has this fingerprint, "" if it is not known.
    `other_user`: for a user name that is not ours.

    A client may offer any public key, so the fingerprint does not prove whose it is.
    """

    fingerprint: str = ""
    other_user: bool = False


class Unlike(Struct, frozen=True):
    """A client has no algorithm of this kind that sshd accepts, such as `cipher`."""

    kind: str


_ACCEPTED = re.compile(
    r"Accepted publickey for .+ from \S+ port \d+ ssh2: \S+ (SHA256:[A-Za-z0-9+/]{43})",
    re.ASCII,
)
_OFFERED = re.compile(_ACCEPTED.pattern.replace("Accepted", "Failed"), re.ASCII)
_FAILED = re.compile(
    r"(?:Failed \S+ for |Connection closed by authenticating user "
    r"|Disconnecting authenticating user )",
    re.ASCII,
)
_OTHER_USER = re.compile(
    r"(?:Failed \S+ for invalid user |Invalid user |Connection closed by invalid user "
    r"|Disconnecting invalid user |User .+ not allowed )",
    re.ASCII,
)
_UNLIKE = re.compile(
    r"Unable to negotiate with \S+ port \d+: "
    r"no matching (key exchange method|host key type|cipher|MAC) found\."
    r"|userauth_pubkey: (signature algorithm) \S+ not in PubkeyAcceptedAlgorithms",
    re.ASCII,
)


def parse(record: bytes) -> Accepted | Failed | Unlike | None:
    """What one message reports, None for anything else."""
    text = record.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if match := _ACCEPTED.fullmatch(text):
        return Accepted(match[1])
    if match := _UNLIKE.match(text):
        return Unlike(match[1] or match[2])
    if _OTHER_USER.match(text):
        return Failed(other_user=True)
    if match := _OFFERED.fullmatch(text):
        return Failed(match[1])
    return Failed() if _FAILED.match(text) else None
