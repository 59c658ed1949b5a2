"""The doctor's client: findings are shown as they come, and nothing holds it up for ever."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.commands import doctor
from pairingd.core.refusal import PairingError
from tests.pairctl.terminal import Terminal

GOOD = {"name": "tmux", "state": "ok", "message": "tmux 3.4 at /usr/bin/tmux", "hint": ""}
RUN = "to go: " + " ".join(["run"] * 20)
POOR = {"name": "remote-login", "state": "warn", "message": "far " * 20, "hint": RUN}
BAD = {
    "name": "login",
    "state": "fail",
    "message": "no \x1b[2Jway",
    "hint": "x",
    "details": ["y" * 99, "word " * 15],
}


def says(monkeypatch: pytest.MonkeyPatch, *findings: dict[str, Any], then: str = "") -> None:
    lines = "".join(json.dumps(finding) + "\n" for finding in findings)
    program = f"import sys, time; sys.stdout.write({lines!r}); sys.stdout.flush(); {then}"
    monkeypatch.setattr(doctor, "_PROGRAM", (sys.executable, "-c", program))


def test_each_check_is_one_line_and_its_hint_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(monkeypatch, GOOD, POOR, BAD)
    assert main(["doctor"]) == 1
    assert (
        capsys.readouterr().out
        == f"""\
ok    tmux          tmux 3.4 at /usr/bin/tmux
warn  remote-login  {" ".join(["far"] * 15)}
                    {" ".join(["far"] * 5)}
                    {RUN}
fail  login         no [2Jway
                    x
                    {"y" * 59}…
                    {" ".join(["word"] * 12)}
                      {" ".join(["word"] * 3)}
3 checks: 1 ok, 1 to look at, 1 failed
"""
    )


def test_a_limit_of_open_files_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(monkeypatch, GOOD)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        assert main(["doctor", "--json"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "too-few-descriptors"


@pytest.mark.parametrize(("findings", "code"), [([GOOD, POOR], 0), ([GOOD, BAD], 1)])
def test_json_is_one_document_and_only_a_failure_is_one(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[dict[str, Any]],
    code: int,
) -> None:
    says(monkeypatch, *findings)
    assert main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"checks": findings, "ok": code == 0}


def test_the_options_reach_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    echo = "import json, sys; print(json.dumps("
    echo += '{"name": "", "state": "ok", "message": " ".join(sys.argv[1:]), "hint": ""}))'
    monkeypatch.setattr(doctor, "_PROGRAM", (sys.executable, "-c", echo))
    assert main(["doctor", "--json", "--router", "--fix", "--verbose"]) == 0
    check = json.loads(capsys.readouterr().out)["checks"][0]
    assert check["message"] == "--router --fix --verbose"


def test_findings_are_shown_before_the_next_is_known(home: Path) -> None:
    gate = home / "gate"
    first, second = (json.dumps(finding) for finding in (GOOD, POOR))
    wait = f"print({first!r}, flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(.01)"
    program = f"import os, time\n{wait}\nprint({second!r}, flush=True)"
    script = "import sys; from pairctl.__main__ import main; from pairctl.commands import doctor; "
    script += f"doctor._PROGRAM = (sys.executable, '-c', {program!r}); sys.exit(main(['doctor']))"
    with Terminal([sys.executable, "-c", script]) as terminal:
        terminal.wait_for(b"tmux 3.4")
        assert b"far" not in terminal.seen
        gate.touch()
        assert terminal.wait() == 0
    assert b"far" in terminal.seen


@pytest.mark.parametrize(
    ("then", "message"),
    [("sys.exit(3)", "status 3"), ("print('of a sitecustomize')", "no finding: 'of a sitecustom")],
)
def test_a_program_that_fails_is_an_error(
    then: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    says(monkeypatch, GOOD, then=then)
    assert main(["doctor", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "doctor-failed"
    assert message in error["message"]


def test_a_program_that_hangs_is_an_error() -> None:
    with pytest.raises(PairingError) as failed:
        list(doctor.findings(["sleep", "3600"], silence_s=0.1))
    assert failed.value.code == "doctor-failed"
    assert "printed nothing" in failed.value.message
