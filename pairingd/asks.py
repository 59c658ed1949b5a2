"""Where guests of an account ask to be let in: they may not come near the control socket.

Beside the account's keys, while the door is open. Its user may say `hello` and `ask`, and no more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
from collections.abc import Awaitable, Callable
from typing import Any

from pairingd.account.place import Account
from pairingd.parts import Parts
from pairingd.process import listeners
from pairingd.protocol import methods, results, wire
from pairingd.reconcile.aside import Aside
from pairingd.server import ControlServer

log = logging.getLogger(__name__)

_METHODS = frozenset({methods.HELLO.name, methods.ASK.name})
_LIMIT = 16  # connections; as many guests of an account may wait at a time
Ask = Callable[[Parts, str, object, Callable[[results.Progress], None]], Awaitable[Any]]


class Asks:
    """Follows the door. `call` answers a method, as verbs.call does."""

    def __init__(self, parts: Parts, call: Ask, aside: Aside) -> None:
        self._parts = parts
        self._ask = call
        self._aside = aside
        self._bound: str | None = None
        self._server: ControlServer | None = None

    def follow(self) -> None:
        """The door has opened, or closed."""
        place = self._parts.tmux.box
        account = place.account if place else None
        if account and self._parts.door.port is not None:
            self._open(account)
        else:
            self.close()

    def close(self) -> None:
        """Whoever waits there is told no."""
        if self._bound:
            with contextlib.suppress(OSError):
                os.unlink(self._bound)  # noqa: PTH108 - pairingd.account has strings
        if self._server:
            self._aside.run(self._server.close())
        self._bound = self._server = None

    def _open(self, account: Account) -> None:
        """Before the first guest can be there; where that fails nobody who must ask is let in."""
        if self._server:
            return
        try:
            user = pwd.getpwnam(account.name).pw_uid
            listener = listeners.listen(account.asks, 0o660, _LIMIT)
        except (KeyError, OSError):
            log.exception("%s cannot be bound", account.asks)
            return
        self._bound = account.asks
        self._server = ControlServer(
            self._call, self._parts.intent, limit=_LIMIT, peer_uid=user, methods=_METHODS
        )
        self._aside.run(self._server.start(listener))

    async def _call(
        self, name: str, given: object, notify: Callable[[results.Progress], None]
    ) -> Any:
        """`hello` tells them nothing of the host."""
        if name == methods.HELLO.name:
            return {"protocol": wire.PROTOCOL}
        return await self._ask(self._parts, name, given, notify)
