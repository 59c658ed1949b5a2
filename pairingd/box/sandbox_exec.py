"""The box as macOS makes it: a profile for sandbox-exec(1), and the scripts that run tmux under it.

NOT RUN ON A MAC. Written from public profiles. The profile is tested as text alone
(tests/data/box.sb), the scripts with a sandbox-exec that applies no rule (tests/mac).

As bubblewrap.py, with two scripts: `server` is the box with tmux's server in it, `tmux` is a client
under the same profile; a client obeys its server, so it need not have less. The differences:

- There is no namespace: pids are the machine's own, a client's too, and what is not shown is not
  absent but refused ("Operation not permitted"). HOME is the user's own, and cannot be written.
- The box does not end with its first process. box.end kills the tree of processes; one that has
  left the tree (a double fork) lives on, still under the profile.
- Setuid programs do not start, ps(1) among them.
- Memory and the number of processes are not limited: the kernel does not enforce RLIMIT_DATA, and
  counts for RLIMIT_NPROC all that the user runs (setrlimit(2)).
- `none` and `internet` have no loopback, because it would be the host's.

Sources, as Apple documents the language (SBPL) nowhere: the profiles of Codex
(seatbelt_base_policy.sbpl, after Chromium's) and Firefox (SandboxPolicyContent.h). Of the rules
that match, the last one wins: many published profiles depend on it. A name that the system does not
know makes the whole profile invalid, hence `defined?`.
"""

# ruff: noqa: PTH118, PTH119, PTH120 - as place.py

from __future__ import annotations

import os
import shlex
import unicodedata
from typing import TYPE_CHECKING

from pairingd.box.scripts import assigned, behind_glass, of_clients, with_environment
from pairingd.core.refusal import PairingError
from pairingd.core.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pairingd.box.place import Box
    from pairingd.box.plan import Plan

_SANDBOX_EXEC = "/usr/bin/sandbox-exec"

# Shown where everybody may read them (file-mode), as a user in group admin may read more. Of
# /System no more than this: /System/Volumes/Data is another name for all home directories.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/Library", "/private/etc", "/opt/homebrew", "/opt/local"),
    *("/nix/store", "/System/Library", "/System/iOSSupport"),
    # The dynamic linker's cache: macOS 13 and later.
    *("/System/Cryptexes", "/System/Volumes/Preboot/Cryptexes", "/private/preboot/Cryptexes"),
    # The shell that is /bin/sh, the Xcode of the commands, the time zone.
    *("/private/var/select", "/private/var/db/xcode_select_link", "/private/var/db/timezone"),
    "/Applications/Xcode.app/Contents/Developer",
)
# Homebrew's `var` has the user's databases.
_SECRET = ("/Library/Keychains", "/opt/homebrew/var", "/usr/local/var")
# Directories that programs list or links that they follow.
_ROOTS = ("/", "/dev", "/etc", "/tmp", "/var")  # noqa: S108 - links, not what is in them
# Every process opens autofs_nowait and dtracehelper as it starts.
_SOURCES = ("/dev/random", "/dev/urandom", "/dev/autofs_nowait")
_SINKS = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx", "/dev/dtracehelper")

# `deny default` leaves these allowed, according to Firefox's profiles.
_BEYOND_DEFAULT = ("process-info*", "nvram*", "iokit-get-properties")
# Part of what is allowed, or perhaps so. A hard link would be a second name, under other rules.
_NEVER = (
    *("file-link", "file-write-setugid", "file-write-mount", "file-write-umount"),
    *("forbidden-exec-sugid", "job-creation", "lsopen"),
)
# By name: kern.procargs2 would reveal the environment of each of the user's processes.
_SYSCTLS = (
    *("kern.argmax", "kern.boottime", "kern.hostname", "kern.maxfilesperproc", "kern.maxproc"),
    *("kern.ngroups", "kern.osproductversion", "kern.osrelease", "kern.ostype"),
    *("kern.osvariant_status", "kern.osversion", "kern.secure_kernel", "kern.usrstack64"),
    *("kern.version", "sysctl.proc_cputype", "sysctl.proc_translated", "vm.loadavg"),
)
_SYSCTL_FAMILIES = ("hw.", "machdep.cpu.")
# Names of users and groups: getpwuid(3), which tmux and every shell call; getgrouplist(3).
_SERVICES = (
    "com.apple.system.opendirectoryd.libinfo",
    "com.apple.system.opendirectoryd.membership",
)
# Which servers to ask for names; and whether a certificate is to be trusted.
_NETWORK_SERVICES = ("com.apple.SystemConfiguration.DNSConfiguration", "com.apple.trustd.agent")
_RESOLVER = "/private/var/run/mDNSResponder"  # getaddrinfo(3) asks here

