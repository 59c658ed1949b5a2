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
        self._way_in_changed = signals.endpoint_changed
        self._aside = Aside()

    def announce(self, ids: frozenset[str]) -> None:
        """Returns at once."""
        self._aside.run(self._announce(ids))

    def renew(self, invitation: str) -> None:
        """Its guest is dialed by other ports, or from elsewhere. Returns at once."""
        self._aside.run(self._renew(invitation))

    async def _renew(self, invitation: str) -> None:
        try:
            command = await answers.dial_command(self._parts, invitation)
        except PairingError as error:
            self._parts.intent.troubled(error)
            return
        for one in self._parts.intent.state.live:
            if command and one.id == invitation:
                text = f"{one.guest} now connects with: {command}"
                about = {"invitation": one.id, "guest": one.guest, "command": command}
                self._parts.intent.happened("endpoint-changed", text, **about)
                self._way_in_changed(text)

    async def _announce(self, ids: frozenset[str]) -> None:
        await waits.wait_for_ways(self._parts, _tell_nobody)
        new = ids - self._announced()
        if not any(one.id in new for one in self._parts.intent.state.live):
            return  # revoked meanwhile, or announced before a restart
        try:
            commands = {id_: await answers.command(self._parts, id_) for id_ in new}
        except PairingError as error:
            self._parts.intent.troubled(error)
            return
        guests: dict[str, list[str]] = {}  # by their command
        for one in self._parts.intent.state.live:
            if command := commands.get(one.id):  # else revoked meanwhile
                self._note(one, command)
                guests.setdefault(command, []).append(one.guest)
        for command, names in guests.items():
            self._way_in_changed(f"{', '.join(names)} may enter now: {command}")

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
