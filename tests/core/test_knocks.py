"""What a refused login means: whose key it was not, and what the host can do."""

from __future__ import annotations

import pytest

from pairingd.core import knocks
from pairingd.core.knocks import MAX_SHOWN_KEYS, Attempt, Meaning
from pairingd.core.model import Conditions, Invitation, Session, Standing
from pairingd.core.penalties import Ban
from pairingd.core.records import replace
from tests.core.make import START, invitation

PEER = "203.0.113.9"
OCTOCAT = invitation()
BOB = invitation("github:bob")


def meaning(*offered: str, of: tuple[Invitation, ...] = (OCTOCAT,), **more: bool) -> Meaning:
    attempt = Attempt(PEER)
    for fingerprint in offered or ("",):
        attempt = attempt.plus(fingerprint, other_user=more.get("other_user", False))
    return knocks.refused(Session("s1", START, 22, invitations=of), attempt, START + 1)


@pytest.mark.parametrize(
    ("offered", "invited", "text"),
    [
        (("SHA256:x",), (OCTOCAT,), "its key SHA256:x does not belong to github:octocat"),
        (("SHA256:x",), (OCTOCAT, BOB), "does not belong to github:octocat or github:bob"),
        (
            ("SHA256:x", "SHA256:y"),
            (OCTOCAT,),
            "none of its 2 keys (SHA256:x, SHA256:y) belongs to github:octocat",
        ),
        (
            ("SHA256:x",),
            tuple(invitation(f"github:g{n}") for n in range(20)),
            "does not belong to any of 20 guests",
        ),
        ((), (OCTOCAT,), "it offered no key, or did not sign with an invited one"),
    ],
)
def test_a_failed_login_names_the_guests_to_whom_its_keys_do_not_belong(
    offered: tuple[str, ...], invited: tuple[Invitation, ...], text: str
) -> None:
    shown = meaning(*offered, of=invited)
    assert shown.text.endswith(text)
    assert shown.text.startswith(f"a login from {PEER} failed: ")
    assert shown.guest == ""


@pytest.mark.parametrize("others", [1, 3 * MAX_SHOWN_KEYS])
@pytest.mark.parametrize(
    ("invited", "text", "hint"),
    [
        (
            replace(OCTOCAT, standing=Standing.EXPIRED, over_at=START),
            "is github:octocat's, whose invitation is over (expired)",
            "to invite them again: pairctl invite github:octocat",
        ),
        (
            invitation(conditions=Conditions(opens_at=START + 60)),
            "is github:octocat's, who may enter from 2027-01-15T08:01:00Z on",
            "have them come then",
        ),
        (
            replace(invitation(conditions=Conditions(once=True)), came_at=START),
            "is github:octocat's, whose one visit has begun",
            "once they have left: pairctl invite github:octocat",
        ),
        (OCTOCAT, "is github:octocat's, but it did not sign with it", "if it is them"),
    ],
)
def test_a_guests_own_key_that_was_refused_says_why(
    invited: Invitation, text: str, hint: str, others: int
) -> None:
    """Also where an agent offers it after many others."""
    other = [f"SHA256:{n}" for n in range(others)]
    shown = meaning(*other, "SHA256:github:octocat", of=(invited,))
    assert shown.text.endswith(text)
    assert shown.hint.startswith(hint)
    assert shown.guest == "github:octocat"
    assert "SHA256:github:octocat" in shown.keys
    assert len(shown.keys) == min(others + 1, MAX_SHOWN_KEYS)


def test_the_remedy_names_the_key_that_was_invited() -> None:
    assert "ssh -i PATH with the key SHA256:github:octocat" in meaning("SHA256:x").hint
    assert "-i" in meaning("SHA256:x", of=(OCTOCAT, BOB)).hint


def test_a_login_with_another_user_name_is_not_shown_to_the_host() -> None:
    shown = meaning(other_user=True)
    assert shown.text.endswith("it used another user name than the command has")
    assert shown.short == ""


def test_a_client_without_a_common_algorithm_is_named_as_that_unless_it_offers_a_key() -> None:
    attempt = Attempt(PEER).plus("", other_user=False, unlike="cipher")
    attempt = attempt.plus("", other_user=False)
    session = Session("s1", START, 22, invitations=(OCTOCAT,))
    shown = knocks.refused(session, attempt, START + 1)
    assert shown.text.endswith("its ssh has no cipher that this machine's sshd accepts")
    assert "newer ssh client" in shown.hint
    assert shown.short == ""  # scanners are old, too
    offered = knocks.refused(session, attempt.plus("SHA256:x", other_user=False), START + 1)
    assert "its key SHA256:x does not belong" in offered.text


def test_a_key_that_is_offered_again_counts_once_and_only_the_first_are_named() -> None:
    many = [f"SHA256:{n}" for n in range(MAX_SHOWN_KEYS + 4)]
    shown = meaning(*many, *many[:3])
    assert f"none of its {len(many)} keys" in shown.text
    assert "and 4 more)" in shown.text
    assert many[-1] not in shown.text
    assert shown.keys == tuple(many[:MAX_SHOWN_KEYS])


def test_a_ban_names_the_address_and_the_duration() -> None:
    shown = knocks.banned("2001:db8::5", Ban(START + 256.0, 256.0))
    assert shown.text.startswith("2001:db8::/64 is kept out for 4m16s")
