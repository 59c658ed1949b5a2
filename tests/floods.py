"""Strangers at the door, in many shapes: what the tests and the benchmarks hold it against."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from tests.stage import ROOT

GUEST = "127.0.0.9"  # where the guest comes from, and who shares their address
FOUR = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
LINE = "SSH-2.0-x\\r\\n"
AT_ONCE = 0.0


def _escaped(*payloads: bytes) -> str:
    """The identification line and unencrypted packets (RFC 4253 §6), as `says` wants it."""
    packets = b""
    for payload in payloads:
        padding = 16 - (5 + len(payload)) % 8
        packets += (1 + len(payload) + padding).to_bytes(4) + bytes([padding])
        packets += payload + bytes(padding)
    return LINE + "".join(f"\\x{byte:02x}" for byte in packets)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


# Up to where OpenSSH asks a person whether the host key is right; no cryptography is needed.
_LISTS = (
    *(b"curve25519-sha256," + b"x" * 600, b"ssh-ed25519", b"aes128-ctr", b"aes128-ctr"),
    *(b"hmac-sha2-256", b"hmac-sha2-256", b"none", b"none", b"", b""),
)
KEY_EXCHANGE = _escaped(
    b"\x14" + bytes(16) + b"".join(map(_string, _LISTS)) + bytes(5),
    b"\x1e" + _string(b"\x09" + bytes(31)),
)


class Flood(Struct, frozen=True):
    """`each` connections from each of `sources`. `reopen`: seconds until each is opened anew;
    `again`: seconds from its end by the door to the next one, None: it stays away.
    """

    what: str
    sources: tuple[str, ...] = FOUR
    each: int = 3
    says: str = ""
    dribble: float = 0.0
    reopen: float = 0.0
    again: float | None = None

    @contextmanager
    def against(self, port: int) -> Iterator[None]:
        """From when all connections have been opened once."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fakes.strangers", "--port", str(port)),
                *(f"--each={self.each}", f"--says={self.says}", f"--dribble={self.dribble}"),
                *(f"--reopen={self.reopen}",),
                *(() if self.again is None else (f"--again={self.again}",)),
                *("--from", *self.sources),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
            process.communicate()


FLOODS = (
    Flood("3 silent connections from each of 4 addresses, reopened every 4.5 s", reopen=4.5),
    Flood("3 silent connections from each of 4 addresses, held"),
    Flood("3 silent connections from the guest's address, reopened every 4.5 s", (GUEST,), reopen=4.5),
    Flood("3 silent connections from the guest's address, held", (GUEST,)),
    Flood("1000 silent connections", each=250),
    Flood("1000 silent connections, reopened when closed", each=250, again=0.5),
    Flood("80 that say who they are and no more", each=20, says=LINE, again=AT_ONCE),
    Flood("3 of these from the guest's address", (GUEST,), says=LINE, again=AT_ONCE),
    Flood("80 that say a byte in half a second", each=20, says=LINE, dribble=0.5, again=AT_ONCE),
    Flood("80 that speak HTTP, over and over", each=20, says="GET / HTTP/1.0\\r\\n\\r\\n", again=AT_ONCE),
    Flood("400 connections a second", each=10, says=LINE, reopen=0.1),
    Flood(
        "100 addresses with one that says who it is and no more",
        tuple(f"127.0.1.{n}" for n in range(100)),
        each=1,
        says=LINE,
        again=AT_ONCE,
    ),
    Flood("80 that begin a key exchange and stop", each=20, says=KEY_EXCHANGE, again=AT_ONCE),
)  # fmt: skip
