"""A real child process: a small script stands on PATH as notify-send."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from pathlib import Path

import pytest

from pairingd.world.desktop import Desktop, command
from tests.waiting import WAIT_S

linux = pytest.mark.skipif(sys.platform == "darwin", reason="osascript has a fixed path")

NOTIFY = """\
#!{python}
import json, sys
with open({notes!r}, "a") as notes:
    print(json.dumps(sys.argv[1:]), file=notes)
"""


def stand_in(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "notify-send"
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    notes = tmp_path / "notes"
    stand_in(tmp_path, NOTIFY.format(python=sys.executable, notes=str(notes)), monkeypatch)
    return notes


async def shown(desktop: Desktop) -> None:
    async with asyncio.timeout(30):
        await asyncio.gather(*desktop._showing)
        # Until asyncio has seen the end of a child that was killed, its loop must not be closed.
        for thread in threading.enumerate():
            if "waitpid" in thread.name:
                await asyncio.to_thread(thread.join)


@linux
@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("enter by: ssh mark@5.5.5.1", "enter by: ssh mark@5.5.5.1"),
        ("--help", "--help"),
        ("$(id) `id` ; id", "$(id) `id` ; id"),
        ("<b>a</b> & <img src=x>", "&lt;b&gt;a&lt;/b&gt; &amp; &lt;img src=x&gt;"),
        ("\xfc", "?"),
        ("a\0b\x1b[31mc\nd", "a?b?[31mc?d"),
        ("x" * 5000, "x" * 300),
    ],
)
async def test_the_text_is_one_argument_and_nothing_in_it_acts(
    notes: Path, text: str, body: str
) -> None:
    desktop = Desktop()
    desktop.notify(text)
    await shown(desktop)
    assert json.loads(notes.read_text()) == ["--app-name=pairing", "--", "pairing", body]


@linux
async def test_nothing_is_shown_if_notifications_are_switched_off(notes: Path) -> None:
    desktop = Desktop(enabled=False)
    desktop.notify("moved")
    await shown(desktop)
    assert not notes.exists()


@linux
@pytest.mark.attack(
    "a guest comes and goes without end", "the desktop shows each notification three times a minute"
)
async def test_the_same_text_is_shown_three_times_a_minute(notes: Path) -> None:
    desktop = Desktop()
    texts = ["octocat joined", "octocat left"]
    for text in texts * 20:
        desktop.notify(text)
    await shown(desktop)
    bodies = [json.loads(line)[-1] for line in notes.read_text().splitlines()]
    assert sorted(bodies) == sorted(texts * 3)


@linux
async def test_the_same_text_is_shown_again_after_its_time(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairingd.world.desktop._RECENT_S", 0.0)
    desktop = Desktop()
    for _ in range(5):
        desktop.notify("octocat joined")
        await asyncio.sleep(0)
        await shown(desktop)
    assert len(notes.read_text().splitlines()) == 5


@linux
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!/bin/sh\necho 'no session bus' >&2\nexit 1\n", "no session bus"),
        ("no program", "format error"),
        ("#!/bin/sh\nexec sleep 60\n", "TookTooLong"),
    ],
)
async def test_a_failure_is_logged_only_at_debug_level(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: str,
    expected: str,
) -> None:
    stand_in(tmp_path, script, monkeypatch)
    desktop = Desktop(timeout_s=0.5 if expected == "TookTooLong" else WAIT_S)
    with caplog.at_level(logging.DEBUG, logger="pairingd"):
        desktop.notify("moved")
        await shown(desktop)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert expected in record.getMessage()


@linux
async def test_a_system_without_a_notification_program_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    desktop = Desktop()
    desktop.notify("moved")
    assert not desktop._showing


def test_on_macos_the_text_is_an_argument_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    text = 'x" & (do shell script "id") & "'
    program, *script, title, shown = command(text)
    assert program == "/usr/bin/osascript"
    assert script[::2] == ["-e"] * 3
    assert "do shell" not in "".join(script)
    assert (title, shown) == ("pairing", text)
