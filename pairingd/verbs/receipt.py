from __future__ import annotations

from pairingd import report
from pairingd.core.text import quoted
from pairingd.errors import PairingError
from pairingd.parts import Parts
from pairingd.protocol import params, results


async def run(parts: Parts, given: params.Receipt) -> results.Receipt:
    """Of the last session where none is named."""
    last = parts.store.session_ids(5)
    if given.session is None and not last:
        raise PairingError("no-session", "there was no session yet", "pairctl invite GUEST")
    session = given.session if given.session is not None else last[-1]
    found = parts.store.session(session)
    if found is None:
        known = ", ".join(last) or "none"
        raise PairingError(
            "no-such-session", f"no session {quoted(session)}", f"the last ones: {known}"
        )
    history = parts.store.history_of(found.id)
    knocks = parts.access.knocks.unwritten(found.id)
    return report.receipt(found, history, knocks, parts.access.logins, parts.clock())
