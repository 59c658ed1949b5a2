"""What a host hands to a guest: the command, alone or in a message; or a block for ~/.ssh/config.

Pure: the time comes with the `View`. Guests read it, so it says only what they need to know of
this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.text.times import clock, seconds, span
from pairingd.core.text import for_terminal

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from pairctl.text.output import View
    from pairingd.protocol.results import Endpoint, InvitationInfo, Invited

FORMS = ("message", "pinned", "ssh_config")  # options; without any, the command
_ALIAS = "pairing"
_ALIVE_INTERVAL_S = 15  # ssh checks at this interval that the other side answers


def form_of(args: Namespace) -> str:
    return next((form for form in FORMS if getattr(args, form)), "command")


def handout(reply: Invited, form: str, view: View) -> str:
    """The text to print and copy. A command is one line, so that pasting does not run it."""
    match form:
        case "message":
            return _message(reply, view)
        case "pinned":
            return for_terminal(reply["pinned_command"])
        case "ssh_config":
            return _ssh_config(reply)
        case _:
            return for_terminal(reply["command"])


def beside(endpoints: list[Endpoint]) -> Iterator[tuple[str, str]]:
    """Notes for the host on the guests' command: label and text."""
    best, second = [*endpoints[:2], None, None][:2]
    if best and "proxy" in best:
        yield "Needs", "nc on the guest's machine; if it is ncat, write ncat for nc"
    if best and second and (best["kind"], best["port"]) == (second["kind"], second["port"]):
        yield "Or", second["command"]  # by the address, beside the user's name for it


def join_by(invitation: InvitationInfo, view: View) -> str:
    """The time by which the guest must come; "" if they may come later, or have come."""
    at = deadline(invitation, view)
    return clock(at, view.now) if at != invitation["expires_at"] else ""


def deadline(invitation: InvitationInfo, view: View) -> str:
    """When time alone ends it: sooner than at `expires_at` if the guest must come by then."""
    at = None if "came_at" in invitation else invitation.get("join_by")
    until = invitation["expires_at"]
    return at if at and view.now < seconds(at) < seconds(until) else until


def _message(reply: Invited, view: View) -> str:
    until = max((invitation["expires_at"] for invitation in reply["invitations"]), key=seconds)
    key = reply["host_key"]
    by = join_by(reply["invitations"][0], view)
    lines = [
        f"Join my terminal{by and f' by {by}'}, until {clock(until, view.now, '%H:%M %Z')}:",
        "",
        f"    {for_terminal(reply['command'])}",
        "",
    ]
    if reply["reachability"] == "lan":
        lines.append("It works on the network that we share, and from nowhere else.")
    if "proxy" in reply["endpoints"][0]:
        lines.append("It needs nc, as macOS and most Linux have it. With ncat, write ncat for nc.")
    lines += _terms(reply["invitations"][0], dialed=reply["endpoints"][0]["kind"] == "dial")
    if reply["command"] != reply["pinned_command"]:  # which checks the key by itself
        kind = key["type"].removeprefix("ssh-").upper()
        lines.append("The first time, ssh asks whether the host key is right. It is:")
        lines.append(f"{kind} {for_terminal(key['fingerprint'])}")
    return "\n".join(lines).rstrip()


def _terms(invitation: InvitationInfo, *, dialed: bool) -> Iterator[str]:
    """What the guest finds otherwise than a guest of ssh would expect. All who are invited by one
    command have the same terms.
    """
    if invitation.get("ask"):
        yield "It waits until I let you in."
    if invitation["access"] == "read":
        yield "You can watch, not type."
    if invitation.get("once"):
        yield "It works for one visit."
    elif dialed:
        yield "It works for one visit. To come again, ask me for a new command."
    if idle := invitation.get("idle_seconds"):
        yield f"It ends when you are away, or nobody types, for {span(idle)}."


def _ssh_config(reply: Invited) -> str:
    """ssh_config(5), for `ssh pairing`, which knows the host key before the first contact.

    IdentitiesOnly is a comment: it would leave out keys that only the agent has. An agent with
    many keys is no problem: the door's sshd accepts 64 offers.
    """
    best = reply["endpoints"][0]
    user = _user(best["command"])
    # The daemon's line names the address; here it is the alias, which stays if the host moves.
    key = " ".join(for_terminal(reply["host_key"]["known_hosts"]).split()[1:])
    return "\n".join(
        [
            f"# known_hosts: {_ALIAS} {key}",
            f"Host {_ALIAS}",
            f"    HostName {for_terminal(best['host'])}",
            f"    Port {best['port']}",
            *([f"    ProxyCommand {for_terminal(best['proxy'])}"] if "proxy" in best else []),
            *([f"    ProxyJump {for_terminal(best['via'])}"] if "via" in best else []),
            f"    User {_word(user)}",
            f"    HostKeyAlias {_ALIAS}",
            f"    KnownHostsCommand /bin/echo %H {key}",
            "    UserKnownHostsFile /dev/null",
            "    StrictHostKeyChecking yes",
            f"    ServerAliveInterval {_ALIVE_INTERVAL_S}",
            "    ServerAliveCountMax 4",
            "    # to offer one key alone:",
            "    # IdentityFile ~/.ssh/id_ed25519",
            "    # IdentitiesOnly yes",
        ]
    )


def _user(command: str) -> str:
    """The host's user name, which the protocol sends only in the commands."""
    import shlex  # late: only for this one form

    return for_terminal(shlex.split(command)[-1].rpartition("@")[0])


def _word(text: str) -> str:
    """One word of ssh_config(5)."""
    return f'"{text}"' if set(text) & set(" \t#'") else text
