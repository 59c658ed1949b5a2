"""Gives the host the guest's command when a scheduled invitation opens."""

from __future__ import annotations

import logging

from pairingd.core.model import Invitation
from pairingd.errors import PairingError
from pairingd.protocol import results
from pairingd.reconcile.aside import Aside
from pairingd.replies import answers, waits
from pairingd.replies.parts import Parts
from pairingd.signals import Signals

log = logging.getLogger(__name__)


class Opening:
    """Announces each invitation once, also across restarts of the daemon."""

    def __init__(self, parts: Parts, signals: Signals) -> None:
        self._parts = parts
        self._endpoint_changed = signals.endpoint_changed
        self._aside = Aside()

    def announce(self, ids: frozenset[str]) -> None:
        """Announce these invitations. Returns at once."""
        self._aside.run(self._announce(ids))

    def renew(self, invitation: str) -> None:
        """Announce a new command: pairingd dials other ports or from elsewhere. Returns at once."""
        self._aside.run(self._renew(invitation))

    async def _renew(self, invitation_id: str) -> None:
        try:
            command = await answers.dial_command(self._parts, invitation_id)
        except PairingError as error:
            self._parts.intent.troubled(error)
            return
        for invitation in self._parts.intent.state.live:
            if command and invitation.id == invitation_id:
                text = f"{invitation.guest} now connects with: {command}"
                data = {"invitation": invitation.id, "guest": invitation.guest, "command": command}
                self._parts.intent.happened("endpoint-changed", text, **data)
                self._endpoint_changed(text)

    async def _announce(self, ids: frozenset[str]) -> None:
        await waits.wait_for_ways(self._parts, _ignore_progress)
        new = ids - self._announced()
        if not any(invitation.id in new for invitation in self._parts.intent.state.live):
            return  # revoked meanwhile, or announced before a restart
        try:
            commands = {id_: await answers.command(self._parts, id_) for id_ in new}
        except PairingError as error:
            self._parts.intent.troubled(error)
            return
        guests: dict[str, list[str]] = {}  # by their command
        for invitation in self._parts.intent.state.live:
            if command := commands.get(invitation.id):  # else revoked meanwhile
                self._note(invitation, command)
                guests.setdefault(command, []).append(invitation.guest)
        for command, names in guests.items():
            self._endpoint_changed(f"{', '.join(names)} may enter now: {command}")

    def _note(self, invitation: Invitation, command: str) -> None:
        text = f"{invitation.guest} may enter now: {command}"
        data = {"invitation": invitation.id, "guest": invitation.guest, "command": command}
        self._parts.intent.happened("opened", text, **data)

    def _announced(self) -> set[str]:
        session = self._parts.intent.state.session
        try:
            history = self._parts.store.history_of(session.id) if session else []
        except ValueError:
            log.exception("the history cannot be read")
            return set()
        return {str(line.data.get("invitation")) for line in history if line.kind == "opened"}


def _ignore_progress(_: results.Progress) -> None:
    """No client waits for it."""
