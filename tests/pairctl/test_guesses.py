"""What somebody meant who typed something else: done where it has one meaning, else hinted at."""

from __future__ import annotations

import contextlib
import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairctl.__main__ import main
from pairctl.command_line import arguments, guesses
from pairctl.failures import Usage
from tests.fakes.daemon import FakeDaemon
from tests.pairctl import samples

CHANGED = {"invitations": [samples.OCTOCAT], "warnings": []}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """Cause and remedy of a usage error; a hint that is a command is itself well formed."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    cause, remedy = captured.err.splitlines()
    hint = remedy.removeprefix("hint: ")
    if hint.startswith("pairctl ") and "GUEST" not in hint and "--help" not in hint:
        arguments.parse(shlex.split(hint.partition("; ")[0])[1:])
    return cause.removeprefix("error: "), hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h30", 9000),
        ("2h30m", 9000),
        ("+30m", 1800),
        ("+1h30", 5400),
        ("2hours", 7200),
        ("1hour", 3600),
        ("1hr30min", 5400),
        ("90min", 5400),
        ("45sec", 45),
        ("2H", 7200),
        ("1d12", 129600),
        ("10m30", 630),
        ("1day", 86400),
    ],
)
def test_a_duration_is_understood_as_people_type_it(text: str, seconds: int) -> None:
    assert guesses.duration(text) == seconds
    assert guesses.extension("bob", text) == seconds
    assert arguments.parse(["invite", "bob", "--ttl", text]).ttl == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("30", "did you mean 30m?"),
        ("2 hours", "did you mean 2h?"),
        ("1h 30m", "did you mean 1h30m?"),
        ("soon", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
        ("", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
        ("30m2h", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
        ("5s5", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
        ("-5m", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
        ("0hours", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
        ("99999999999999999999d", "write no number of more than 9 digits"),
        ("1fortnight", "write a duration as 45s, 90m, 2h, 1h30m or 1d"),
    ],
)
def test_a_duration_that_could_be_another_is_refused(text: str, hint: str) -> None:
    with pytest.raises(Usage) as caught:
        guesses.duration(text)
    assert (caught.value.code, caught.value.hint) == ("bad-duration", hint)


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(Usage):
        assert guesses.duration(text) > 0


@pytest.mark.parametrize(
    ("text", "access"),
    [
        ("ro", "read"),
        ("rw", "write"),
        ("read-only", "read"),
        ("read-write", "write"),
        ("READ", "read"),
        ("readonly", "read"),
        ("write", "write"),
    ],
)
def test_a_role_has_several_names(sock: Any, text: str, access: str) -> None:
    with FakeDaemon(sock, {"role": CHANGED}) as daemon:
        assert main(["role", "octocat", text]) == 0
        assert daemon.asked("role") == {"guest": "octocat", "access": access}


@pytest.mark.parametrize(
    ("words", "method", "params"),
    [
        (["kick", "octocat"], "revoke", {"guests": ["octocat"]}),
        (["who"], "status", {}),
        (["ls"], "status", {}),
        (["list", "--all"], "status", {"all": True}),
        (["--json", "ls"], "status", {}),
    ],
)
def test_a_command_by_another_name_is_done(
    sock: Any, words: list[str], method: str, params: dict[str, Any]
) -> None:
    with FakeDaemon(sock, {"revoke": CHANGED, "status": samples.STATUS}) as daemon:
        assert main(words) == 0
        assert daemon.asked(method) == params


@pytest.mark.parametrize("words", [["version"], ["-V"], ["--version"]])
def test_the_version_by_any_name(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("pairctl ")


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ([], ["--help"]),
        (["help"], ["--help"]),
        (["help", "invite"], ["invite", "--help"]),
        (["help", "kick"], ["revoke", "--help"]),
        (["--json", "help", "who"], ["status", "--json", "--help"]),
        (["-h"], ["--help"]),
    ],
)
def test_help_by_any_name(
    capsys: pytest.CaptureFixture[str], words: list[str], same: list[str]
) -> None:
    shown = []
    for each in (words, same):
        assert main(each) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    "words",
    [["help", "--json"], ["--help", "--json"], ["--json", "-h"], ["help", "status", "--json"]],
)
def test_help_with_json_is_one_document(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 0
    text = json.loads(capsys.readouterr().out)["help"]
    assert text.startswith(f"usage: pairctl {'status' if 'status' in words else '[-h]'}")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["help", "--foo"], "pairctl --help"),
        (["--help", "--foo=1"], "pairctl --help"),
        (["--foo", "status", "--help"], "pairctl status --help"),
        (["status", "--help", "--wacth"], "did you mean --watch?"),
        (["help", "invite", "-z"], "pairctl invite --help"),
    ],
)
def test_help_does_not_hide_an_unknown_option(
    capsys: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    assert refused(capsys, *words)[1].startswith(hint)


@pytest.mark.parametrize(
    "words",
    [
        ["log", "-n5", "--help"],
        ["invite", "-qa", "--ttl=1h", "--help"],
        ["extend", "bob", "-5m", "--help"],
        ["revoke", "--help", "--", "--foo"],
    ],
)
def test_help_is_shown_after_known_options(words: list[str]) -> None:
    assert main(words) == 0


def test_no_command_with_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["join"], "did you mean: pairctl attach"),
        (["rm", "bob"], "did you mean: pairctl revoke GUEST"),
        (["quit"], "did you mean: pairctl end"),
        (["logs"], "did you mean: pairctl log"),
        (["statsu"], "did you mean: pairctl status"),
        (["stat"], "did you mean: pairctl status"),
        (["ex", "bob"], "did you mean: pairctl extend"),
        (["Invite", "bob"], "did you mean: pairctl invite"),
        (["frobnicate"], "pairctl --help"),
        (["invite", "a", "--tt", "2h"], "did you mean --ttl?"),
        (["invite", "a", "--tt=2h"], "did you mean --ttl?"),
        (["invite", "a", "--readonly"], "did you mean --read-only?"),
        (["invite", "a", "--for", "2h"], "did you mean --ttl?"),
        (["invite", "a", "-p", "22"], "did you mean --port?"),
        (["status", "--wacth"], "did you mean --watch?"),
        (["log", "--folow"], "did you mean --follow?"),
        (["--versoin"], "did you mean --version?"),
        (["status", "--ttl", "2h"], "pairctl status --help"),
        (["end", "bob"], "to remove one guest: pairctl revoke bob"),
        (["end", "all"], "to remove everybody: pairctl end"),
        (["end", "--all"], "to remove everybody: pairctl end"),
        (["revoke", "--all"], "to remove everybody: pairctl end"),
        (["revoke", "bob", "--all"], "to remove everybody: pairctl end"),
        (["invite", "--onse"], "did you mean --once?"),
        (["extend", "--unitl", "18:30"], "did you mean --until?"),
        (["approve", "--all"], "pairctl approve --help"),
        (["status", "--line", "--all"], "pairctl status --all"),
        (["status", "--all", "--line", "-n", "2"], "pairctl status --all"),
        (["help", "statsu"], "did you mean: pairctl status"),
        (["completion", "zhs"], "did you mean: pairctl completion zsh"),
        (["completion", "tcsh"], "pairctl completion --help"),
        (["account", "creat"], "did you mean: pairctl account create"),
        (["man", "pairindg"], "did you mean: pairctl man pairingd"),
        (["extend", "bob", "2", "hours"], "pairctl extend bob 2h"),
        (["invite", "bob", "--ttl", "90", "Minutes"], "pairctl invite bob --ttl 90m"),
        (["invite", "bob", "--ttl", "2", "h"], "pairctl invite bob --ttl 2h"),
        (["invite", "bob", "--ttl", "1h", "30m"], "pairctl invite bob --ttl 1h30m;"),
        (["invite", "bob", "2h", "--ttl", "1h"], "pairctl invite bob --ttl 2h;"),
        (["invite", "ann,", "bob"], "pairctl invite ann bob"),
        (["invite", "ann,bob", "--once"], "pairctl invite ann bob"),
        (["invite", "ann", "18:30"], "pairctl invite ann --at 18:30"),
        (["invite", "6pm", "ann"], "pairctl invite ann --at 6pm; the account is github:6pm"),
        (["extend", "bob", "1h", "30m"], "pairctl extend bob 1h30m"),
        (["extend", "bob", "2h", "please"], "pairctl extend --help"),
        (["extend", "bob", "by", "2hours"], "pairctl extend bob 2h"),
        (["extend", "bob", "until", "18:30"], "pairctl extend bob --until 18:30"),
        (["invite", "bob", "for", "2h"], "pairctl invite bob --ttl 2h;"),
        (["invite", "bob", "ann", "at", "6pm"], "pairctl invite bob ann --at 6pm;"),
        (
            ["invite", "bob", "ann", "until", "18:30"],
            "pairctl invite bob ann; then: pairctl extend bob --until 18:30",
        ),
        (["invite", "bob", "as", "viewer"], "pairctl invite bob --read-only;"),
        (["invite", "as", "read-only"], "pairctl invite as --read-only"),
        (["invite", "bob", "and", "ann"], "pairctl invite bob ann; the account is github:and"),
        (["invite", "bob", "with", "--once"], "pairctl invite bob; the account is github:with"),
        (["log", "--tail", "20"], "did you mean -n?"),
        (["log", "-20"], "did you mean -n 20?"),
        (["invite", "bob", "--expires", "2h"], "did you mean --ttl?"),
        (["invite", "bob", "--role", "read"], "did you mean --read-only?"),
        (["receipt", "-l"], "did you mean --list?"),
        (["watch"], "did you mean: pairctl status --watch"),
        (["promote", "bob"], "did you mean: pairctl role GUEST write"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_unknown_word_is_refused_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    assert refused(capsys, *words)[1].startswith(hint)


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        (
            ["log", "--tail", "20"],
            "unexpected arguments '--tail' '20'",
            "did you mean -n? pairctl log --help lists the options",
        ),
        (
            ["completion", "tcsh"],
            "not bash, zsh or fish: 'tcsh'",
            "pairctl completion --help",
        ),
        (
            ["invite", "bob", "--once=no"],
            "argument --once takes no value: 'no'",
            "pairctl invite --help",
        ),
        (
            ["extend", "2h", "bob"],
            "the guest comes first: '2h' is a duration",
            "pairctl extend bob 2h",
        ),
        (["role", "ro", "bob"], "the guest comes first: 'ro' is a role", "pairctl role bob read"),
        (["role", "bob", "wirte"], "not a role: 'wirte'", "pairctl role bob write"),
        (["role", "bob", "admin"], "not a role: 'admin'", "a role is read or write"),
        (
            ["extend", "bob", "18:30"],
            "not a duration but a time: '18:30'",
            "pairctl extend bob --until 18:30",
        ),
        (
            ["extend", "bob", "6pm"],
            "not a duration but a time: '6pm'",
            "pairctl extend bob --until 6pm",
        ),
        (["extend", "bob", "--until", "2h"], "not a time: '2h'", "pairctl extend bob 2h"),
        (
            ["extend", "6pm", "bob"],
            "the guest comes first: '6pm' is a time",
            "pairctl extend bob --until 6pm",
        ),
        (
            ["extend", "18:30", "--until", "bob"],
            "not a time: 'bob'",
            "pairctl extend bob --until 18:30",
        ),
        (
            ["look", "SHA256:x", "5.5.5.5:22"],
            "not an address but a fingerprint: 'SHA256:x'",
            "pairctl look 5.5.5.5:22 SHA256:x",
        ),
        (
            ["invite", "octocat", "2h"],
            "'2h' is a duration, not a guest",
            "pairctl invite octocat --ttl 2h; the account is github:2h",
        ),
        (
            ["invite", "2hours", "octocat"],
            "'2hours' is a duration, not a guest",
            "pairctl invite octocat --ttl 2h; the account is github:2hours",
        ),
        (
            ["invite", "octocat", "ro"],
            "'ro' is a role, not a guest",
            "pairctl invite octocat --read-only; the account is github:ro",
        ),
        (
            ["invite", *KEY.split(), "ann@home"],
            "'ssh-ed25519' begins a public key, which must be one word",
            f"pairctl invite 'key:{KEY} ann@home'",
        ),
        (  # a shell does not take these for quotes
            ["invite", *f"\u201ckey:{KEY} ann\u201d".split()],
            "'\u201ckey:ssh-ed25519' begins a public key, which must be one word",
            f"pairctl invite 'key:{KEY} ann'",
        ),
        (
            ["invite", "bob", *f"key:{KEY}".split()],
            "'key:ssh-ed25519' begins a public key, which must be one word",
            f"pairctl invite bob 'key:{KEY}'",
        ),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_misplaced_argument_is_refused_with_the_right_command(
    capsys: pytest.CaptureFixture[str], words: list[str], cause: str, hint: str
) -> None:
    assert refused(capsys, *words) == (cause, hint)


@pytest.mark.parametrize("name", ["ro", "3d-printer", "github:2h", "h2", "dayspring"])
def test_an_account_that_only_looks_like_it_is_a_guest(name: str) -> None:
    assert arguments.parse(["invite", name]).guests == [name]


def test_the_main_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "\nexample:\n  " in capsys.readouterr().out


@pytest.mark.parametrize("command", arguments._EXAMPLES)
def test_each_help_has_an_example_that_parses(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    examples = shown.partition("\nexamples:\n")[2].splitlines()
    assert examples
    for line in examples:
        assert arguments.parse(shlex.split(line)[1:]).command == command
