"""The sshd of an account: run by sudo as that user, since only they may signal its processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from pairingd.account.check import remedy
from pairingd.account.place import Account
from pairingd.errors import Misconfigured, WorldError
from pairingd.home.files import write_for_group
from pairingd.process.programs import Finished
from pairingd.world.sshd.own import HostKey, Sshd, public_key, run_tool
from pairingd.world.sshd.serving import Announcement, Started, Writable, execute


class AccountSshd(Sshd):
    """The sshd of `account`, which root has chosen, with the account's own host key."""

    def __init__(self, account: Account) -> None:
        super().__init__(
            account.record.sshd if account.record else "",
            Path(account.sshd_config),
            Path(account.host_key),
            Path(account.authorized_keys),
        )
        self._account = account
        self._public_key = Path(f"{account.host_key}.pub")

    @property
    def user(self) -> str:
        return self._account.name

    async def start(
        self,
        connection: socket.socket,
        records: Writable,
        announcement: Announcement | None = None,  # noqa: ARG002
    ) -> Started:
        """As Sshd.start. Its guardian runs as the account too, so ours gets no announcement."""
        commands, guardian_end = socket.socketpair()
        commands.setblocking(False)
        argv = self._account.as_user(self._account.guest)  # `execute` gives it a session of its own
        try:
            with guardian_end:
                process = await execute(argv, connection, guardian_end.fileno(), records)
        except BaseException:
            commands.close()
            raise
        return Started(process, Apart(self._account, process, commands))

    @staticmethod
    def write(path: Path, content: str) -> None:
        write_for_group(path, content)

    async def _public_host_key(self) -> HostKey:
        try:
            return public_key(self._public_key.read_text())
        except (OSError, ValueError):
            raise WorldError(
                "account-incomplete",
                f"{self._public_key} cannot be read",
                remedy(self._account),
            ) from None

    async def _run(self, *arguments: str, given: bytes = b"") -> Finished:
        argv = self._account.apart(self._account.guest, "test", *arguments)
        return await run_tool(*argv, given=given)


class Apart:
    """Signals one connection's processes by their guardian. `first` leads their group."""

    def __init__(
        self, account: Account, first: asyncio.subprocess.Process, guardian: socket.socket
    ) -> None:
        self._account = account
        self._first = first
        self._guardian = guardian
        self._killing: asyncio.Task[None] | None = None

    def end(self, number: signal.Signals) -> None:
        """By the guardian, which ends after all others of the group; SIGKILL is for a guardian that
        was stopped, or ended itself.
        """
        code = self._first.returncode
        if number is not signal.SIGKILL:
            self._send_line("end")
        elif self._killing is None and (code is None or code < 0):
            self._killing = asyncio.create_task(self._kill())

    def send(self, process: int, number: signal.Signals) -> None:
        self._send_line(f"signal {process} {number.value}")

    def guard(self, seconds: float) -> None:
        self._send_line(f"guard {seconds:.3f}")

    def close(self) -> None:
        self._guardian.close()

    async def _kill(self) -> None:
        group = str(self._first.pid)
        with contextlib.suppress(WorldError, Misconfigured):
            await run_tool(*self._account.apart(self._account.guest, "end", group))

    def _send_line(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it is gone, or stopped
            self._guardian.send(f"{line}\n".encode())


class Sshds:
    """The sshd of the current session: our own, or that of its account."""

    def __init__(self, own: Sshd, account: Callable[[], Account | None]) -> None:
        self._own = own
        self._account = account
        self._known: dict[Account, AccountSshd] = {}

    def __call__(self) -> Sshd:
        account = self._account()
        if account is None:
            return self._own
        if account not in self._known:
            self._known[account] = AccountSshd(account)
        return self._known[account]
