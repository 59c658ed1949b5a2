"""OpenSSH's server, one process per connection, as inetd would start it (sshd(8), -i).

pairingd writes the configuration for the installed version and tests it with `sshd -t` before use:
sshd knows no IgnoreUnknown, and one unknown keyword stops it.
"""

from __future__ import annotations

import asyncio
import base64
import grp
import os
import re
import shutil
import socket
import stat
import sys
from pathlib import Path

from msgspec import Struct

from pairingd.core.admission import LOGIN_GRACE
from pairingd.core.ssh_wire import fingerprint
from pairingd.errors import Misconfigured, WorldError
from pairingd.home.files import write_private
from pairingd.machine.user import user_name
from pairingd.process.mortal import mortal
from pairingd.process.programs import Finished, run
from pairingd.world.sshd import policy
from pairingd.world.sshd.serving import Announcement, Own, Started, Version, Writable, execute

# sshd_config(5). `restrict,pty` on each key line repeats most of it: either would do alone.
# HOME, SHLVL: the forced command runs by the host's login shell, whose start-up files could
# print, sleep, or exec past it. An empty HOME hides them from every shell, and bash under ssh
# looks for them only if SHLVL is below 2 (measured, bash 5.2).
_CONFIG = """\
# Written by pairingd for OpenSSH {version}; changes are overwritten.
HostKey {host_key}
AuthorizedKeysFile {authorized_keys}
AllowUsers {user}
PermitRootLogin {root}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
UsePAM no
StrictModes no
DisableForwarding yes
AllowTcpForwarding no
AllowStreamLocalForwarding no
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
PermitTTY yes
PermitUserRC no
PermitUserEnvironment no
SetEnv HOME=/var/empty SHLVL=1
PrintMotd no
PrintLastLog no
MaxSessions 1
MaxAuthTries {tries}
LoginGraceTime {grace}
ClientAliveInterval 10
ClientAliveCountMax 2
TCPKeepAlive yes
UseDNS no
PidFile none
LogLevel VERBOSE
{algorithms}"""
_SINCE: tuple[tuple[Version, str], ...] = (
    ((9, 1), "RequiredRSASize 2048\n"),
    ((9, 2), "UnusedConnectionTimeout 15s\n"),
    # Each connection has its own sshd, so penalties are counted in core.admission instead.
    ((9, 8), "PerSourcePenalties no\n"),
)
# Each key that a client offers is a try, and agents hold many (measured, 9.2: with 6 tries a guest
# whose seventh key was the right one stayed out). LoginGraceTime bounds them all together.
MAX_OFFERS = 64
ZULU_SINCE: Version = (9, 1)
OLDEST: Version = (8, 5)


class HostKey(Struct, frozen=True):
    """The public half, in the form of known_hosts."""

    type: str
    blob: str
    fingerprint: str


