"""What a refused login or a ban means to the host, in words: who is not whom, and what helps.

All of it is made of our own words, of addresses and of fingerprints; a stranger chooses none of it
but a key. A fingerprint does not prove whose key it is, for a client may offer any public key.
"""

from __future__ import annotations

from msgspec import Struct

from pairingd.core.durations import format_duration, utc
from pairingd.core.model import Invitation, Session
from pairingd.core.penalties import Ban, source_of
from pairingd.core.records import replace
from pairingd.core.text import shell

MAX_TOLD_KEYS = 8  # of one login
_MAX_TOLD_GUESTS = 3


class Attempt(Struct, frozen=True):
    """A connection in which sshd refused every login: with these keys, of `offers` in all, or
    `other_user`: for a user name that is not ours.
    """

    peer: str
    offered: tuple[str, ...] = ()
    offers: int = 0
    other_user: bool = False

    def plus(self, fingerprint: str, *, other_user: bool) -> Attempt:
        """One more login of this connection, with that key if it is known."""
        other_user = other_user or self.other_user
        if not fingerprint or fingerprint in self.offered:
            return replace(self, other_user=other_user)
        told = self.offered if len(self.offered) >= MAX_TOLD_KEYS else (*self.offered, fingerprint)
        return Attempt(self.peer, told, self.offers + 1, other_user)


class Meaning(Struct, frozen=True):
    """`text` and `hint` are a cause and a remedy; `short` is for a status line of tmux.

    `guest` is whose key it was, although the login was refused; "" for nobody's.
    """

    text: str
    hint: str
    short: str = ""
    guest: str = ""


def refused(session: Session | None, attempt: Attempt, now: float) -> Meaning:
    """Whose the keys are not, or whose they are and why that was not enough."""
    text, offered = f"a login from {attempt.peer} failed: ", attempt.offered
    known = session.invitations if session else ()
    # The newest invitation of a guest says most.
    owner = next((one for one in reversed(known) if _has_one_of(one, offered)), None)
    live = [one for one in known if one.live]
    if owner:
        why, hint = _of_a_guest(owner, now)
        key = next(one.fingerprint for one in owner.keys if one.fingerprint in offered)
        text += f"its key {key} is {owner.guest}'s, {why}"
        return Meaning(text, hint, f"{owner.guest} was refused, {why}", owner.guest)
    if attempt.other_user and not offered:
        return Meaning(f"{text}it used another user name than the command has", _whole(live))
    if not offered:
        # None, or one that is invited, and then it did not sign: a passphrase that is not known.
        return Meaning(f"{text}it ended before a key was refused", _with_the_key(live))
    names = [one.guest for one in live]
    whose = " or ".join(names) if len(names) <= _MAX_TOLD_GUESTS else f"any of {len(names)} guests"
    which, verb = "its key", "does not belong"
    if len(offered) > 1:
        which, verb = f"none of its {attempt.offers} keys", "belongs"
    text += f"{which} {_keys(attempt)} {verb} to {whose or 'a guest'}"
    short = f"refused, not {_possessive(names)} key: {offered[0]}"
    remedy = "ask for ssh -i, see pairctl status"
    return Meaning(text, _with_the_key(live), f"{short}, {attempt.peer}; {remedy}")


def banned(peer: str, ban: Ban) -> Meaning:
    """Its logins failed too often."""
    seconds = format_duration(int(ban.seconds))
    text = f"{source_of(peer)} is kept out for {seconds}: too many of its logins failed"
    hint = "if it is a guest: have them wait, then connect with the invited key: ssh -i PATH"
    return Meaning(text, hint, f"{text}; pairctl status shows its keys")


def _has_one_of(one: Invitation, offered: tuple[str, ...]) -> bool:
    return any(key.fingerprint in offered for key in one.keys)


def _of_a_guest(one: Invitation, now: float) -> tuple[str, str]:
    """Why it was refused all the same, and what helps."""
    if one.is_scheduled(now):
        return f"who may enter from {utc(one.conditions.opens_at or 0)} on", "have them come then"
    if one.live:
        return "but it did not sign with it", f"if it is them, have them try again: {_show(one)}"
    again = shell("pairctl", "invite", one.guest)
    return f"whose invitation is over ({one.standing.value})", f"to invite them again: {again}"


def _keys(attempt: Attempt) -> str:
    offered = attempt.offered
    if len(offered) == 1:
        return offered[0]
    more = attempt.offers - len(offered)
    return f"({', '.join(offered)}{f', and {more} more' if more > 0 else ''})"


def _possessive(names: list[str]) -> str:
    return f"{names[0]}'s" if len(names) == 1 else "a guest's"


def _with_the_key(live: list[Invitation]) -> str:
    if len(live) != 1:
        return "if it is a guest: have them add -i and the path of the invited key to the command"
    one = live[0]
    keys = " or ".join(key.fingerprint for key in one.keys[:2])
    again = f"{shell('pairctl', 'revoke', one.guest)}; {shell('pairctl', 'invite', one.guest)}"
    return (
        f"if it is {one.guest}: ask them to run ssh -i PATH with the key {keys};"
        f" or let them publish this key, then: {again}"
    )


def _whole(live: list[Invitation]) -> str:
    show = _show(live[0]) if len(live) == 1 else "pairctl invite --show GUEST"
    return f"if it is a guest: send them the whole command again: {show}"


def _show(one: Invitation) -> str:
    return shell("pairctl", "invite", "--show", one.guest)
