"""The verbs: one file per method of the protocol, as `pairctl` has one file per command.

A verb changes the intent and waits until the lanes have carried it out. It returns JSON of
protocol.results, or raises PairingError and has changed nothing; but see changes.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pairingd.errors import PairingError
from pairingd.protocol import methods
from pairingd.protocol.methods import Method
from pairingd.replies.parts import Notify, Parts
from pairingd.verbs import (
    approve,
    arrivals,
    ask,
    config,
    deny,
    end,
    extend,
    gateway,
    hello,
    invite,
    log,
    prepare,
    reach,
    receipt,
    receipts,
    revoke,
    role,
    show,
    status,
    stop,
    waiting,
)

P = TypeVar("P")
R = TypeVar("R")
Verb = Callable[[Parts, P, Notify], Awaitable[R]]

_RESTART = "config.toml has changed since pairingd started: pairctl restart"


async def call(parts: Parts, name: str, given: object, notify: Notify) -> Any:
    """Run the verb `name`; `given` is a record of its parameters.

    Where a hint was to change config.toml, and somebody has, a PairingError names the next step.
    """
    try:
        return await VERBS[name](parts, given, notify)
    except PairingError as error:
        if parts.settings.is_outdated and not error.hint.endswith(_RESTART):
            error.hint = f"{error.hint}; {_RESTART}"
        raise


def _verb(method: Method[P, R], run: Verb[P, R]) -> tuple[str, Verb[Any, Any]]:
    """Let mypy check that `run` takes and returns what `method` declares."""
    return method.name, run


def _quiet(
    method: Method[P, R], run: Callable[[Parts, P], Awaitable[R]]
) -> tuple[str, Verb[Any, Any]]:
    """As `_verb`, for a verb that reports no progress."""
    return _verb(method, lambda parts, given, _: run(parts, given))


VERBS: Mapping[str, Verb[Any, Any]] = dict(
    (
        _quiet(methods.HELLO, hello.run),
        _quiet(methods.PREPARE, prepare.run),
        _verb(methods.INVITE, invite.run),
        _verb(methods.GATEWAY, gateway.run),
        _quiet(methods.REACH, reach.run),
        _quiet(methods.ARRIVALS, arrivals.run),
        _quiet(methods.SHOW, show.run),
        _quiet(methods.STATUS, status.run),
        _quiet(methods.EXTEND, extend.run),
        _quiet(methods.REVOKE, revoke.run),
        _quiet(methods.ROLE, role.run),
        _quiet(methods.ASK, ask.run),
        _quiet(methods.WAITING, waiting.run),
        _quiet(methods.APPROVE, approve.run),
        _quiet(methods.DENY, deny.run),
        _quiet(methods.END, end.run),
        _quiet(methods.WATCH, log.watch),  # the server then streams new events
        _quiet(methods.LOG, log.run),
        _quiet(methods.RECEIPT, receipt.run),
        _quiet(methods.RECEIPTS, receipts.run),
        _quiet(methods.CONFIG, config.run),
        _quiet(methods.STOP, stop.run),
    )
)
