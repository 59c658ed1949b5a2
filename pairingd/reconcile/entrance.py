"""What lets somebody in: sshd, the file of keys that it reads, and the listener of the door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from pairingd.account.place import Account, ours
from pairingd.core.events import DoorOpened
from pairingd.core.model import Invitation
from pairingd.core.plan import Grant
from pairingd.files import remove_file
from pairingd.intent import Intent
from pairingd.live import copy_marks
from pairingd.process.listeners import answers
from pairingd.signals import Signals
from pairingd.world.authorized_keys import AuthorizedKeys
from pairingd.world.door import Door
from pairingd.world.sshd import ZULU_SINCE, Server
from pairingd.world.tmux import Tmux


class Entrance:
    """`fixed_port` is the door's own, 0 for any. `tmux` is what the keys lead to, `control` where
    guests ask to be let in.
    """

    def __init__(
        self,
        intent: Intent,
        door: Door,
        sshd: Server,
        authorized_keys: Path,
        tmux: Tmux,
        fixed_port: int,
        signals: Signals,
        control: Callable[[], Path],
        account: Callable[[], Account | None] = lambda: None,
    ) -> None:
        """`account` is the one by which guests log in, None where that is our own."""
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
        self._open: frozenset[str] = frozenset()  # of the scheduled ones, those that are
        self._version = ZULU_SINCE
        self._written_for: Account | None = None  # the last one

    @property
    def live(self) -> Path:
        """The directory of the marks that the forced command reads."""
        account = self._account()
        return Path(account.live) if account else self._authorized_keys.with_name("live")

    async def prepare(self) -> None:
        """There is an sshd that accepts its configuration. Raises as Sshd.prepare."""
        self._version = await self._sshd.prepare()

    def grants(self, expected: tuple[Grant, ...]) -> tuple[Grant, ...] | None:
        """`expected` where the file of keys is exactly what would be written for them."""
        return None if self._left() else self._keys().grants(expected)

    def write(self, grants: tuple[Grant, ...]) -> None:
        """Raises WorldError `unwritable-file`."""
        for left in self._left():
            remove_file(left)
        self._keys().write(grants)
        self._written_for = self._account() or self._written_for

    def publish(self, live: Iterable[Invitation]) -> None:
        """Have the forced command find the marks of these where it cannot read our own."""
        if account := self._account():
            copy_marks(Path(account.live), live)

    def _left(self) -> list[Path]:
        """Files of keys that were for the guests of other sessions: ours, or an account's. Not one
        of an account whose door another daemon of ours holds open.
        """
        accounts = [one for one in ours() if one == self._written_for or not answers(one.asks)]
        own = [self._authorized_keys, *(Path(one.authorized_keys) for one in accounts)]
        return [one for one in own if one != self._keys_file() and one.exists()]

    def _keys_file(self) -> Path:
        account = self._account()
        return Path(account.authorized_keys) if account else self._authorized_keys

    async def open(self, preferred: int) -> None:
        """Raises WorldError `door-blocked`."""
        await self._door.open(preferred=preferred, fixed=self._fixed_port)
        self._intent.happened("door-opened", f"the door is open on port {self._door.port}")
        self._door_changed()

    def close(self) -> None:
        """The listener; those inside stay until they are cut."""
        if self._door.port is not None:
            self._door.close()
            self._intent.happened("door-closed", "the door is closed")
            self._door_changed()

    def note(self, admitted: Collection[str]) -> None:
        """A restarted daemon is to open the door there again; and `admitted` are the invitations
        for which it stands open. Raises WorldError.
        """
        if self._door.port is None:
            return
        state = self._intent.apply(DoorOpened(self._door.port))
        scheduled = {one.id for one in state.live if one.conditions.opens_at}
        known, self._open = self._open, frozenset(scheduled.intersection(admitted))
        if self._open - known:
            self._opened(self._open - known)

    def _keys(self) -> AuthorizedKeys:
        if (account := self._account()) and (made := account.record):
            return AuthorizedKeys(
                Path(account.authorized_keys),
                made.tmux,
                self._tmux.socket,
                self._tmux.target,
                Path(account.live),
                Path(account.asks),
                zulu=self._version >= ZULU_SINCE,
                join=Path(account.join),
                python=made.python,
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
