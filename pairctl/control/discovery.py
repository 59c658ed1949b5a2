"""Searches for the router in place of the daemon: macOS may allow it here and deny it there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pairctl.failures import NoDaemon
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from pairctl.control.client import Client
    from pairingd.protocol.results import Invited

_DENIED = "local-network-denied"
_LIMIT_S = 15.0  # the search itself takes 3 s
_PROGRAM = (sys.executable, "-P", "-m", "pairingd.discovery")


def in_its_place(
    client: Client,
    reply: Invited,
    progress: Callable[[dict[str, Any]], None],
    *,
    limit_s: float = _LIMIT_S,
) -> Invited:
    """`reply`; or if macOS denies the daemon the search, the invitation after a search from here.

    A failure is only reported as a failed step. Raises nothing but NoDaemon.
    """
    if all(warning["code"] != _DENIED for warning in reply["warnings"]):
        return reply
    step = "search"
    progress({"step": step, "state": "begun", "text": "looking for the router from here"})
    try:
        urls = _search(limit_s)
        progress({"step": step, "state": "done", "text": "found a router from here"})
        step = "router"
        client.call("gateway", {"description_urls": urls}, progress=progress)
        fresh: Invited = client.call("show", {"guest": reply["invitations"][0]["guest"]})
    except NoDaemon:
        raise
    except PairingError as refusal:
        progress({"step": step, "state": "failed", "text": refusal.message})
        return reply
    return _renewed(reply, fresh)


def _renewed(reply: Invited, fresh: Invited) -> Invited:
    """The endpoints of `fresh`; the guests, and the warnings on their keys, of `reply`."""
    others = [warning for warning in reply["warnings"] if warning["code"] != _DENIED]
    more = [warning for warning in fresh["warnings"] if warning not in others]
    return {**fresh, "invitations": reply["invitations"], "warnings": [*others, *more]}


def _search(limit_s: float) -> list[str]:
    """Raises PairingError if it finds nothing."""
    try:
        done = subprocess.run(
            _PROGRAM,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=True,
        )
        answer = json.loads(done.stdout)
        if error := answer.get("error"):
            raise PairingError(error["code"], error["message"], error["hint"])
        return list(answer["description_urls"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        raise PairingError(
            "search-failed",
            "the search for the router did not finish",
            f"for details run: {shell(*_PROGRAM)}",
        ) from None
