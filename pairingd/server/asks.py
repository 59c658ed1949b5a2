"""The socket at which guests of an account ask to be let in; they cannot reach the control socket.

It lies beside the account's keys while the door is open. Its user may only call `hello` and `ask`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
from collections.abc import Callable
from typing import Any

from pairingd.account.place import Account
from pairingd.process import listeners
from pairingd.protocol import methods, results, wire
from pairingd.replies.parts import Parts
from pairingd.server.conversation import Call
from pairingd.server.server import ControlServer

log = logging.getLogger(__name__)

_METHODS = frozenset({methods.HELLO.name, methods.ASK.name})
_MAX_CONNECTIONS = 16  # so many guests of an account may wait at a time


class Asks:
    """Opens and closes with the door. `call` answers a method."""

    def __init__(self, parts: Parts, call: Call) -> None:
        self._parts = parts
        self._verb = call
        self._bound: str | None = None
        self._server: ControlServer | None = None

    def follow(self) -> None:
        """Open or close the socket, after the door has."""
        place = self._parts.tmux.box
        account = place.account if place else None
        if account and self._parts.door.port is not None:
            self._open(account)
        else:
            self.close()

    def close(self) -> None:
        """Close the socket. Guests who wait there are refused."""
        if self._bound:
            with contextlib.suppress(OSError):
                os.unlink(self._bound)  # noqa: PTH108 - pairingd.account has strings
        if self._server:
            self._parts.aside.run(self._server.close())
        self._bound = self._server = None

    def _open(self, account: Account) -> None:
        """Open before the first guest connects. On failure no guest who must ask is let in."""
        if self._server:
            return
        try:
            user = pwd.getpwnam(account.name).pw_uid
            listener = listeners.listen(account.asks, 0o660, _MAX_CONNECTIONS)
        except (KeyError, OSError):
            log.exception("%s cannot be bound", account.asks)
            return
        self._bound = account.asks
        self._server = ControlServer(
            self._call, self._parts.intent, limit=_MAX_CONNECTIONS, peer_uid=user, methods=_METHODS
        )
        self._parts.aside.run(self._server.start(listener))

    async def _call(
        self, name: str, given: object, notify: Callable[[results.Progress], None]
    ) -> Any:
        """Answer `hello` without anything about the host."""
        if name == methods.HELLO.name:
            return {"protocol": wire.PROTOCOL}
        return await self._verb(name, given, notify)
