"""The daemon's replies as text for people: at most 80 columns, except ssh commands and hints.

Pure: the time, the colours and the signs come with the `View`; strings are printable already.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pairctl.text.handout import beside, deadline, join_by
from pairctl.text.layout import LABEL, ROOM, fitted, row, wrapped
from pairctl.text.output import WIDTH
from pairctl.text.router_lines import forward, router
from pairctl.text.times import clock, localized, seconds, span
from pairingd.core.text import one_line, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairctl.text.output import View
    from pairingd.protocol.confinement import Boxed
    from pairingd.protocol.results import (
        Changed,
        Connection,
        Endpoint,
        Event,
        HostKey,
        InvitationInfo,
        Invited,
        KeyInfo,
        Knock,
        Log,
        Problem,
        Settings,
        Status,
    )

_MAX_KNOCKS = 3  # that `status` shows

ACCESS = {"write": "read-write", "read": "read-only"}
_TMUX_UNKNOWN = {"tmux-unknown", "tmux-socket-gone"}
_END_CAUSES = {
    "used": ", the one visit is over",
    "idle": ", idle for too long",
    "missed": ", did not come in time",
}
_REACHABILITY = {
    "internet": "from the internet",
    "unverified": "perhaps from the internet",
    "lan": "on your own network only",
}
_VERIFIED = {
    "guest": "a guest has connected",
    "outside": "a machine elsewhere has seen our host key there",
    "stranger": "somebody on the internet has reached the door",
    "hairpin": "tested through the router from inside",
    "readback": "the router lists the port; not yet tested",
    None: "not yet tested from outside",
}
_UNTESTED = {
    "router": "port open on the router; not yet tested from outside",
    "direct": "this machine has a public address; not yet tested from outside",
    "ipv6": "port open in the router's IPv6 firewall; not yet tested from outside",
    "jump": "through your relay; not yet tested",
    "dial": "you and the guest dial each other; not yet tested",
    "relay": "port open on the relay; not yet tested from outside",
}


def invited(reply: Invited, view: View, handed: str = "", copied: str = "") -> str:
    """Ends with the text for the guest: the command alone on an unindented line, or `handed`."""
    names = [invitation["guest"].removeprefix("github:") for invitation in reply["invitations"]]
    rows = [*guests("Invited", reply["invitations"], view, keys=True)]
    rows += row("Host key", [_host_key(reply["host_key"])], view)
    rows += _confined(reply, view) or _as_you(reply, view)
    if reply["command"]:
        rows += row("Router", forward(reply["endpoints"]), view)
        rows += row("Reach", [_reach(reply)], view)
    rows += [
        line for label, text in beside(reply["endpoints"]) for line in row(label, [text], view)
    ]
    rows += row("Join in", ["pairctl attach"], view)
    revoke = shell("pairctl", "revoke", names[0]) if len(names) == 1 else "pairctl revoke GUEST"
    rows += row("End it", [f"{revoke}, or for everybody: pairctl end"], view)
    rows += ["", *_problems(reply["warnings"], view)]
    if not reply["command"]:
        return "\n".join([*rows, *opens_later(reply, view)])
    whom = "guest" if len(names) == 1 else "guests"
    where = " on your own network" if reply["reachability"] == "lan" else ""
    rows += [f"Send this to your {whom}{where}" + (f" ({copied}):" if copied else ":")]
    lines = (handed or reply["command"]).splitlines()
    return "\n".join([*rows, *map(view.bold, lines)])


def opens_later(reply: Invited, view: View) -> tuple[str, str]:
    """The lines for scheduled invitations."""
    first = reply["invitations"][0]
    show = shell("pairctl", "invite", "--show", first["guest"].removeprefix("github:"))
    when = clock(first.get("opens_at", first["issued_at"]), view.now)
    return (
        f"No entry before {when}. Then pairing announces the command,",
        f"and this prints it: {show}",
    )


def status(reply: Status, view: View) -> str:
    session, door, daemon = reply["session"], reply["door"], reply["daemon"]
    count = session["clients"]
    terminals = f"{count} terminal{'' if count == 1 else 's'} attached"
    running = "not running"
    if session["running"]:
        running = f"running, {terminals}"
    elif any(problem["code"] in _TMUX_UNKNOWN for problem in reply["warnings"]):
        running = "unknown"
    rows = row("Session", [f"{session['name']}: {running}"], view)
    rows += _confined(session, view)
    rows += guests("Guests", reply["invitations"], view) or row("Guests", ["nobody"], view)
    rows += row("Door", [f"open on port {door['port']}" if door["open"] else "closed"], view)
    rows += row("Router", router(reply, view), view)
    rows += row("Commands", _commands(reply["endpoints"]), view)
    since = clock(daemon["started_at"], view.now)
    process = f"pairingd {daemon['version']}, pid {daemon['pid']}, since {since}"
    rows += row("Daemon", [process], view)
    rows += row("Knocking", _knocking(reply.get("knocking", []), view), view)
    problems = _problems(reply["warnings"], view)
    return "\n".join([*rows, "", *problems] if problems else rows).rstrip("\n")


def _commands(endpoints: list[Endpoint]) -> Iterator[str]:
    """Those that all guests share, then those of single guests."""
    for endpoint in sorted(endpoints, key=lambda endpoint: "guest" in endpoint):
        if "guest" in endpoint:
            yield f"for {endpoint['guest']} alone:"
        yield f"{endpoint['kind']:<8}{endpoint['command']}"


def _confined(session: Boxed, view: View) -> list[str]:
    """What write guests can reach on the host's machine, if that is restricted."""
    if account := session.get("account"):
        return row("Account", [f"{account}: that user's rights, not yours"], view)
    if box := session.get("box"):
        network = {"none": "no network", "internet": "internet", "full": "the host's network"}
        shared = f"{one_line(box['directory'], 200)} and {network[box['network']]}, nothing else"
        return row("Box", [shared], view)
    return []


