from __future__ import annotations

from pairingd.core.text import quoted
from pairingd.errors import PairingError
from pairingd.protocol import params, results
from pairingd.replies import answers, report
from pairingd.replies.parts import Parts


async def run(parts: Parts, given: params.Receipt) -> results.Receipt:
    """Return the receipt of the given session, or of the last one."""
    last = parts.store.session_ids(5)
    if given.session is None and not last:
        raise PairingError("no-session", "there was no session yet", "pairctl invite GUEST")
    session_id = given.session if given.session is not None else last[-1]
    session = await answers.stored_session(parts.store, session_id)
    if session is None:
        known = ", ".join(last) or "none"
        raise PairingError(
            "no-such-session", f"no session {quoted(session_id)}", f"the last ones: {known}"
        )
    history = [line async for line in answers.paced(parts.store.unread_history_of(session.id))]
    knocks = parts.access.knocks.unwritten(session.id)
    return report.receipt(session, history, knocks, parts.access.logins, parts.clock())
