"""What the access lane knows of one connection; what the door knows of it stays there."""

from __future__ import annotations

from dataclasses import dataclass

from pairingd.core import plan
from pairingd.core.approval import Entry
from pairingd.core.model import Access, Cause, Invitation
from pairingd.world.forced_command import role_of

LEAVING_S = 1.0  # for an sshd to end by itself after its guest's tmux client has
JOINING_S = 20.0  # for a guest to be in without one, as with ssh -N


@dataclass(eq=False, slots=True)
class Login:
    """One connection from Connected to Disconnected; `pid` is its sshd's.

    `guest` is whose key logged in, "" before and for a key of nobody who is invited. `session` is
    the one under way at that moment.
    """

    pid: int
    peer: str
    since: float
    fingerprint: str = ""
    refused: bool = False  # sshd has refused a key
    invitation: str | None = None
    guest: str = ""
    session: str = ""
    access: Access | None = None  # the role in which they entered, or were attached again since
    command: int | None = None  # the pid of the forced command, once its tmux client was seen
    attached: bool = False  # has been seen in the tmux session
    absent_since: float | None = None  # when it was first seen not to be
    astray: str = ""  # why it must be cut although its invitation is live
    cut_for: str = ""
    entry: Entry = Entry.FREE

    def admit(self, invitation: Invitation) -> None:
        self.invitation, self.guest = invitation.id, invitation.guest
        if invitation.conditions.ask:
            self.entry = Entry.ASKS
        else:
            self.access = invitation.access

    def let_in(self, access: Access) -> None:
        """The host has approved; from now on it has JOINING_S to be in the session."""
        self.entry, self.access, self.absent_since = Entry.FREE, access, None

    def deny(self, now: float) -> None:
        """Cut soon: the forced command first says why."""
        self.entry, self.absent_since = Entry.DENIED, now

    def seen(self, command: int) -> None:
        """Its tmux client is there."""
        self.attached, self.absent_since, self.command = True, None, command

    def unseen(self, now: float) -> None:
        """No tmux client of it is there."""
        if self.invitation and self.absent_since is None:
            self.absent_since = now

    @property
    def detached_at(self) -> float | None:
        """When it is to be cut because its guest is not in the session; None while they are."""
        if self.absent_since is None or self.entry is Entry.WAITS:
            return None
        leaves = self.attached or self.entry is Entry.DENIED
        return self.absent_since + (LEAVING_S if leaves else JOINING_S)

    def is_detached(self, now: float) -> bool:
        return self.detached_at is not None and now >= self.detached_at

    def reason(self, now: float) -> str:
        """Why it is cut, in words for the receipt."""
        if self.astray:
            return self.astray
        if self.entry is Entry.DENIED:
            return Cause.DENIED.value
        if self.is_detached(now):
            return "they left the session but not the machine"
        return "the invitation is over"

    def role(self) -> Access | None:
        """As the forced command gives it, once that was seen."""
        return role_of(self.command) if self.command else self.access

    def observed(self, now: float) -> plan.Connection:
        return plan.Connection(
            self.pid,
            bool(self.fingerprint),
            self.invitation,
            astray=bool(self.astray) or self.is_detached(now),
            role=self.role(),
        )