def _as_you(reply: Invited, view: View) -> list[str]:
    """The rights of write guests in a session without a box or account."""
    if any(invitation["access"] == "write" for invitation in reply["invitations"]):
        return row("Rights", ["yours: a read-write guest can do all that you can"], view)
    return []


def status_line(reply: Status, view: View) -> str:
    """Who is invited and for how long, or from when; in parentheses those who are not connected, or
    wait.
    """
    from pairingd.core.statusline import Entry, for_prompt

    return for_prompt(
        Entry(
            invitation["guest"],
            invitation["access"],
            seconds(deadline(invitation, view)) - view.now,
            inside=not all(connection.get("waiting") for connection in invitation["connections"]),
            opens=clock(invitation["opens_at"], view.now)
            if invitation["state"] == "scheduled"
            else "",
        )
        for invitation in reply["invitations"]
    )


def changed(reply: Changed, view: View) -> str:
    rows = [
        line
        for invitation in reply["invitations"]
        for line in fitted(invitation["guest"], _standing(invitation, view), WIDTH, view)
    ] or ["nobody was invited"]
    problems = _problems(reply["warnings"], view)
    return "\n".join([*rows, "", *problems] if problems else rows).rstrip("\n")


def approved(reply: Changed, view: View) -> str:
    [invitation] = reply["invitations"]
    return "\n".join(
        fitted(invitation["guest"], f"let in, {_standing(invitation, view)}", WIDTH, view)
    )


def denied(reply: Changed, view: View) -> str:
    [invitation] = reply["invitations"]
    decision = "turned away; can ask again as long as the invitation lasts"
    return "\n".join(fitted(invitation["guest"], decision, WIDTH, view))


def log(reply: Log, view: View) -> str:
    return "\n".join(event(item, view) for item in reply["events"]) or "nothing has happened yet"


def event(item: Event, view: View) -> str:
    at = view.dim(clock(item["at"], view.now, "%H:%M:%S"))
    return f"{at}  {localized(item['text'], view.now)}"


