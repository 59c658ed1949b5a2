"""What lets somebody in: sshd, the file of keys that it reads, and the listener of the door."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from pairingd.core.plan import Grant
from pairingd.core.rules import DoorOpened
from pairingd.intent import Intent
from pairingd.signals import Signals
from pairingd.world.authorized_keys import AuthorizedKeys
from pairingd.world.door import Door
from pairingd.world.sshd import ZULU_SINCE, Sshd
from pairingd.world.tmux import Tmux


class Entrance:
    """`fixed_port` is the door's own, 0 for any. `tmux` is what the keys lead to, `control` where
    guests ask to be let in.
    """

    def __init__(
        self,
        intent: Intent,
        door: Door,
        sshd: Sshd,
        authorized_keys: Path,
        tmux: Tmux,
        fixed_port: int,
        signals: Signals,
        control: Callable[[], Path],
    ) -> None:
        self._intent = intent
        self._door = door
        self._sshd = sshd
        self._authorized_keys = authorized_keys
        self._tmux = tmux
        self._fixed_port = fixed_port
        self._control = control
        self._door_changed = signals.door_changed
        self._opened = signals.opened
        self._open: frozenset[str] = frozenset()  # of the scheduled ones, those that are
        self._version = ZULU_SINCE

    @property
    def live(self) -> Path:
        """The directory of the marks."""
        return self._authorized_keys.with_name("live")

    async def prepare(self) -> None:
        """There is an sshd that accepts its configuration. Raises as Sshd.prepare."""
        self._version = await self._sshd.prepare()

    def grants(self, expected: tuple[Grant, ...]) -> tuple[Grant, ...] | None:
        """`expected` where the file of keys is exactly what would be written for them."""
        return self._keys().grants(expected)

    def write(self, grants: tuple[Grant, ...]) -> None:
        """Raises WorldError."""
        self._keys().write(grants)

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
        return AuthorizedKeys(
            self._authorized_keys,
            self._tmux.command,
            self._tmux.socket,
            self._tmux.target,
            self.live,
            self._control(),
            zulu=self._version >= ZULU_SINCE,
        )
