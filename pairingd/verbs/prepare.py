from __future__ import annotations

import contextlib
import sys
import threading

from pairingd.errors import PairingError
from pairingd.protocol import params, results
from pairingd.replies.parts import Parts

_TEST = "test of sshd"


async def run(parts: Parts, _: params.Nothing) -> results.Nothing:
    """Start what takes longest in a first invitation and return at once: the import of httpx and
    the test of sshd, each once at a time. A client that is about to invite starts tmux meanwhile.
    """
    if "httpcore" not in sys.modules:  # no thread has begun yet
        threading.Thread(target=_load, name="imports", daemon=True).start()
    if not parts.aside.runs(_TEST):
        parts.aside.run(_test_sshd(parts), _TEST)
    return {}


def _load() -> None:
    """Import httpx, which an idle daemon does not need, and httpcore, which httpx leaves to its
    first client.
    """
    import httpcore  # noqa: F401
    import httpx  # noqa: F401


async def _test_sshd(parts: Parts) -> None:
    with contextlib.suppress(PairingError):  # `invite` will report it
        await parts.sshd().prepare()
