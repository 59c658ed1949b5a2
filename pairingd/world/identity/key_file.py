"""file: the guest's keys in a file on the host."""

from __future__ import annotations

import errno
import os
import stat

from pairingd.core.guest import Guest
from pairingd.errors import IdentityError
from pairingd.world.identity.key_list import MAX_BYTES, too_long


def content(guest: Guest) -> bytes:
    """Raise IdentityError. A network disk may hang: call it in a thread."""
    try:
        with open(guest.name, "rb", opener=_open_without_waiting) as file:
            read = file.read(MAX_BYTES + 1)
        if read is None:  # it would have to wait, as for some files in /proc
            raise BlockingIOError(errno.EAGAIN, "nothing can be read from it now")
    except (FileNotFoundError, NotADirectoryError):
        raise IdentityError(
            "no-such-file", f"{guest}: no such file", "check the path on this machine"
        ) from None
    except OSError as error:
        raise IdentityError(
            "unreadable-file",
            f"{guest}: {error.strerror}",
            "name a regular file that you can read, such as their id_ed25519.pub",
        ) from None
    if len(read) > MAX_BYTES:
        raise too_long(guest)
    return read


def _open_without_waiting(path: str, flags: int) -> int:
    """Only a regular file: a FIFO or a terminal could block its reader forever."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor
