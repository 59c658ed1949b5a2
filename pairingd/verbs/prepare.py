from __future__ import annotations

import contextlib
import threading

from pairingd.core.refusal import PairingError
from pairingd.parts import Parts
from pairingd.protocol import params, results
from pairingd.reconcile.aside import Aside

_aside = Aside()


async def run(parts: Parts, _: params.Nothing) -> results.Nothing:
    """Returns at once. The imports and the test of sshd take longer than all else of a first
    invitation, and a client that is about to invite first starts tmux.
    """
    threading.Thread(target=_load, name="imports", daemon=True).start()
    _aside.run(_test_sshd(parts))
    return {}


def _load() -> None:
    """Pydantic and httpx, which an idle daemon does without; httpx leaves httpcore to its first
    client.
    """
    params.model(params.Invite)
    import httpcore  # noqa: F401
    import httpx  # noqa: F401


async def _test_sshd(parts: Parts) -> None:
    with contextlib.suppress(PairingError):  # which the invitation raises
        await parts.sshd.prepare()
