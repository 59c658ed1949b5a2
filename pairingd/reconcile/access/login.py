"""What the access lane knows of one connection; what the door knows stays there."""

from __future__ import annotations

from msgspec import Struct

from pairingd.core import causes, plan
from pairingd.core.approval import Entry
from pairingd.core.knocks import Attempt
from pairingd.core.model import Access, Cause, Invitation
from pairingd.world.forced_command import role_of

LEAVING_S = 1.0  # for an sshd to end by itself after its guest's tmux client has
JOINING_S = 20.0  # for a guest to stay without one, as with ssh -N
INVITATION_OVER = "the invitation is over"
NO_TERMINAL = "they opened no terminal in the session"


class Login(Struct, eq=False):
    """One connection from Connected to Disconnected; `pid` is its sshd's.

    `guest` is the owner of the key that logged in, "" before and for a key without an invitation.
    `session` is the one at that moment.
    """

    pid: int
    peer: str
    since: float
    dialed: str = ""  # as in Connected
    authenticated: bool = False  # somebody is in
    fingerprint: str = ""  # of their key; "" if unknown
    refused: Attempt | None = None  # the logins on it that sshd has refused
    invitation: str | None = None
    guest: str = ""
    session: str = ""
    access: Access | None = None  # the role in which they entered, or were attached again since
    command: int | None = None  # the pid of the forced command, once its tmux client was seen
    attached: bool = False  # has been seen in the tmux session, in the present role
    joined: bool = False  # has been seen in the tmux session at all
    absent_since: float | None = None  # when it was first seen not attached
    astray: str = ""  # why it must be cut although its invitation is live
    cut_for: str = ""
    cause: Cause | None = None  # of the cut, if it is not the invitation's end
    typed_at: int | None = None  # when they last typed, as far as tmux has reported it
    typed_journaled: int = 0  # the `typed_at` that a crash leaves
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
        """Have it cut after LEAVING_S: the forced command first prints why."""
        self.entry, self.absent_since, self.cause = Entry.DENIED, now, Cause.DENIED

    def refuse(self, fingerprint: str, *, other_user: bool, unlike: str) -> None:
        """Note that sshd has refused a login on it, as in LoginRefused."""
        known = self.refused or Attempt(self.peer)
        self.refused = known.plus(fingerprint, other_user=other_user, unlike=unlike)

    def seen(self, command: int) -> None:
        """Its tmux client was seen."""
        self.attached, self.absent_since, self.command = True, None, command

    def unseen(self, now: float) -> None:
        """No tmux client of it was seen."""
        if self.invitation and self.absent_since is None:
            self.absent_since = now

    @property
    def detached_at(self) -> float | None:
        """When to cut it because its guest is not in the session; None while they are."""
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
            return "they left the session but not the machine" if self.joined else NO_TERMINAL
        return INVITATION_OVER

    def cut(self, reason: str, cause: Cause | None, now: float) -> None:
        """Note that it is being cut; the first reason stays. Without `reason` it has its own."""
        if self.cut_for:
            return
        self.cut_for = reason or self.reason(now)
        if cause or self.cut_for != INVITATION_OVER:
            default = Cause.LEFT if self.is_detached(now) else Cause.ENDED
            self.cause = self.cause or cause or default

    def left_for(self, invitation: Invitation | None) -> tuple[Cause, str]:
        """Why they are out, as a cause and as text; `invitation` is theirs, as it is now."""
        end_cause = invitation.cause if invitation else None
        cause = self.cause or end_cause or (Cause.ENDED if self.cut_for else Cause.LEFT)
        reason = "" if self.cut_for == INVITATION_OVER else self.cut_for
        return cause, reason or causes.WORDS[cause]

    def role(self) -> Access | None:
        """The forced command's, once that was seen."""
        return role_of(self.command) if self.command else self.access

    def observed(self, now: float) -> plan.Connection:
        return plan.Connection(
            self.pid,
            self.authenticated,
            self.invitation,
            astray=bool(self.astray) or self.is_detached(now),
            role=self.role(),
        )
