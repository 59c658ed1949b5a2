"""The system calls that a box forbids: keyrings, new user namespaces, sockets of other kinds, and
in a client's box control of another process.

The kernel's keyrings of a user belong to no namespace that a box has. In a user namespace of its
own a program has every capability, which exposes much more of the kernel. A program that a guest
has run by their client could keep the first process of its box from ending with the client
(measured: by ptrace(2), prctl(2) with PR_SET_PDEATHSIG). In the server's box guests may debug.
"""

from __future__ import annotations

import errno
from typing import BinaryIO

INSTALL = "apt install libseccomp2; pip install pyseccomp"  # if `write` fails
_CONTROL = ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp")
_KEYRINGS = ("add_key", "keyctl", "request_key")
# Of socket(2): Unix, IPv4, IPv6, netlink. Others, such as AF_VSOCK, belong to no network namespace.
_FAMILIES = {1, 2, 10, 16}
_LAST_FAMILY = 64  # above those that the kernel has today
_NEW_USER = 0x10000000  # CLONE_NEWUSER: clone(2)


def write(file: BinaryIO, *, client: bool = False) -> None:
    """Write classic BPF for this machine's architecture, for a `client`'s box or the server's. A
    program for another one that it can run, too, such as a 32-bit program, is killed. Raises
    OSError if libseccomp is missing.
    """
    try:
        import pyseccomp
    except (ImportError, RuntimeError) as error:
        raise OSError(errno.ENOENT, f"libseccomp: {error}") from None

    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refused = pyseccomp.ERRNO(errno.EPERM)
    for name in (*_KEYRINGS, *(_CONTROL if client else ())):
        rules.add_rule(refused, name)
    masked = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _NEW_USER, _NEW_USER)
    for name in ("unshare", "clone"):
        rules.add_rule(refused, name, masked)
    unknown = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in set(range(_LAST_FAMILY)) - _FAMILIES:
        rules.add_rule(unknown, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    rules.add_rule(unknown, "socket", pyseccomp.Arg(0, pyseccomp.GE, _LAST_FAMILY))
    # io_uring makes sockets, too, past any filter.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "io_uring_setup")
    # Its flags lie in memory, which no filter can read; libc then uses clone(2) instead.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.export_bpf(file)
