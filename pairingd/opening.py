"""A scheduled invitation opens by itself; the host then gets the command for its guest."""

from __future__ import annotations

import logging

from pairingd import answers, waits
from pairingd.core.model import Invitation
from pairingd.errors import PairingError
from pairingd.parts import Parts
from pairingd.protocol import results
from pairingd.reconcile.aside import Aside
from pairingd.signals import Signals

log = logging.getLogger(__name__)


class Opening:
    """Announces each invitation once, also where the daemon starts again meanwhile."""

    def __init__(self, parts: Parts, signals: Signals) -> None:
        self._parts = parts
        self._way_in_changed = signals.way_in_changed
        self._aside = Aside()

    def announce(self, ids: frozenset[str]) -> None:
        """Returns at once."""
        self._aside.run(self._announce(ids))

    async def _announce(self, ids: frozenset[str]) -> None:
        await waits.wait_for_ways(self._parts, _tell_nobody)
        new = ids - self._announced()
        if not any(one.id in new for one in self._parts.intent.state.live):
            return  # revoked meanwhile, or announced before a restart
        try:
            command = await answers.command(self._parts)
        except PairingError as error:
            self._parts.intent.troubled(error)
            return
        opened = [one for one in self._parts.intent.state.live if one.id in new]
        if not opened or not command:
            return  # revoked meanwhile
        for one in opened:
            self._note(one, command)
        guests = ", ".join(one.guest for one in opened)
        self._way_in_changed(f"{guests} may enter now: {command}")

    def _note(self, one: Invitation, command: str) -> None:
        text = f"{one.guest} may enter now: {command}"
        about = {"invitation": one.id, "guest": one.guest, "command": command}
        self._parts.intent.happened("opened", text, **about)

    def _announced(self) -> set[str]:
        session = self._parts.intent.state.session
        try:
            history = self._parts.store.history_of(session.id) if session else []
        except ValueError:
            log.exception("the history cannot be read")
            return set()
        return {str(line.data.get("invitation")) for line in history if line.kind == "opened"}


def _tell_nobody(_: results.Progress) -> None:
    """No client waits for it."""
