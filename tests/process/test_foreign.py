"""A program that says too much, or for too long, is ended."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from pairingd.process import foreign
from tests.stage import until
from tests.waiting import WAIT_S


def output_of(script: str, seconds: float = WAIT_S) -> str:
    return foreign.run(("/bin/sh", "-c", script), seconds)


def test_what_a_program_prints_is_read_whole() -> None:
    assert output_of("echo one; echo no >&2; exit 3") == "one\n"
    assert len(output_of("head -c 1000000 /dev/zero | tr '\\0' x")) == 1_000_000
    assert output_of("printf '\\377'") == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("script", ["exec cat /dev/zero", "exec yes"])
def test_one_that_prints_without_end_is_ended(script: str) -> None:
    with pytest.raises(TimeoutError):
        output_of(script)


@pytest.mark.parametrize("script", ["exec sleep 3600", "exec >&-; exec sleep 3600"])
def test_one_that_does_not_end_is_ended(tmp_path: Path, script: str) -> None:
    with pytest.raises(TimeoutError):
        output_of(f"echo $$ >{tmp_path}/pid; {script}", 0.5)
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not psutil.pid_exists(pid), "it is gone")


def test_one_that_cannot_be_started_is_an_oserror() -> None:
    with pytest.raises(FileNotFoundError):
        foreign.run(("/absent",), 1.0)
