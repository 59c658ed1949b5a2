from __future__ import annotations

import contextlib
import threading

from pairingd.errors import PairingError
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, _: params.Nothing) -> results.Nothing:
    """Start what takes longest in a first invitation and return at once: the import of httpx and
    the test of sshd. A client that is about to invite starts tmux meanwhile.
    """
    threading.Thread(target=_load, name="imports", daemon=True).start()
    parts.aside.run(_test_sshd(parts))
    return {}


def _load() -> None:
    """Import httpx, which an idle daemon does not need, and httpcore, which httpx leaves to its
    first client.
    """
    import httpcore  # noqa: F401
    import httpx  # noqa: F401


async def _test_sshd(parts: Parts) -> None:
    with contextlib.suppress(PairingError):  # `invite` will report it
        await parts.sshd.prepare()
