"""Explain a refused login or a ban to the host: who it may be, and what helps.

The texts hold only our own words, addresses and fingerprints; of these a stranger chooses only the
key. A fingerprint does not prove who offered it, as a client may offer any public key.
"""

from __future__ import annotations

from msgspec import Struct

from pairingd.core.durations import format_duration, utc
from pairingd.core.model import Invitation, Session
from pairingd.core.penalties import Ban, source_of
from pairingd.core.records import replace
from pairingd.core.text import shell

MAX_SHOWN_KEYS = 8  # of one connection; sshd's MaxAuthTries bounds how many it offers
_MAX_NAMED_GUESTS = 3


class Attempt(Struct, frozen=True):
    """A connection in which sshd refused every login, with the fingerprints of its keys.
    `other_user`: a login was for a user name that is not ours. `unlike`: the kind of algorithm of
    which the client has none that sshd accepts.
    """

    peer: str
    offered: tuple[str, ...] = ()
    other_user: bool = False
    unlike: str = ""

    def plus(self, fingerprint: str, *, other_user: bool, unlike: str = "") -> Attempt:
        """Add a login of this connection, with that key; "" if it is not known."""
        known = not fingerprint or fingerprint in self.offered
        return replace(
            self,
            offered=self.offered if known else (*self.offered, fingerprint),
            other_user=other_user or self.other_user,
            unlike=unlike or self.unlike,
        )


class Meaning(Struct, frozen=True):
    """`text` and `hint` are cause and remedy; `short` is for a status line of tmux.

    `guest` owns the refused key; "" if no guest does. `keys` are the first refused ones, and
    that of `guest`.
    """

    text: str
    hint: str
    short: str = ""
    guest: str = ""
    keys: tuple[str, ...] = ()


def refused(session: Session | None, attempt: Attempt, now: float) -> Meaning:
    """Explain a refused login: no guest has its keys, or which guest has, and why it failed."""
    text, offered = f"a login from {attempt.peer} failed: ", attempt.offered
    known = session.invitations if session else ()
    # Of several invitations of a guest the newest counts.
    owner = next(
        (invitation for invitation in reversed(known) if _has_any_of(invitation, offered)), None
    )
    live = [invitation for invitation in known if invitation.live]
    if owner:
        reason, hint = _of_a_guest(owner, now)
        key = next(key.fingerprint for key in owner.keys if key.fingerprint in offered)
        text += f"its key {key} is {owner.guest}'s, {reason}"
        keys = offered[:MAX_SHOWN_KEYS]
        keys = keys if key in keys else (*keys[:-1], key)
        return Meaning(text, hint, f"{owner.guest} was refused, {reason}", owner.guest, keys)
    if attempt.other_user and not offered:
        return Meaning(f"{text}it used another user name than the command has", _whole(live))
    if attempt.unlike and not offered:
        return Meaning(
            f"{text}its ssh has no {attempt.unlike} that this machine's sshd accepts",
            "if it is a guest: have them use a newer ssh client, and an Ed25519 key",
        )
    if not offered:
        # No key, or an invited one without a signature, such as for lack of its passphrase.
        return Meaning(
            f"{text}it offered no key, or did not sign with an invited one", _with_the_key(live)
        )
    names = [invitation.guest for invitation in live]
    owners = (
        " or ".join(names) if len(names) <= _MAX_NAMED_GUESTS else f"any of {len(names)} guests"
    )
    subject, verb = "its key", "does not belong"
    if len(offered) > 1:
        subject, verb = f"none of its {len(offered)} keys", "belongs"
    text += f"{subject} {_named(offered)} {verb} to {owners or 'a guest'}"
    # The remedy first: a narrow status line has no room for what follows.
    short = f"refused {attempt.peer}; ask for ssh -i, see pairctl status"
    short += f": not {_possessive(names)} key, {offered[0]}"
    return Meaning(text, _with_the_key(live), short, keys=offered[:MAX_SHOWN_KEYS])


def banned(peer: str, ban: Ban) -> Meaning:
    """Explain a ban after too many failed logins."""
    seconds = format_duration(int(ban.seconds))
    text = f"{source_of(peer)} is kept out for {seconds}: too many of its logins failed"
    hint = "if it is a guest: have them wait, then connect with the invited key: ssh -i PATH"
    short = f"{source_of(peer)} is kept out for {seconds}; pairctl status shows its keys"
    return Meaning(text, hint, short)


def _has_any_of(invitation: Invitation, offered: tuple[str, ...]) -> bool:
    return any(key.fingerprint in offered for key in invitation.keys)


def _of_a_guest(invitation: Invitation, now: float) -> tuple[str, str]:
    """Return why an invited key was refused, and what helps."""
    command = shell("pairctl", "invite", invitation.guest)
    if invitation.is_scheduled(now):
        return (
            f"who may enter from {utc(invitation.conditions.opens_at or 0)} on",
            "have them come then",
        )
    if invitation.live and invitation.rights.used:
        return "whose one visit has begun", f"once they have left: {command}"
    if invitation.live:
        return (
            "but it did not sign with it",
            f"if it is them, have them try again: {_show(invitation)}",
        )
    return (
        f"whose invitation is over ({invitation.standing.value})",
        f"to invite them again: {command}",
    )


def _named(offered: tuple[str, ...]) -> str:
    if len(offered) == 1:
        return offered[0]
    more = len(offered) - MAX_SHOWN_KEYS
    return f"({', '.join(offered[:MAX_SHOWN_KEYS])}{f', and {more} more' if more > 0 else ''})"


def _possessive(names: list[str]) -> str:
    return f"{names[0]}'s" if len(names) == 1 else "a guest's"


def _with_the_key(live: list[Invitation]) -> str:
    if len(live) != 1:
        return "if it is a guest: have them add -i and the invited key's path"
    invitation = live[0]
    keys = " or ".join(key.fingerprint for key in invitation.keys[:2])
    guest = invitation.guest
    commands = f"{shell('pairctl', 'revoke', guest)}; {shell('pairctl', 'invite', guest)}"
    return (
        f"if it is {guest}: ask them to run ssh -i PATH with the key {keys};"
        f" or let them publish this key, then: {commands}"
    )


def _whole(live: list[Invitation]) -> str:
    show = _show(live[0]) if len(live) == 1 else "pairctl invite --show GUEST"
    return f"if it is a guest: send them the whole command again: {show}"


def _show(invitation: Invitation) -> str:
    return shell("pairctl", "invite", "--show", invitation.guest)
