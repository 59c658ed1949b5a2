"""Landlock's scope (landlock(7)): abstract Unix sockets, and signals, end at the box.

Abstract sockets, such as an X server's, belong to the network. A box that has the host's network
would reach them. Needs Linux 6.12. No binding on PyPI has it yet (landlock 1.0 has only the rules
for files).
"""

from __future__ import annotations

import ctypes

# The same number on every architecture: landlock_create_ruleset(2), landlock_restrict_self(2).
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION = 1  # the flag LANDLOCK_CREATE_RULESET_VERSION
_SCOPED_SINCE = 6  # version of the ABI
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS: prctl(2)


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def is_available() -> bool:
    call = ctypes.CDLL(None, use_errno=True).syscall
    return int(call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)) >= _SCOPED_SINCE


def restrict() -> None:
    """Restrict this process, and all that it starts. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    rules = _Ruleset(scoped=_ABSTRACT_SOCKETS | _SIGNALS)
    size = ctypes.c_size_t(ctypes.sizeof(rules))
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0)
    if (
        ruleset < 0
        or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        or libc.syscall(_RESTRICT_SELF, ruleset, 0)
    ):
        raise OSError(ctypes.get_errno(), "Landlock")
