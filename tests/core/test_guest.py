"""A guest's name leads to their keys and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.guest import (
    MAX_GUESTS,
    Guest,
    canonical,
    expand,
    find,
    is_loopback,
    matches,
    parse_guest,
    parse_guests,
)
from pairingd.core.refusal import Refused
from tests.core.test_keys import rsa

PROVIDERS = ("codeberg", "github", "gitlab", "sourcehut", "work")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
FINGERPRINT = "SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA"


def refusal(text: str) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_guest(text, PROVIDERS)
    return caught.value


class TestIdentity:
    @pytest.mark.parametrize(
        ("text", "identity"),
        [
            ("octocat", "github:octocat"),
            ("@octocat", "github:octocat"),
            ("gitlab:@ann", "gitlab:ann"),
            ("github.com/octocat", "github:octocat"),
            ("https://github.com/octocat", "github:octocat"),
            ("https://GitHub.com/octocat/", "github:octocat"),
            ("http://www.github.com/octocat", "github:octocat"),
            ("github.com/@octocat", "github:octocat"),
            ("github.com/octocat.keys", "github:octocat"),
            ("gitlab.com/ann", "gitlab:ann"),
            ("https://codeberg.org/ann", "codeberg:ann"),
            ("https://git.sr.ht/~ann", "sourcehut:ann"),
            ("https://github.com/octocat.keys", "https://github.com/octocat.keys"),
            ("https://github.com/octocat/keys", "https://github.com/octocat/keys"),
            ("Octo-Cat", "github:Octo-Cat"),
            ("mona_acme", "github:mona_acme"),
            ("GitHub:octocat", "github:octocat"),
            ("gitlab:some.body-1_2", "gitlab:some.body-1_2"),
            ("codeberg:name", "codeberg:name"),
            ("sourcehut:~name", "sourcehut:name"),
            ("sourcehut:name", "sourcehut:name"),
            ("work:ann", "work:ann"),
            ("gitlab:" + "x" * 64, "gitlab:" + "x" * 64),
            ("https://Keys.Example.org/Ann?x=1", "https://keys.example.org/Ann?x=1"),
            ("HTTPS://example.org:443/ann", "https://example.org/ann"),
            ("https://example.org:8443", "https://example.org:8443"),
            ("https://[2001:DB8::1]/ann", "https://[2001:db8::1]/ann"),
            ("http://127.0.0.1:8080/ann.keys", "http://127.0.0.1:8080/ann.keys"),
            ("http://localhost/ann.keys", "http://localhost/ann.keys"),
            ("http://[::1]/ann.keys", "http://[::1]/ann.keys"),
            ("file:/home/ann/id.pub", "file:/home/ann/id.pub"),
            ("file:/home/Zoë/my key.pub", "file:/home/Zoë/my key.pub"),
        ],
    )
    def test_is_parsed_from_the_forms_that_people_type(self, text: str, identity: str) -> None:
        assert str(parse_guest(text, PROVIDERS)) == identity

    def test_of_a_key_is_its_fingerprint_and_the_key_goes_with_it(self) -> None:
        guest = parse_guest(f"key:{KEY} ann@home", PROVIDERS)
        assert str(guest) == f"key:{FINGERPRINT}"
        assert guest.key is not None
        assert guest.key.comment == "ann@home"
        assert guest.key.fingerprint == FINGERPRINT

    def test_of_a_key_is_the_same_whatever_its_comment(self) -> None:
        guest = parse_guest(f"key:{KEY} one", PROVIDERS)
        assert str(guest) == str(parse_guest(f"key: {KEY}", PROVIDERS))

    @pytest.mark.parametrize(
        "spelled", [f"{KEY}\r", f"\u200b{KEY} ann\r\n", KEY.replace(" ", "\t")]
    )
    def test_of_a_key_is_read_as_its_file_has_it(self, spelled: str) -> None:
        assert str(parse_guest(f"key:{spelled}", PROVIDERS)) == f"key:{FINGERPRINT}"

    def test_read_back_is_the_same_guest(self) -> None:
        for text in ("octocat", "work:ann", "https://example.org/ann", "file:/id.pub"):
            guest = parse_guest(text, PROVIDERS)
            assert parse_guest(str(guest), PROVIDERS) == guest

    @pytest.mark.parametrize(
        ("identity", "other", "same"),
        [
            ("github:Octocat", "github:octocat", True),
            ("github:octocat", "gitlab:octocat", False),
            ("https://example.org/A", "https://example.org/a", False),
            ("file:/A", "file:/a", False),
            ("key:SHA256:A", "key:SHA256:a", False),
        ],
    )
    def test_takes_no_account_of_case_on_forges_alone(
        self, identity: str, other: str, same: bool
    ) -> None:
        assert (canonical(identity) == canonical(other)) is same


class TestBadGuest:
    @pytest.mark.attack(
        "a guest's name leads elsewhere: path parts, credentials, hosts in disguise, control characters",
        "refused before anything is asked",
    )
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "-oProxyCommand=x",
            ".hidden",
            "a/b",
            "../etc",
            "a%2fb",
            "a?b",
            "a#b",
            "a b",
            "a@b",
            "~octocat",
            "name\n",
            "na\x00me",
            "na\x1b[31mme",
            "name\u202e",
            "\udcff",
            "øctocat",
            "x" * 40,
            "gitlab:" + "x" * 65,
            "gitlab:",
            "gitlab:-x",
            "gitlab:a:b",
            "gitlab:~name",
            "sourcehut:~~name",
            "https://",
            "https:example.org",
            "https:///path",
            "https://user:secret@example.org/",
            "https://example.org/#fragment",
            "https://example.org\\@evil.org/",
            "https://example.org:0/",
            "https://example.org:65536/",
            "https://example.org:x/",
            "https://exa mple.org/",
            "https://[::1/",
            "https://[1.2.3.4]/",
            "https://exämple.org/",
            "https://-x.org/",
            "https://example.org/" + "x" * 2048,
            "http://example.org/ann.keys",
            "http://127.0.0.1.example.org/",
            "http://localhost.example.org/",
            "http://0.0.0.0/",
            "http://192.168.1.1/",
            "file:",
            "file:relative",
            "file:~/id.pub",
            "file:/a\x00b",
            "file:/" + "ä" * 600,
            "key:",
            "key:ssh-ed25519",
            "key:ssh-ed25519 AAAA",
            "key:no-pty " + KEY,
            "key:" + FINGERPRINT,
            f"key:{KEY}\n{KEY}",
            KEY,
        ],
    )
    def test_is_refused_with_the_forms_allowed(self, text: str) -> None:
        error = refusal(text)
        assert error.code == "bad-guest"
        assert error.hint
        assert (error.message + error.hint).isprintable()

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("id_ed25519.pub", "for a file: pairctl invite file:id_ed25519.pub"),
            ("./id", "for a file: pairctl invite file:./id"),
            ("~/.ssh/my key.pub", "for a file: pairctl invite 'file:~/.ssh/my key.pub'"),
            ("/home/ann/id.pub", "for a file: pairctl invite file:/home/ann/id.pub"),
            ("github.com/octocat/repo", "for the account: pairctl invite github.com/octocat"),
            (f"{KEY} ann", f"for a public key: pairctl invite 'key:{KEY} ann'"),
            (f"- {KEY}", f"for a public key: pairctl invite 'key:{KEY}'"),
            (f'from="10.0.0.1" {KEY} ann', f"for a public key: pairctl invite 'key:{KEY} ann'"),
            (f"key:restrict {KEY}", f"for a public key: pairctl invite 'key:{KEY}'"),
            (f"\u201c{KEY} ann\u201d", f"for a public key: pairctl invite 'key:{KEY} ann'"),
            (f"\u201ckey:{KEY}\u201d", f"for a public key: pairctl invite 'key:{KEY}'"),
            (f"key:\u2018{KEY}\u2019", f"for a public key: pairctl invite 'key:{KEY}'"),
            (f"{KEY}, please", f"for a public key: pairctl invite 'key:{KEY}'"),
            (f"{KEY.split()[1]} a", f"for a public key: pairctl invite 'key:{KEY} a'"),
            ("/home/ann/my AAAA", "for a file: pairctl invite 'file:/home/ann/my AAAA'"),
        ],
    )
    def test_that_is_a_path_or_a_key_gets_a_hint_with_the_right_form(
        self, text: str, hint: str
    ) -> None:
        error = refusal(text)
        assert error.code == "bad-guest"
        assert error.hint == hint

    @pytest.mark.parametrize("text", [f"key:{KEY} ann {KEY}", f"key:{KEY}\n{KEY}", f"{KEY}\n{KEY}"])
    def test_of_several_keys_gets_a_hint_to_put_them_into_a_file(self, text: str) -> None:
        error = refusal(text)
        assert error.message.endswith("holds several keys")
        assert error.hint.endswith("pairctl invite file:PATH")

    def test_names_what_is_wrong_with_a_key(self) -> None:
        assert "cut short" in refusal("key:ssh-ed25519 AAAA").message

    def test_of_any_length_gives_a_short_message(self) -> None:
        assert len(refusal("x" * 16000).message) < 200

    def test_over_plain_http_is_refused_with_a_hint_to_use_https(self) -> None:
        assert "https://" in refusal("http://example.org/").hint

    @given(st.text(max_size=300))
    def test_any_text_is_a_guest_or_refused(self, text: str) -> None:
        try:
            shown = str(parse_guest(text, PROVIDERS))
        except Refused as error:
            shown = error.message + error.hint
        assert shown.isprintable()


class TestKeyOfTheWrongKind:
    @pytest.mark.parametrize(
        ("line", "reason"), [(b"ssh-dss AAAA", "a DSA key"), (rsa(1024), "1024 bits")]
    )
    def test_takes_another_key_and_not_another_spelling(self, line: bytes, reason: str) -> None:
        error = refusal(f"key:{line.decode()}")
        assert error.code == "no-acceptable-keys"
        assert reason in error.message
        assert "Ed25519" in error.hint


class TestSeveral:
    def test_are_each_taken_once_as_named_first(self) -> None:
        named = ["octocat", "gitlab:ann", "github:octocat", "OctoCat", "gitlab:Ann"]
        assert [str(guest) for guest in parse_guests(named, PROVIDERS)] == [
            "github:octocat",
            "gitlab:ann",
        ]

    def test_are_refused_where_they_are_too_many(self) -> None:
        assert len(parse_guests([f"g{n}" for n in range(MAX_GUESTS)], PROVIDERS)) == MAX_GUESTS
        with pytest.raises(Refused) as caught:
            parse_guests(["octocat"] * (MAX_GUESTS + 1), PROVIDERS)
        assert caught.value.code == "too-many-guests"


GROUPS = {"team": ("octocat", "gitlab:ann"), "ops": ("bob",)}


class TestGroup:
    def test_stands_for_its_members(self) -> None:
        assert expand(["bob", "@team"], GROUPS) == ["bob", "octocat", "gitlab:ann"]

    def test_that_does_not_exist_is_refused_with_the_known_groups(self) -> None:
        with pytest.raises(Refused) as caught:
            expand(["@tema"], GROUPS)
        assert caught.value.code == "no-such-group"
        assert "@ops, @team" in caught.value.hint

    def test_is_an_account_where_there_are_no_groups(self) -> None:
        assert expand(["@octocat"], {}) == ["octocat"]


class TestUnknownProvider:
    @pytest.mark.parametrize("text", ["bitbucket:ann", "ftp://example.org/", "git@github.com:ann"])
    def test_is_refused_with_those_that_are_known(self, text: str) -> None:
        error = refusal(text)
        assert error.code == "unknown-provider"
        assert "codeberg, github, gitlab, sourcehut, work" in error.hint


class TestMatches:
    @pytest.mark.parametrize(
        ("query", "identity"),
        [
            ("octocat", "github:octocat"),
            ("OctoCat", "github:octocat"),
            ("octocat", "gitlab:OctoCat"),
            ("github:OCTOCAT", "github:octocat"),
            ("GitHub:octocat", "github:octocat"),
            ("@octocat", "github:octocat"),
            ("https://github.com/octocat", "github:octocat"),
            ("~ann", "sourcehut:ann"),
            ("sourcehut:~ann", "sourcehut:ann"),
            ("https://Example.org:443/ann", "https://example.org/ann"),
            ("file:/home/ann/id.pub", "file:/home/ann/id.pub"),
            ("/home/ann/id.pub", "file:/home/ann/id.pub"),
            (f"key:{KEY} whatever", f"key:{FINGERPRINT}"),
            (KEY, f"key:{FINGERPRINT}"),
            (f"key:{FINGERPRINT}", f"key:{FINGERPRINT}"),
            (FINGERPRINT, f"key:{FINGERPRINT}"),
        ],
    )
    def test_by_identity_by_name_or_by_key(self, query: str, identity: str) -> None:
        assert matches(query, identity)

    @pytest.mark.parametrize(
        ("query", "identity"),
        [
            ("octo", "github:octocat"),
            ("", "github:octocat"),
            ("github:", "github:octocat"),
            ("gitlab:octocat", "github:octocat"),
            ("https://example.org/ANN", "https://example.org/ann"),
            ("file:/HOME/ann", "file:/home/ann"),
            ("/HOME/ann", "file:/home/ann"),
            (FINGERPRINT.lower(), f"key:{FINGERPRINT}"),
            ("key:ssh-ed25519 AAAA", f"key:{FINGERPRINT}"),
            ("oct\x00cat", "github:octocat"),
        ],
    )
    def test_not_by_any_other_query(self, query: str, identity: str) -> None:
        assert not matches(query, identity)


class TestFind:
    def test_gives_the_identity_as_it_was_invited(self) -> None:
        assert find("OCTOCAT", ["gitlab:ann", "github:Octocat"]) == "github:Octocat"

    @pytest.mark.parametrize(
        ("live", "hint"),
        [
            ([], "no guest is live now; pairctl invite GUEST invites one"),
            (["github:ann"], "the live guest is github:ann"),
            (["github:ann", "gitlab:bob"], "the live guests are github:ann, gitlab:bob"),
        ],
    )
    def test_lists_the_live_guests_if_none_matches(self, live: list[str], hint: str) -> None:
        with pytest.raises(Refused) as caught:
            find("octocat", live)
        assert caught.value.code == "no-such-guest"
        assert caught.value.hint == hint

    def test_refuses_to_choose(self) -> None:
        with pytest.raises(Refused) as caught:
            find("ann", ["github:ann", "github:bob", "gitlab:Ann"])
        assert caught.value.code == "ambiguous-guest"
        assert caught.value.message == "'ann' matches 2 guests: github:ann, gitlab:Ann"
        assert caught.value.hint.endswith("github:ann, gitlab:Ann")

    def test_a_full_identity_is_never_ambiguous(self) -> None:
        assert find("gitlab:ann", ["github:ann", "gitlab:ann"]) == "gitlab:ann"

    @pytest.mark.parametrize(
        ("query", "identity"),
        [
            ("anns laptop.pub", "file:/home/mark/anns laptop.pub"),
            ("anns lap…", "file:/home/mark/anns laptop.pub"),
            ("鍵.pub", "file:/home/mark/鍵.pub"),
            ("?.pub", "file:/home/mark/鍵.pub"),
            ("ann.keys", "https://example.org/ann.keys"),
            (f"key:{FINGERPRINT[7:18]}…", f"key:{FINGERPRINT}"),
            ("octo…", "github:octocat"),
        ],
    )
    def test_takes_a_name_as_the_status_line_shows_it(self, query: str, identity: str) -> None:
        assert find(query, ["github:hubot", identity]) == identity

    @pytest.mark.parametrize("query", ["", "…", "octo", "anns laptop", "octocat…"])
    def test_takes_no_other_part_of_a_name(self, query: str) -> None:
        with pytest.raises(Refused) as caught:
            find(query, ["github:octocat", "file:/home/mark/anns laptop.pub"])
        assert caught.value.code == "no-such-guest"

    def test_an_identity_goes_before_what_is_shown(self) -> None:
        live = ["github:ann", "file:/home/mark/ann", "https://example.org/bob", "file:/bob"]
        assert find("ann", live) == "github:ann"
        with pytest.raises(Refused) as caught:
            find("bob", live)
        assert caught.value.code == "ambiguous-guest"

    def test_a_hostile_query_comes_back_harmless(self) -> None:
        with pytest.raises(Refused) as caught:
            find("\x1b[31m" + "x" * 10000, [])
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("[::1]", True),
        ("127.1", False),
        ("::ffff:8.8.8.8", False),
        ("localhost.", False),
        ("", False),
    ],
)
def test_is_loopback_recognises_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_guest_of_a_forge_has_no_key() -> None:
    assert Guest("github", "octocat").key is None
