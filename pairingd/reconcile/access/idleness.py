"""Invitations that end when nobody has shown a sign of life for too long."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from pairingd.core import plan
from pairingd.core.events import Active, Rested
from pairingd.errors import WorldError
from pairingd.reconcile.access.login import Login
from pairingd.reconcile.aside import Aside
from pairingd.state.intent import Intent
from pairingd.world.tmux import Tmux

log = logging.getLogger(__name__)


class Idleness:
    """Asks tmux who has typed only when a time is up. No answer counts as no sign of life."""

    def __init__(
        self,
        intent: Intent,
        tmux: Tmux,
        logins: Mapping[int, Login],
        clock: Callable[[], float],
        aside: Aside,
    ) -> None:
        self._intent = intent
        self._tmux = tmux
        self._logins = logins
        self._clock = clock
        self._looking = False
        self._aside = aside

    def look(self) -> None:
        """Begin to end those whose time is up: no other deadline waits for tmux's answer."""
        if self._looking or not plan.idle(self._intent.state, self._clock()):
            return
        self._looking = True
        self._aside.run(self._look())

    async def _look(self) -> None:
        try:
            quiet = set(plan.idle(self._intent.state, self._clock()))
            inside = quiet & {login.invitation for login in self._logins.values() if login.joined}
            typed_at = await self._typed_at() if inside else None
            if typed_at is not None:
                for invitation in inside:
                    self._intent.apply(Active(invitation, typed_at))
            self._intent.apply(Rested())
        finally:
            self._looking = False

    async def _typed_at(self) -> int | None:
        try:
            typed_at = await self._tmux.typed_at()
        except WorldError as silent:
            log.warning("nobody is known to type: %s", silent)
            return None
        # The clock may have been set back since.
        return None if typed_at is None else min(typed_at, int(self._clock()))
