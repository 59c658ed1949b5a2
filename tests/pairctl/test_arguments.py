"""Arguments that are refused before the daemon is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.command_line.arguments import parse
from pairingd.box.shares import here, resolved
from pairingd.core.refusal import PairingError
from tests.stage import Stage


def refusal(capsys: pytest.CaptureFixture[str], *words: str, status: int) -> dict[str, Any]:
    assert main([*words, "--json"]) == status, words
    error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    return error


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        stage.daemon()
        yield stage


@pytest.mark.parametrize(
    ("operands", "options"),
    [
        (["invite", "ann", "bob"], ["--ttl", "1h", "--read-only"]),
        (["invite", "ann", "bob"], ["--box", "/srv", "-qa", "--port=22"]),
        (["invite", "ann", "bob"], ["--box"]),
        (["revoke", "ann", "bob"], ["--json"]),
        (["extend", "ann", "1h"], ["--json"]),
        (["extend", "ann", "-5m"], ["--json"]),
        (["role", "ann", "read"], ["--json"]),
        (["log"], ["-fn", "3"]),
        (["log"], ["-n3", "--json"]),
        (["account", "create", "guests"], ["--dir", "/srv", "--dir", "/opt", "--dry-run"]),
    ],
)
def test_options_may_stand_between_a_commands_other_words(
    operands: list[str], options: list[str]
) -> None:
    def parsed(words: list[str]) -> object:
        try:
            return parse(words)
        except PairingError as refused:
            return refused.code, refused.message

    last = parsed([*operands, *options])
    for at in range(1, len(operands)):
        assert parsed([*operands[:at], *options, *operands[at:]]) == last
    separated = [operands[0], *options, "--", *operands[1:]]
    assert parsed(separated) == last


def test_after_two_dashes_no_word_is_an_option() -> None:
    assert parse(["receipt", "--", "--json"]).session == "--json"
    assert not parse(["status", "--"]).json
    assert parse(["invite", "ann", "--", "-q", "--"]).guests == ["ann", "-q", "--"]


@pytest.fixture
def removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory."""
    directory = tmp_path / "removed"
    directory.mkdir()
    monkeypatch.chdir(directory)
    directory.rmdir()


@pytest.mark.parametrize(
    "words",
    [
        ("invite", "file:x"),
        ("invite", "--show", "file:x"),
        ("extend", "file:x", "1h"),
        ("role", "file:x", "read"),
        ("approve", "file:x"),
        ("revoke", "file:x"),
        ("account", "create", "--dry-run", "--dir", "x"),
        ("account", "remove", "--dry-run", "--dir", "."),
    ],
)
def test_a_relative_path_in_a_removed_directory_is_refused(
    removed: None, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    error = refusal(capsys, *words, status=1)
    assert error["code"] == "no-directory"
    assert "begins with /" in error["hint"]


@pytest.mark.parametrize("path", ["/x", "~/x"])
def test_another_path_in_a_removed_directory_is_not(
    removed: None, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    assert refusal(capsys, "revoke", f"file:{path}", status=3)["code"] == "no-daemon"


def test_a_removed_directory_cannot_be_shared_and_an_account_begins_at_home(removed: None) -> None:
    with pytest.raises(PairingError) as refused:
        resolved(".")
    assert refused.value.code == "no-directory"
    assert (here(("/",)) or "/home/pair") == "/home/pair"


def test_an_empty_path_names_no_file_and_no_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "invite", "file:", status=2)["code"] == "bad-guest"
    assert refusal(capsys, "revoke", "file:", status=2)["message"] == "'file:' names no file"
    error = refusal(capsys, "account", "create", "--dry-run", "--dir", "", status=1)
    assert error["code"] == "not-shareable"


@pytest.mark.parametrize("path", ["/nonexistent", "/", "/etc"])
def test_a_directory_refused_for_an_account_has_a_hint_of_that_command(
    capsys: pytest.CaptureFixture[str], path: str
) -> None:
    error = refusal(capsys, "account", "create", "--dry-run", "--dir", path, status=1)
    assert error["code"] == "not-shareable"
    assert error["hint"].endswith(": --dir DIR")


LONG = "a" * 100_000


@pytest.mark.parametrize(
    "words",
    [
        ("invite", *[LONG] * 15),
        ("revoke", *[LONG] * 15),
        ("revoke", "\1" * 100_000, "\1" * 100_000),
    ],
    ids=["invite", "revoke", "escaped"],
)
def test_arguments_too_long_for_a_request_are_refused(stage: Stage, words: tuple[str, ...]) -> None:
    """A byte can become six in JSON."""
    done = stage.pairctl(*words, "--json", check=False)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (2, "usage")
    assert "too long" in error["message"]
    assert not stage.asks("status")["session"]["running"]
