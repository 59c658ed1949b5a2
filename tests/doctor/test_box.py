"""Which boxes this machine can make, as `pairctl doctor` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.session import programs_first
from tests.stage import Stage

WORKS = 'case $1 in --version) echo "bubblewrap 9.8" ;; esac'
FAILS = 'echo "bwrap: No permissions to create a new namespace" >&2; exit 1'


@pytest.fixture
def few_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A PATH with no more than a session needs without a box."""
    for name in ("tmux", "ssh", "ssh-keygen", "sh", "ip"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    return monkeypatch


def box_finding(stage: Stage) -> dict[str, Any]:
    [box] = [finding for finding in stage.asks("doctor")["checks"] if finding["name"] == "box"]
    return dict(box)


def test_a_machine_with_bubblewrap_can_make_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stage() as stage:
        programs_first(stage, monkeypatch, {"bwrap": WORKS})
        box = box_finding(stage)
        assert (box["state"], box["message"]) == ("ok", "bubblewrap 9.8, network none")


def test_a_machine_that_forbids_namespaces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stage() as stage:
        programs_first(stage, monkeypatch, {"bwrap": FAILS})
        box = box_finding(stage)
        assert box["state"] == "warn"
        assert "No permissions to create a new namespace" in box["message"]
        assert box["hint"]


def test_a_machine_without_bubblewrap_is_no_worse(few_programs: pytest.MonkeyPatch) -> None:
    with Stage() as stage:
        box = box_finding(stage)
        assert box["state"] == "ok"
        assert "bubblewrap" in box["message"]


def test_a_network_that_needs_pasta_says_so(few_programs: pytest.MonkeyPatch) -> None:
    with Stage() as stage:
        stage.configure('[box]\nnetwork = "internet"\n')
        programs_first(stage, few_programs, {"bwrap": WORKS})
        box = box_finding(stage)
        assert box["state"] == "warn"
        assert "passt" in box["hint"]