class Sshd:
    """The sshd at `command`, its configuration and its host key."""

    def __init__(self, command: str, config: Path, host_key: Path, authorized_keys: Path) -> None:
        self.command = command
        self._config = config
        self._authorized_keys = authorized_keys
        self._host_key = host_key
        self._prepared: tuple[float, str, Version] | None = None
        self._known_key: tuple[tuple[int, ...], HostKey] | None = None
        self._turn = asyncio.Lock()

    async def prepare(self) -> Version:
        """Make the host key and configuration, and see that this very sshd accepts them.

        Raises Misconfigured: `no-sshd`, `sshd-unknown`, `sshd-too-old`, `sshd-config-refused`,
        `pty-unusable`, `no-account`; and as `host_key`. Cheap if nothing has changed since the
        last time.
        """
        async with self._turn:
            return await self._prepare()

    async def host_key(self) -> HostKey:
        """The public half of the host key, which is made once and then kept. ssh-keygen reads it
        if the file has changed.

        Raises WorldError `no-host-key`, `bad-host-key`, `program-hangs`; Misconfigured
        `no-ssh-keygen`, `program-unusable`.
        """
        async with self._turn:
            return await self._public_host_key()

    async def _prepare(self) -> Version:
        _check_pty()
        user = self.user
        try:
            changed = Path(self.command).stat().st_mtime
        except OSError:
            raise Misconfigured(
                "no-sshd",
                f"there is no sshd at {self.command}",
                "install the OpenSSH server (apt install openssh-server), or set [sshd] command",
            ) from None
        if self._prepared and self._prepared[:2] == (changed, user) and self._config.exists():
            return self._prepared[2]
        version = await self._version()
        await self._public_host_key()
        if os.geteuid() == 0 and sys.platform == "linux":
            # sshd as root drops into this empty directory; the distribution's unit makes it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        algorithms = await policy.algorithms(self._host_key, self._run)
        self.write(self._config, self._render(version, user, algorithms))
        tested = await self._run("-t", "-f", str(self._config))
        if tested.status:
            raise Misconfigured(
                "sshd-config-refused",
                f"{self.command} does not accept its configuration: {tested.last_words}",
                "check that [sshd] command is an unmodified OpenSSH sshd",
            )
        self._prepared = (changed, user, version)
        return version

    async def _public_host_key(self) -> HostKey:
        if not self._host_key.exists():
            await self._make_host_key()
        file = self._host_key.stat()
        if not stat.S_ISREG(file.st_mode):  # ssh-keygen would wait for a FIFO's writer
            raise self._bad_host_key("not a regular file")
        written = (file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
        if self._known_key and self._known_key[0] == written:
            return self._known_key[1]
        result = await run_tool(_ssh_keygen(), "-y", "-P", "", "-f", str(self._host_key))
        if result.status:
            raise self._bad_host_key(result.last_words)
        key = public_key(result.stdout)
        self._known_key = written, key
        return key

    def _bad_host_key(self, why: str) -> WorldError:
        return WorldError(
            "bad-host-key",
            f"{self._host_key}: {why}",
            "remove it for a new one; guests will then see a changed host key",
        )

    async def start(
        self,
        connection: socket.socket,
        records: Writable,
        announcement: Announcement | None = None,
    ) -> Started:
        """One sshd that has `connection` as stdin and stdout, and logs to `records`. It leads a
        session, and so a process group, of its own.

        First it writes the `announcement`, or ends if it cannot. Raises OSError.
        """
        argv: list[str] = [self.command, "-i", "-e", "-f", str(self._config)]
        output = connection.fileno()
        if announcement:
            argv = ["/bin/sh", "-c", f'echo "{announcement.line}" && exec "$@" >&0', "sh", *argv]
            output = announcement.to.fileno()
        # The guardian ends it; but if that was killed with us, it ends by itself.
        command = await mortal(*argv)
        process = await execute(command.argv, connection, output, records, command.inherited)
        return Started(process, Own(process.pid))

    @property
    def user(self) -> str:
        """The account that guests log in to. Raises Misconfigured `no-account`."""
        return user_name()

    @staticmethod
    def write(path: Path, content: str) -> None:
        """Replace the file, for sshd to read. Raises WorldError `unwritable-file`."""
        write_private(path, content)

    async def _run(self, *arguments: str, given: bytes = b"") -> Finished:
        """Run that sshd with these arguments."""
        return await run_tool(self.command, *arguments, given=given)

    async def _version(self) -> Version:
        # `-V` is a usage error before 9.3, but prints the version too.
        result = await self._run("-V")
        match = re.search(r"OpenSSH_(\d{1,3})\.(\d{1,3})", result.stdout + result.stderr)
        if not match:
            raise Misconfigured(
                "sshd-unknown",
                f"{self.command} does not say which OpenSSH it is",
                "set [sshd] command to OpenSSH's sshd",
            )
        version = (int(match[1]), int(match[2]))
        if version < OLDEST:
            raise Misconfigured(
                "sshd-too-old",
                f"{self.command} is OpenSSH {version[0]}.{version[1]}",
                f"pairing needs {OLDEST[0]}.{OLDEST[1]} or later; set [sshd] command",
            )
        return version

    async def _make_host_key(self) -> None:
        made = await run_tool(
            _ssh_keygen(),
            *("-q", "-t", "ed25519", "-N", "", "-C", "pairing", "-f", str(self._host_key)),
        )
        if made.status:
            raise WorldError(
                "no-host-key", f"ssh-keygen failed: {made.last_words}", "free space, then retry"
            )

    def _render(self, version: Version, user: str, algorithms: str) -> str:
        return _CONFIG.format(
            version=f"{version[0]}.{version[1]}",
            host_key=f'"{self._host_key}"',
            # sshd_config(5), TOKENS: of the two only this one has them.
            authorized_keys=f'"{self._authorized_keys}"'.replace("%", "%%"),
            user=_pattern(user),
            root="forced-commands-only" if os.getuid() == 0 else "no",
            grace=int(LOGIN_GRACE),
            tries=MAX_OFFERS,
            algorithms=algorithms,
        ) + "".join(line for since, line in _SINCE if version >= since)


def public_key(text: str) -> HostKey:
    """What ssh-keygen(1) writes as a public key. Raises ValueError."""
    kind, blob = text.split()[:2]
    return HostKey(kind, blob, fingerprint(base64.b64decode(blob)))


def _pattern(user: str) -> str:
    """`user` for AllowUsers, which takes patterns (ssh_config(5), PATTERNS), in quotes or not: `@`
    begins a host, `!` negates, a backslash or a space separates. `?` is any one byte.
    """
    return re.sub(rb"[^A-Za-z0-9._-]", b"?", os.fsencode(user)).decode()


def _check_pty() -> None:
    """Unprivileged sshd cannot chown a pty, so the system must make it right (measured, 9.2)."""
    if os.geteuid() == 0:
        return
    try:
        master, slave = os.openpty()
    except OSError as error:
        raise Misconfigured(
            "pty-unusable",
            f"no new terminal can be made: {error.strerror}",
            "see whether /dev/pts is mounted, and whether too many terminals or files are open",
        ) from None
    try:
        terminal = os.fstat(slave)
    finally:
        os.close(master)
        os.close(slave)
    try:
        group = grp.getgrnam("tty").gr_gid
    except KeyError:
        return
    if terminal.st_gid != group or stat.S_IMODE(terminal.st_mode) != 0o620:
        raise Misconfigured(
            "pty-unusable",
            f"new terminals are made with group {terminal.st_gid}, mode "
            f"{stat.S_IMODE(terminal.st_mode):o}; an sshd of your own needs group tty, mode 620",
            f"as root: mount -o remount,gid={group},mode=620 /dev/pts",
        )


def _ssh_keygen() -> str:
    path = shutil.which("ssh-keygen")
    if not path:
        raise Misconfigured(
            "no-ssh-keygen", "ssh-keygen is not on PATH", "install the OpenSSH client"
        )
    return path


async def run_tool(*argv: str, given: bytes = b"") -> Finished:
    """Raises WorldError `program-hangs`, Misconfigured `program-unusable`."""
    try:
        return await run(*argv, seconds=10, given=given)
    except TimeoutError:
        raise WorldError("program-hangs", f"{argv[0]} did not answer", "try again") from None
    except OSError as error:
        raise Misconfigured(
            "program-unusable",
            f"{argv[0]} cannot be run: {error.strerror}",
            "fix its permissions, or set [sshd] command to OpenSSH's sshd",
        ) from None
