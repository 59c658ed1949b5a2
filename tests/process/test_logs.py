"""The daemon's log, as it is written by a real process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pairingd.process import logs

ROOT = Path(__file__).parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """A process with a log of its own: `logs.set_up(SET_UP)`, then STATEMENTS."""

    def run(set_up: str, statements: str, **environ: str) -> subprocess.CompletedProcess[str]:
        script = (
            "import logging, os; from pairingd.process import logs; os.umask(0o077)\n"
            f"logs.set_up({set_up}); log = logging.getLogger('pairingd.x')\n{statements}"
        )
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=True,
        )

    return run


def test_a_log_message_with_line_breaks_is_one_line(run: Run) -> None:
    stderr = run("'text', None", "log.info('who: %s', 'a\\nb\\x1b[31m'); log.debug('no')").stderr
    (line,) = stderr.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ INFO pairingd.x: who: a\ufffdb\ufffd\[31m", line)


def test_a_traceback_has_no_control_characters_of_its_error(run: Run) -> None:
    stderr = run(
        "'text', None",
        "try: raise ValueError('\\x1b]0;a\\x07\\r\\nb')\n"
        "except ValueError: log.exception('a pass failed')",
    ).stderr
    assert stderr.endswith("\nValueError: \ufffd]0;a\ufffd\ufffd\nb\n")
    assert all(line.isprintable() for line in stderr.split("\n"))


def test_json_is_one_object_a_line_with_the_event_and_its_data(run: Run) -> None:
    stderr = run(
        "'json', None",
        "log.info('%s', 'x\\ny', extra={'event': 'joined', 'data': {'pid': 1}})\n"
        "try: 1 / 0\nexcept ZeroDivisionError: log.exception('a pass failed')",
    ).stderr
    first, second = map(json.loads, stderr.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("at"))
    assert first == {
        "level": "info",
        "logger": "pairingd.x",
        "message": "x\ny",
        "event": "joined",
        "data": {"pid": 1},
    }
    assert second["level"] == "error"
    assert "ZeroDivisionError" in second["traceback"]


def test_a_file_of_its_own_is_private_and_never_too_long(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pairingd.log"
    run(f"'text', {str(path)!r}", "for n in range(40_000): log.info('%s', 'x' * 100)")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["pairingd.log", "pairingd.log.1", "pairingd.log.2"]
    assert all(0 < file.stat().st_size <= logs.SIZE for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_the_journal_gets_the_severity_and_no_second_time(run: Run, tmp_path: Path) -> None:
    script = (
        "import logging, os, sys; from pairingd.process import logs\n"
        "found = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{found.st_dev}:{found.st_ino}'\n"
        "logs.set_up('text', None); logging.getLogger('pairingd').warning('so')"
    )
    stderr = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stderr
    assert stderr == "<4>pairingd: so\n"
    inherited = run("'text', None", "log.warning('so')", JOURNAL_STREAM="8:1").stderr
    assert not inherited.startswith("<"), "that journal is an ancestor's"


def test_a_long_file_behind_standard_error_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "pairingd.stderr"
    for size, left in ((logs.SIZE, logs.SIZE), (logs.SIZE + 1, 0)):
        path.write_bytes(b"x" * size)
        with path.open("ab") as stderr:
            script = "from pairingd.process import logs; logs.bound_stderr()"
            subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=stderr, check=True)
        assert path.stat().st_size == left