def settings(reply: Settings, view: View) -> str:
    """TOML for config.toml, with each value's source as a comment."""
    lines = [
        (
            f"{item['key']} = {json.dumps(item['value'], ensure_ascii=False)}",
            "here" if item["source"] == reply["file"] else item["source"],
        )
        for item in reply["settings"]
    ]
    width = min(max((len(line) for line, _ in lines), default=0), WIDTH * 3 // 5)
    rows = [f"{line:<{width}}  {view.dim('# ' + source)}" for line, source in lines]
    return "\n".join([view.dim(f"# {reply['file']}"), *rows])


def guests(
    label: str, invitations: list[InvitationInfo], view: View, *, keys: bool = False
) -> list[str]:
    lines: list[str] = []
    for invitation in invitations:
        lines += fitted(invitation["guest"], _standing(invitation, view), ROOM, view)
        if bound := _conditions(invitation, view):
            lines += wrapped("  ", bound, ROOM)
        if keys:
            lines += [f"  {_key(key, view)}" for key in invitation["keys"]]
        lines += [_connection(connection, view) for connection in invitation["connections"]]
        if peers := [each["peer"] for each in invitation["connections"] if each.get("waiting")]:
            lines.append(view.warn(f"  {_waits(invitation, peers)}"))
    return row(label, lines, view)


def _waits(invitation: InvitationInfo, peers: list[str]) -> str:
    """`approve` refuses several keys or addresses at once; the session's popups ask about each."""
    is_one_key = len(peers) == 1 or len(invitation["keys"]) == 1
    if is_one_key and len(set(peers)) == 1:
        return f"waits for you: {shell('pairctl', 'approve', invitation['guest'])}"
    return f"waits for you {len(peers)} times: pairctl attach"


def _standing(invitation: InvitationInfo, view: View) -> str:
    access = ACCESS[invitation["access"]]
    opens = invitation.get("opens_at", invitation["issued_at"])
    begins, expires = seconds(opens), seconds(invitation["expires_at"])
    until = clock(invitation["expires_at"], view.now)
    if invitation["state"] == "scheduled":
        return f"{access} from {clock(opens, view.now)} until {until} ({span(expires - begins)})"
    if invitation["state"] != "live":
        return f"{access}, {_end(invitation, view)}"
    left = expires - view.now
    # Just after the invitation, print its whole length instead of "1h59m left".
    duration = span(expires - begins) if view.now - begins < 10 else f"{span(left)} left"
    return f"{access} until {until} ({duration})"


def _end(invitation: InvitationInfo, view: View) -> str:
    """When and why it is over. Time alone ends it before its deadline only at `join_by`."""
    cause, over_at = (
        invitation.get("cause", ""),
        invitation.get("over_at", invitation["expires_at"]),
    )
    if cause == "expired" and over_at != invitation["expires_at"]:
        cause = "missed"
    return (
        f"was until {clock(over_at, view.now)}: {invitation['state']}{_END_CAUSES.get(cause, '')}"
    )


def _conditions(invitation: InvitationInfo, view: View) -> str:
    """The conditions of a live or scheduled invitation, without what its guest has met."""
    if invitation["state"] not in {"live", "scheduled"}:
        return ""
    conditions = ["needs your approval"] if invitation.get("ask") else []
    if invitation.get("once"):
        conditions.append("one visit")
    if by := join_by(invitation, view):
        conditions.append(f"to join by {by}")
    if idle := invitation.get("idle_seconds"):
        conditions.append(f"over when idle for {span(idle)}")
    return ", ".join(conditions)


def _key(key: KeyInfo, view: View) -> str:
    described = f"{_key_type(key['type'], key['bits'])} {key['fingerprint']}"
    comment = view.crop(key["comment"], view.columns - LABEL - 2 - len(described) - 1)
    return f"{described} {view.dim(comment)}".rstrip()


def _key_type(name: str, bits: int) -> str:
    """As ssh-keygen -l names it; the length only for types that have several."""
    kind = name.removeprefix("sk-").removeprefix("ssh-").partition("-")[0].partition("@")[0].upper()
    kind = f"{kind}-SK" if name.startswith("sk-") else kind
    return kind if "ED25519" in kind else f"{kind} {bits}"


def _host_key(key: HostKey) -> str:
    return f"{_key_type(key['type'], 256)} {key['fingerprint']}"


def _connection(connection: Connection, view: View) -> str:
    return view.good(f"  from {connection['peer']} since {clock(connection['since'], view.now)}")


def _knocking(knocks: list[Knock], view: View) -> list[str]:
    """The latest few, each with its remedy."""
    rows: list[str] = []
    for knock in knocks[:_MAX_KNOCKS]:
        last_at = clock(knock["last_at"], view.now)
        times = f", {knock['times']} times" if knock["times"] > 1 else ""
        banned_until = knock["banned_until"]
        ban = (
            f", kept out until {clock(banned_until, view.now, '%H:%M:%S')}" if banned_until else ""
        )
        message = localized(knock["message"], view.now)
        rows += wrapped("", f"{last_at}{times}{ban}: {message}", ROOM)
        rows.append(view.dim("  hint: ") + knock["hint"])
    if len(knocks) > _MAX_KNOCKS:
        rows.append(f"and {len(knocks) - _MAX_KNOCKS} more: pairctl log")
    return rows


def _reach(reply: Invited) -> str:
    reach = _REACHABILITY[reply["reachability"]]
    if reply["reachability"] == "lan" or not reply["endpoints"]:
        return reach
    best = reply["endpoints"][0]
    untested = best["verified"] in {None, "readback"}
    if reply["reachability"] == "internet" and untested and best["kind"] in _UNTESTED:
        return _UNTESTED[best["kind"]]
    if best["verified"] == "hairpin" and best["kind"] in {"relay", "jump"}:
        return f"{reach}: tested through the relay"
    return f"{reach}: {_VERIFIED[best['verified']]}"


def _problems(problems: list[Problem], view: View) -> list[str]:
    """Cause and remedy of each, and an empty line after them all."""
    rows: list[str] = []
    for problem in problems:
        rows += wrapped(view.warn("warning: "), localized(problem["message"], view.now), WIDTH)
        rows.append(view.dim("hint: ") + problem["hint"])
    return [*rows, ""] if rows else []
