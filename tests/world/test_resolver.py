from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.world.resolver import update


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`~/update`, which writes its arguments to `~/seen`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "update"
    file.write_text('#!/bin/sh\necho "$@" >~/seen\n')
    file.chmod(0o700)
    return file


async def test_the_update_may_be_a_program_of_the_home_directory(script: Path) -> None:
    assert await update("~/update {hostname} {address} ~/x", "a.example", "5.5.5.5") == ""
    assert script.with_name("seen").read_text() == "a.example 5.5.5.5 ~/x\n"


async def test_an_update_that_cannot_be_run_is_a_failure_with_the_reason(script: Path) -> None:
    script.unlink()
    assert await update("~/update", "a.example", "5.5.5.5") == (
        "it cannot be run: No such file or directory"
    )