_PROFILE = """\
(version 1)
; pairing, box {id}: what is shared. Of the rules that match, the last one wins.
(deny default)
{beyond_default}

; Each box is a sandbox of its own.
(allow process-fork)
(allow signal process-info* (target same-sandbox))
(allow sysctl-read
{sysctls})
(allow mach-lookup
{services})

(define pairing-system (require-any
{system}))
(define pairing-shared (require-any
{shared}))
(define pairing-ways (require-any
{ways}))
(if (defined? 'file-test-existence)
  (allow file-test-existence (subpath "/dev") pairing-system pairing-shared pairing-ways))

; The system: what everybody may read of it.
(allow file-read-metadata pairing-ways)
(allow file-read*
{roots})
(allow file-read* (require-all (file-mode #o0004) pairing-system))
(allow file-map-executable process-exec* pairing-system)
(deny file-read* file-map-executable process-exec*
{secret})

; Devices. Of the terminals those that were made in the box: the host's are the same user's.
(allow file-read-metadata (subpath "/dev"))
(allow file-read*
{sources})
(allow file-read* file-write-data file-ioctl
{sinks})
(allow pseudo-tty)
(allow file-read* file-write-data
  (require-all (regex #"^/dev/ttys[0-9]+$") (extension "com.apple.sandbox.pty")))
; For a client's terminal, which it has open.
(allow file-ioctl (regex #"^/dev/ttys[0-9]+$"))

; What is shared.
(allow file-read* file-map-executable process-exec* pairing-shared)
(allow file-write*
{writable})
{protected}
; Nowhere.
{never}

; The network.
(deny network*)
(allow system-socket (socket-domain AF_UNIX))
(allow network-bind network-inbound
  (local unix-socket (path-literal {socket}))
  (local unix-socket (subpath {temporary})))
(allow network-outbound
  (remote unix-socket (path-literal {socket}))
  (remote unix-socket (subpath {temporary})))
{network}"""
_PROTECTED = """\
; Nor may another directory be put in the place of what holds these.
(deny file-write*
{protected})
(deny file-write-unlink
{around})
"""
_NETWORK = {
    "none": "",
    # The host's loopback is the only one. `localhost` and `*` are all that the language knows.
    "internet": """\
(allow network-outbound (remote ip "*:*"))
(deny network-outbound (remote ip "localhost:*"))
""",
    # Not `network*` alone: that includes Unix sockets, an ssh-agent's and pairingd's own.
    "full": """\
(allow network* (local ip "*:*") (remote ip "*:*"))
""",
}
_NAMES = """\
(allow network-outbound (remote unix-socket (path-literal {resolver})))
(allow mach-lookup
{services})
"""
# The guests' and the host's terminals never come here: glass.py stands between.
_CLIENT = """\
#!/bin/sh
# pairing, box {id}: tmux as everything outside runs it, under the server's own profile. From a
# terminal this is first put behind glass.
{behind_glass}
cd / || exit
exec env -i TERM="${{TERM:-xterm}}" {environment} \\
    {sandbox_exec} -f {profile} {tmux} -N "$@"
"""
_SERVER = """\
#!/bin/sh
# pairing, box {id}: what is shared, and the tmux server that lives in it. This shell stays outside
# and holds the lock, its standard input.
mkdir -p -m 700 {temporary} && cd {directory} || exit
{with_environment} \\
    {sandbox_exec} -f {profile} {tmux} -D -S {socket} </dev/null
exit
"""


def profile_path(box: Box) -> str:
    """Where the scripts expect the profile: outside of what can be written in the box."""
    return os.path.join(_real(box), "box.sb")


