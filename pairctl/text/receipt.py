"""Receipts as text for people. Pure, as `render`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.text.layout import ROOM, fitted, row, wrapped
from pairctl.text.output import WIDTH
from pairctl.text.render import ACCESS, guests
from pairctl.text.times import clock, localized, seconds, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.text.output import View
    from pairingd.protocol.results import Change, Receipt, Receipts, Refusal, Visit


def receipt(reply: Receipt, view: View) -> str:
    rows = row("Session", [_period(reply["started_at"], reply["ended_at"], view)], view)
    rows += row("", [reply["session"]], view)
    rows += guests("Invited", reply["invitations"], view, keys=True)
    rows += row(
        "Changed", [line for change in reply["changes"] for line in _change(change, view)], view
    )
    visits = [visit for visit in reply["visits"] if visit["why"] != "denied"]
    came = [line for visit in visits for line in _visit(visit, view)]
    rows += row("Came in", came or ["nobody"], view)
    denied = [visit for visit in reply["visits"] if visit["why"] == "denied"]
    rows += row("Denied", [line for visit in denied for line in _visit(visit, view)], view)
    refusals = [line for refusal in reply["refusals"] for line in _refusal(refusal, view)]
    rows += row("Refused", [str(reply["refused"]), *refusals], view)
    return "\n".join(rows)


def receipts(reply: Receipts, view: View) -> str:
    rows = []
    for session in reply["sessions"]:
        begun = clock(session["started_at"], view.now)
        ended = f"to {clock(session['ended_at'], view.now)}" if session["ended_at"] else "until now"
        rows.append(f"{view.bold(session['session'])}  {begun} {ended}")
        rows += wrapped("  ", ", ".join(session["guests"]), WIDTH)
    return "\n".join(rows) or "there was no session yet"


def _visit(visit: Visit, view: View) -> Iterator[str]:
    yield view.bold(view.crop(visit["guest"], ROOM))
    reason = f": {visit['about']}" if visit["about"] else ""
    when = (
        clock(visit["since"], view.now)
        if visit["why"] == "denied"
        else _period(visit["since"], visit["until"], view)
    )
    yield from wrapped("  ", f"{when} from {visit['peer']}{reason}", ROOM)
    typed = visit["typed_at"]
    if typed:
        yield f"  typed last at {clock(typed, view.now)}"
    yield f"  {visit['fingerprint']}"


def _change(change: Change, view: View) -> Iterator[str]:
    before, after = change["from"], change["to"]
    if change["what"] == "role":
        described = f"{ACCESS[before]} to {ACCESS[after]}"
    else:
        described = f"deadline {clock(before, view.now)} to {clock(after, view.now)}"
    if change["by"] == "pairingd":  # else a command of this account's, which a write guest can run
        described += ", by pairingd"
    yield from fitted(change["guest"], f"{clock(change['at'], view.now)} {described}", ROOM, view)


def _refusal(refusal: Refusal, view: View) -> Iterator[str]:
    times = f", {refusal['times']} times" if refusal["times"] > 1 else ""
    message = localized(refusal["message"], view.now)
    yield from wrapped("", f"{clock(refusal['at'], view.now)}{times}: {message}", ROOM)


def _period(since: str, until: str | None, view: View) -> str:
    begun = clock(since, view.now)
    if until is None:
        return f"{begun} until now ({span(view.now - seconds(since))})"
    return f"{begun} to {clock(until, view.now)} ({span(seconds(until) - seconds(since))})"
