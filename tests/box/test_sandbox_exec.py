"""The box of macOS, as text: no Mac has run it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from pairingd.box import sandbox_exec
from pairingd.box.place import Box
from pairingd.box.plan import Plan
from pairingd.core.refusal import PairingError
from tests.golden import is_golden

HOME = "/Users/al"
PROJECT = f"{HOME}/src/project"
BOX = Box(f"{HOME}/Library/Application Support/pairing/box", "0a1b2c3d")
HOSTILE = 'a"b\\c)) (allow default) ; d'


def plan(
    directory: str = PROJECT,
    read: tuple[str, ...] = (),
    write: tuple[str, ...] = (),
    protected: tuple[str, ...] = (),
    network: str = "none",
) -> Plan:
    return Plan(
        directory=directory,
        home=HOME,
        tmux="/opt/homebrew/bin/tmux",
        environment={"HOME": HOME, "LANG": "de_DE.UTF-8", "PATH": "/usr/bin", "SHELL": "/bin/zsh"},
        read=read,
        write=write,
        links=(),
        protected=protected,
        unprotected=(),
        network=network,
        memory=0,
        processes=0,
    )


def profile(**given: object) -> str:
    return sandbox_exec.profile(BOX, plan(**given))  # type: ignore[arg-type]


def strings(text: str) -> tuple[str, list[str]]:
    """A profile without its strings and comments, and the strings as a Scheme reads them."""
    outside, literals, inside, place = "", [], None, 0
    while place < len(text):
        c = text[place]
        if inside is None:
            if c == '"':
                inside = ""
            elif c == ";":
                place = text.index("\n", place)
            else:
                outside += c
        elif c == "\\":
            place += 1
            inside += text[place]
        elif c == '"':
            literals.append(inside)
            inside = None
        else:
            inside += c
        place += 1
    assert inside is None, "a string has no end"
    return outside, literals


def rules(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("(") and word in line]


def test_profile_of_a_sample_plan_is_as_reviewed() -> None:
    text = profile(
        read=(f"{HOME}/.gitconfig",),
        write=(f"{HOME}/.cache/project",),
        protected=(f"{PROJECT}/.git/hooks", f"{PROJECT}/.git/config"),
        network="internet",
    )
    is_golden(Path(__file__).parent.parent / "data" / "box.sb", text)


@pytest.mark.parametrize("network", ["none", "internet", "full"])
def test_profile_of_any_network_has_its_parentheses_in_pairs(network: str) -> None:
    outside, _ = strings(profile(network=network, protected=(f"{PROJECT}/.git/hooks",)))
    depth = 0
    for c in outside:
        depth += (c == "(") - (c == ")")
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize("share", ["read", "write", "protected"])
def test_profile_with_a_path_that_looks_like_rules_has_it_as_one_string(share: str) -> None:
    path = f"{PROJECT}/{HOSTILE}"
    outside, inside = strings(profile(**{share: (path,)}))
    assert path in inside
    assert outside == strings(profile(**{share: (f"{PROJECT}/plain",)}))[0]
    assert "allow default" not in outside


def test_profile_with_a_directory_that_looks_like_rules_has_it_as_one_string() -> None:
    outside, inside = strings(profile(directory=f"/Users/{HOSTILE}"))
    assert f"/Users/{HOSTILE}" in inside
    assert "allow default" not in outside


def test_profile_with_a_path_beyond_ascii_has_its_bytes_by_number() -> None:
    text = profile(read=(f"{HOME}/Käse",))
    assert text.isascii()
    assert rf'(subpath "{HOME}/K\xc3\xa4se")' in text


@pytest.mark.parametrize("character", ["\n", "\0", "\x1b", "\x7f", "\x85", "\udcff"])
@pytest.mark.parametrize("share", ["read", "write", "protected"])
def test_profile_with_a_control_character_in_a_path_is_refused(share: str, character: str) -> None:
    with pytest.raises(PairingError) as refused:
        profile(**{share: (f"{PROJECT}/a{character}b",)})
    assert refused.value.code == "not-shareable"
    assert refused.value.message.isprintable()


def test_profile_denies_writing_what_is_protected_after_all_that_allows_it() -> None:
    text = profile(protected=(f"{PROJECT}/.git/hooks",))
    denied = text.index(f'(deny file-write*\n  (subpath "{PROJECT}/.git/hooks"))')
    assert text.rindex("(allow file-write*") < denied
    assert text.rindex("(allow file-write*") < text.index("(deny file-write-setugid)")


def test_profile_lets_links_be_followed_by_which_something_is_named() -> None:
    chosen = plan(read=(f"{HOME}/dot/gitconfig",))._replace(
        links=((f"{HOME}/.gitconfig", "dot/gitconfig"),)
    )
    assert f'(literal "{HOME}/.gitconfig")' in sandbox_exec.profile(BOX, chosen)


def test_profile_with_something_protected_keeps_what_holds_it_in_place() -> None:
    text = profile(protected=(f"{PROJECT}/.git/hooks",))
    kept = text[text.index("(deny file-write-unlink") :].split("\n\n")[0]
    for holder in (f"{PROJECT}/.git", PROJECT, f"{HOME}/src", HOME):
        assert f'(literal "{holder}")' in kept


def test_profile_with_nothing_protected_has_no_empty_rule() -> None:
    assert "file-write-unlink" not in profile()


def test_profile_allows_reading_and_writing_terminals_only_where_made_in_the_box() -> None:
    for rule in profile().split("\n("):
        if "/dev/ttys" in rule and "file-ioctl" not in rule:
            assert 'extension "com.apple.sandbox.pty"' in rule


def test_profile_lets_nothing_be_written_but_what_is_shared_and_its_own() -> None:
    text = profile(read=(f"{HOME}/.gitconfig",), write=(f"{HOME}/cache",))
    rule = text[text.index("(allow file-write*") :].split("\n(")[0].split("\n\n")[0]
    own = (f"{BOX.path}/s", f"{BOX.path}/tmp")
    assert strings(rule)[1] == [PROJECT, f"{HOME}/cache", *own]


def test_profile_with_network_none_has_no_address_and_no_resolver() -> None:
    text = profile(network="none")
    assert "(deny network*)" in text
    assert " ip " not in text
    assert "mDNSResponder" not in text
    assert f'(remote unix-socket (path-literal "{BOX.socket}"))' in text
    assert f'(local unix-socket (path-literal "{BOX.socket}"))' in text


def test_profile_with_network_internet_denies_the_hosts_loopback_after_the_rest() -> None:
    text = profile(network="internet")
    assert rules(text, " ip ") == [
        '(allow network-outbound (remote ip "*:*"))',
        '(deny network-outbound (remote ip "localhost:*"))',
    ]
    assert "mDNSResponder" in text


def test_profile_with_network_full_allows_every_address_and_no_other_unix_socket() -> None:
    text = profile(network="full")
    assert rules(text, " ip ") == ['(allow network* (local ip "*:*") (remote ip "*:*"))']
    assert "(allow network*)" not in text
    sockets = [line.strip() for line in text.splitlines() if "unix-socket (" in line]
    assert len(sockets) == 5
    for line in sockets:
        assert any(name in line for name in (BOX.socket, f"{BOX.path}/tmp", "mDNSResponder"))


def scripts(box: Box, chosen: Plan) -> list[str]:
    glass = ("/usr/bin/python3", "glass.py")
    return [sandbox_exec.client(box, chosen, glass), sandbox_exec.server(box, chosen)]


def test_scripts_with_blanks_and_quotes_in_paths_are_read_by_a_shell_as_meant(
    tmp_path: Path,
) -> None:
    box = Box(str(tmp_path / "it's a root"), "0a1b2c3d")
    for text in scripts(box, plan(directory=f"{HOME}/it's $HOME")):
        assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
        words = shlex.split(text, comments=True)
        command = words[words.index("/usr/bin/sandbox-exec") :]
        assert command[:3] == ["/usr/bin/sandbox-exec", "-f", sandbox_exec.profile_path(box)]
        assert command[3] == "/opt/homebrew/bin/tmux"


def test_scripts_start_with_an_empty_environment_and_a_temporary_directory_of_their_own() -> None:
    for text in scripts(BOX, plan()):
        words = shlex.split(text, comments=True)
        start = words.index("env")
        assert words[start + 1] == "-i"
        assigned = words[start:].index("/usr/bin/sandbox-exec") + start
        assert {f"TMPDIR={BOX.path}/tmp", BOX.environment}.intersection(words[start:assigned])
    assert sandbox_exec.environment(BOX, plan())["TMPDIR"] == f"{BOX.path}/tmp"


def test_profile_lies_where_the_box_cannot_write() -> None:
    text = profile()
    rule = text[text.index("(allow file-write*") :].split("\n\n")[0]
    place = sandbox_exec.profile_path(BOX)
    assert not any(place.startswith(f"{path}/") for path in strings(rule)[1])