def profile(box: Box, plan: Plan) -> str:
    """Return what the box shows and allows, in SBPL. Raises PairingError `not-shareable` for a path
    that SBPL cannot express.
    """
    socket, temporary = _socket(box), _temporary(box)
    writable = (*plan.writable, _shared(box), temporary)
    protected = ""
    if plan.protected:
        around = {outer for path in plan.protected for outer in _ancestors(path)}
        protected = _PROTECTED.format(
            protected=_lines("subpath", plan.protected), around=_lines("literal", sorted(around))
        )
    network = _NETWORK[plan.network]
    if plan.network != "none":
        network += _NAMES.format(
            resolver=_string(_RESOLVER), services=_lines("global-name", _NETWORK_SERVICES)
        )
    ways = {
        outer
        for path in (*_SYSTEM, *plan.read, *writable, plan.home)
        for outer in (*_ancestors(path), path)
    } | {link for link, _ in plan.links}
    return _PROFILE.format(
        id=box.id,
        beyond_default=_denied(_BEYOND_DEFAULT),
        sysctls="\n".join(
            (_lines("sysctl-name", _SYSCTLS), _lines("sysctl-name-prefix", _SYSCTL_FAMILIES))
        ),
        services=_lines("global-name", _SERVICES),
        roots=_lines("literal", _ROOTS),
        system=_lines("subpath", _SYSTEM),
        shared=_lines("subpath", (*plan.read, *writable)),
        ways=_lines("literal", sorted(ways)),
        secret=_lines("subpath", _SECRET),
        sources=_lines("literal", _SOURCES),
        sinks=_lines("literal", _SINKS),
        writable=_lines("subpath", writable),
        protected=protected,
        never=_denied(_NEVER),
        socket=_string(socket),
        temporary=_string(temporary),
        network=network,
    )


def client(box: Box, plan: Plan, glass: Iterable[str]) -> str:
    """The script `tmux`. `glass` is the command that puts a program behind glass."""
    return _CLIENT.format(
        id=box.id,
        behind_glass=behind_glass(glass),
        environment=assigned({**of_clients(plan.environment), "TMPDIR": _temporary(box)}),
        sandbox_exec=_SANDBOX_EXEC,
        profile=shlex.quote(profile_path(box)),
        tmux=shlex.quote(plan.tmux),
    )


def server(box: Box, plan: Plan) -> str:
    """The script that is the box."""
    return _SERVER.format(
        id=box.id,
        with_environment=with_environment(box.environment),
        temporary=shlex.quote(_temporary(box)),
        directory=shlex.quote(plan.directory),
        sandbox_exec=_SANDBOX_EXEC,
        profile=shlex.quote(profile_path(box)),
        tmux=shlex.quote(plan.tmux),
        socket=shlex.quote(_socket(box)),
    )


def environment(box: Box, plan: Plan) -> dict[str, str]:
    """What the server has."""
    return {**plan.environment, "TMPDIR": _temporary(box)}


def _real(box: Box) -> str:
    """The kernel compares paths without links: /private/var, not /var."""
    return os.path.realpath(box.path)


def _shared(box: Box) -> str:
    return os.path.join(_real(box), os.path.basename(box.shared))


def _socket(box: Box) -> str:
    return os.path.join(_shared(box), os.path.basename(box.socket))


def _temporary(box: Box) -> str:
    return os.path.join(_real(box), "tmp")


def _ancestors(path: str) -> Iterator[str]:
    """Yield the directories that `path` lies in, without itself."""
    while (outer := os.path.dirname(path)) != path:
        yield outer
        path = outer


def _denied(operations: Iterable[str]) -> str:
    return "\n".join(f"(if (defined? '{operation}) (deny {operation}))" for operation in operations)


def _lines(kind: str, texts: Iterable[str]) -> str:
    """A filter for each of `texts`, on a line of its own."""
    return "\n".join(f"  ({kind} {_string(text)})" for text in texts)


def _string(text: str) -> str:
    """Return `text` as SBPL, a TinyScheme, writes it. Raises PairingError `not-shareable`.

    ASCII only, other bytes by number: sandbox-exec is reported to crash on them.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise _refused(text, "a byte that is not UTF-8") from None
    if any(unicodedata.category(c) == "Cc" for c in text):
        raise _refused(text, "a control character")
    return f'"{"".join(map(_character, data))}"'


def _character(byte: int) -> str:
    if byte in b'\\"':
        return "\\" + chr(byte)
    return chr(byte) if byte < 0x80 else f"\\x{byte:02x}"


def _refused(path: str, defect: str) -> PairingError:
    return PairingError(
        "not-shareable",
        f"{quoted(path)} cannot be shared: its name has {defect} in it",
        "rename it, or share another directory: --box DIR",
    )
