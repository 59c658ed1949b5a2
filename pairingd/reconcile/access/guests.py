"""The guests who are in: kept in the shared session and in their role, or cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pairingd.core.approval import Entry
from pairingd.core.model import Access, Cause, State
from pairingd.reconcile.access.confinement import Confinement, Place
from pairingd.reconcile.access.courtesy import Courtesy
from pairingd.reconcile.access.login import Login
from pairingd.world.door import Connections

OUT_OF_PLACE = "they were not in the shared session, or their terminal too large"
UNAPPROVED = "the host had not approved"


class Guests:
    """Those of `logins` that have an invitation."""

    def __init__(
        self,
        logins: Mapping[int, Login],
        connections: Connections,
        confinement: Confinement,
        courtesy: Courtesy,
        clock: Callable[[], float],
        joined: Callable[[Login], None],
        dismiss: Callable[[int, str], bool],
    ) -> None:
        """`joined` is called when a guest is seen in the session for the first time. `dismiss` has
        one who waits for approval read why they are cut, if the connection's guest waits.
        """
        self._logins = logins
        self._connections = connections
        self._confinement = confinement
        self._courtesy = courtesy
        self._clock = clock
        self._joined = joined
        self._dismiss = dismiss

    def guard(self, state: State) -> None:
        """Give the guardian each guest's deadline, in case the daemon cannot keep it."""
        now = self._clock()
        ends = {invitation.id: invitation.deadline - now for invitation in state.live}
        self._connections.guard(
            {
                login.pid: max(ends.get(login.invitation or "", 0.0), 0.0)
                for login in self._logins.values()
                if login.authenticated
            }
        )

    def next_cut(self) -> float | None:
        """When the next guest who is not in the session must be cut."""
        times = [login.detached_at for login in self._logins.values()]
        return min((time for time in times if time is not None), default=None)

    async def cut(self, pids: Iterable[int], reason: str = "", cause: Cause | None = None) -> None:
        """End these connections. Without `reason` each has its own."""
        now = self._clock()
        cut = [self._logins[pid] for pid in pids if pid in self._logins]
        for login in cut:
            login.cut(reason, cause, now)
        await self._courtesy.bid_farewell(cut)
        leave = {
            login.pid
            for login in cut
            if login.attached or self._dismiss(login.pid, self._courtesy.farewell(login))
        }
        detach = self._confinement.farewell
        await self._connections.cut([login.pid for login in cut], leave, detach)
        self._courtesy.forget(cut)

    async def hold(self, access: Mapping[str, Access]) -> bool:
        """Keep them in place; `access` has what each live invitation gives. Returns whether one
        must be cut now, or has the wrong role. Raises WorldError.
        """
        roles = {
            login.pid: access[login.invitation]
            for login in self._logins.values()
            if login.invitation and login.invitation in access
        }
        if not roles:
            return False
        self._note(await self._confinement.hold(roles))
        return any(
            login.astray or (login.command and login.role() is not roles.get(login.pid))
            for login in self._logins.values()
        )

    def lose_sight(self, access: Mapping[str, Access]) -> None:
        """Mark read guests to be cut: nobody controls what they see if tmux cannot be steered."""
        for login in self._logins.values():
            if login.invitation and access.get(login.invitation) is Access.READ:
                login.astray = "tmux does not answer"

    def _note(self, places: Mapping[int, Place]) -> None:
        for login in self._logins.values():
            if place := places.get(login.pid):
                login.seen(place.command)
                if place.astray:
                    login.astray = OUT_OF_PLACE
                elif login.entry is not Entry.FREE:
                    login.astray = UNAPPROVED
                elif not login.joined:
                    self._joined(login)
            else:
                login.unseen(self._clock())
