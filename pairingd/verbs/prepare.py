from __future__ import annotations

import threading

from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(_: Parts, __: params.Nothing) -> results.Nothing:
    """Returns at once. The imports take longer than all else of a first invitation, and a client
    that is about to invite first starts tmux.
    """
    threading.Thread(target=_load, name="imports", daemon=True).start()
    return {}


def _load() -> None:
    """Pydantic and httpx, which an idle daemon does without; httpx leaves httpcore to its first
    client.
    """
    params.model(params.Invite)
    import httpcore  # noqa: F401
    import httpx  # noqa: F401
