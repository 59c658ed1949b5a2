"""What lets guests in: sshd, its key file, and the door's listener."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from pairingd.account.place import Account, ours
from pairingd.core.events import DoorOpened
from pairingd.core.model import Grant, Invitation
from pairingd.home.files import remove_file
from pairingd.process.listeners import answers
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.live import copy_marks
from pairingd.world.authorized_keys import AuthorizedKeys, KeyFiles
from pairingd.world.door import Door
from pairingd.world.sshd import ZULU_SINCE, Sshd
from pairingd.world.tmux import Tmux


class Entrance:
    """`fixed_port` is the door's port, 0 for any. The keys lead to `tmux`. `control` returns the
    socket at which guests ask to be let in.
    """

    def __init__(
        self,
        intent: Intent,
        door: Door,
        sshd: Callable[[], Sshd],
        authorized_keys: Path,
        tmux: Tmux,
        fixed_port: int,
        signals: Signals,
        control: Callable[[], Path],
        account: Callable[[], Account | None] = lambda: None,
    ) -> None:
        """`account` returns the account that guests log in to, None if it is our own."""
        self._intent = intent
        self._door = door
        self._sshd = sshd
        self._authorized_keys = authorized_keys
        self._tmux = tmux
        self._fixed_port = fixed_port
        self._control = control
        self._account = account
        self._door_changed = signals.door_changed
        self._opened = signals.opened
        self._key_files = KeyFiles()
        self._open: frozenset[str] = frozenset()  # the scheduled invitations that are open
        self._version = ZULU_SINCE
        self._written_for: Account | None = None  # the last file's account, if any

    @property
    def live(self) -> Path:
        """The directory of the marks that the forced command reads."""
        account = self._account()
        return Path(account.live) if account else self._authorized_keys.with_name("live")

    async def prepare(self) -> None:
        """Check that an sshd accepts its configuration. Raises as Sshd.prepare."""
        self._version = await self._sshd().prepare()

    def grants(self, expected: tuple[Grant, ...]) -> tuple[Grant, ...] | None:
        """`expected` if the key file is exactly what `write` would write for them."""
        return None if self._stale_files() else self._key_files.grants(self._keys(), expected)

    def write(self, grants: tuple[Grant, ...]) -> None:
        """Raises WorldError `unwritable-file`."""
        for file in self._stale_files():
            remove_file(file)
        self._key_files.write(self._keys(), grants)
        self._written_for = self._account() or self._written_for

    def publish(self, live: Iterable[Invitation]) -> None:
        """Copy their marks to where an account's forced command can read them."""
        if account := self._account():
            copy_marks(Path(account.live), live)

    def _stale_files(self) -> list[Path]:
        """Key files, ours or an account's, that were for the guests of other sessions. Leaves out
        accounts whose door another daemon of ours holds open.
        """
        accounts = [
            account
            for account in ours()
            if account == self._written_for or not answers(account.asks)
        ]
        files = [self._authorized_keys, *(Path(account.authorized_keys) for account in accounts)]
        return [file for file in files if file != self._keys_file() and file.exists()]

    def _keys_file(self) -> Path:
        account = self._account()
        return Path(account.authorized_keys) if account else self._authorized_keys

    async def open(self, preferred: int) -> None:
        """Raises WorldError `door-blocked`."""
        await self._door.open(preferred=preferred, fixed=self._fixed_port)
        self._intent.happened("door-opened", f"the door is open on port {self._door.port}")
        self._door_changed()

    def close(self) -> None:
        """Close the listener. Guests who are in stay until they are cut."""
        if self._door.port is not None:
            self._door.close()
            self._intent.happened("door-closed", "the door is closed")
            self._door_changed()

    def note(self, admitted: Collection[str]) -> None:
        """Record the port, for a restarted daemon to open again. `admitted` are the invitations for
        which the door is open. Raises WorldError.
        """
        if self._door.port is None:
            return
        state = self._intent.apply(DoorOpened(self._door.port))
        scheduled = {invitation.id for invitation in state.live if invitation.conditions.opens_at}
        known, self._open = self._open, frozenset(scheduled.intersection(admitted))
        if self._open - known:
            self._opened(self._open - known)

    def _keys(self) -> AuthorizedKeys:
        if (account := self._account()) and (record := account.record):
            return AuthorizedKeys(
                Path(account.authorized_keys),
                record.tmux,
                self._tmux.socket,
                self._tmux.target,
                Path(account.live),
                Path(account.asks),
                zulu=self._version >= ZULU_SINCE,
                join=Path(account.join),
                python=record.python,
                shared=True,
            )
        return AuthorizedKeys(
            self._authorized_keys,
            self._tmux.command,
            self._tmux.socket,
            self._tmux.target,
            self.live,
            self._control(),
            zulu=self._version >= ZULU_SINCE,
            confinement="box" if self._tmux.box else "plain",
        )
