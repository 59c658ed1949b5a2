from __future__ import annotations

import threading

from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(_: Parts, __: params.Nothing) -> results.Nothing:
    """Start the imports and return at once. They take longer than all else of a first invitation; a
    client that is about to invite starts tmux meanwhile.
    """
    threading.Thread(target=_load, name="imports", daemon=True).start()
    return {}


def _load() -> None:
    """Import pydantic and httpx, which an idle daemon does not need; httpx imports httpcore only
    with its first client.
    """
    params.model(params.Invite)
    import httpcore  # noqa: F401
    import httpx  # noqa: F401
