"""The errors that reach a person.

    PairingError              a stable code, one line of cause, one line of remedy
    ├── core.refusal.Refused  a rule refused; nothing changed
    ├── Misconfigured         config.toml, or the machine, is not as it must be
    ├── IdentityError         a guest's keys could not be fetched
    ├── GatewayError          the router refused, lied or was silent
    └── WorldError            sshd, tmux, a file or a socket failed

Codes are part of the outward contract: they appear in `--json` and never change meaning.
"""

from __future__ import annotations

import errno
import os

from pairingd.core.refusal import PairingError

__all__ = [
    "FAILING_DISK",
    "GatewayError",
    "IdentityError",
    "Misconfigured",
    "PairingError",
    "WorldError",
    "remedy",
]


FAILING_DISK = "look for a failing disk: dmesg shows its errors"


class Misconfigured(PairingError):
    """The configuration or the machine is not as it must be."""


class IdentityError(PairingError):
    """A guest's keys could not be fetched."""


class GatewayError(PairingError):
    """The router refused, lied or was silent. `made`: whether a mapping of ours may be on it, None
    if the code says so. `lied`: it forwards to another port or machine than requested.
    """

    made: bool | None = None
    lied: bool = False


class WorldError(PairingError):
    """sshd, tmux, a file or a socket failed."""


def remedy(error: OSError, otherwise: str) -> str:
    """What helps where the disk fails, or something else lies in a file's or directory's place; or
    `otherwise`.
    """
    if error.errno == errno.EIO:
        return FAILING_DISK
    # ENXIO: a FIFO or a socket. EPERM: macOS, which does not unlink(2) a directory.
    in_the_way = error.errno in {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENXIO} or (
        error.errno == errno.EPERM and os.path.isdir(error.filename or "")  # noqa: PTH112 - quicker
    )
    return "move it out of the way" if in_the_way else otherwise
