"""The line `account` of `pairctl doctor`. With a real account: tests/e2e/test_account.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.account.place import Account, Record, accounts, as_json
from pairingd.doctor import account
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import Finding, State, Subject
from pairingd.home.config import Config, Guests, Settings
from pairingd.machine.user import user_name


async def findings(
    root: Path, monkeypatch: pytest.MonkeyPatch, configured: str = ""
) -> list[Finding]:
    monkeypatch.setattr(account, "accounts", lambda: accounts(str(root)))
    subject = Subject(None, Settings(Config(guests=Guests(account=configured)), ""), Daemon())
    return [finding async for finding in account.check(subject)]


def recorded(root: Path, name: str, host: str) -> None:
    made = Account(name, str(root))
    Path(made.path).mkdir()
    Path(made.record_file).write_text(as_json(Record(host)))


async def test_a_machine_without_an_account_is_no_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, "theirs", "somebody-else")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "account.json").write_text("{")
    [finding] = await findings(tmp_path, monkeypatch)
    assert (finding.state, finding.message) == (
        State.OK,
        "none; pairctl account --help shows how to make one",
    )


async def test_an_account_that_is_half_done_is_completed_by_the_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, "never-made", user_name())
    [finding] = await findings(tmp_path, monkeypatch)
    assert finding.state is State.WARN
    assert finding.message == "never-made is half done: the user never-made"
    assert finding.hint.startswith("sudo ")
    assert finding.hint.endswith("pairctl account create never-made")


async def test_a_configured_account_that_is_not_there_is_made_by_the_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, "pair", "somebody-else")
    [finding] = await findings(tmp_path, monkeypatch, "pair")
    assert finding.state is State.WARN
    assert "[guests] account is pair" in finding.message
    assert finding.hint.endswith("pairctl account create pair")
    recorded(tmp_path, "own", user_name())
    assert len(await findings(tmp_path, monkeypatch, "own")) == 1
    assert len(await findings(tmp_path, monkeypatch, "pair")) == 2


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record("mark", "/p", "/s", "/t", ("/a b", "/ü"))
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "account.json").write_text(as_json(record), encoding="utf-8")
    assert Account("pair", str(tmp_path)).record == record
