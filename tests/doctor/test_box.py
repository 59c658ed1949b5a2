"""Which boxes this machine can make, as `pairctl doctor` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.boxed import with_boxes
from tests.session import programs_first
from tests.stage import Stage

pytestmark = with_boxes

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


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ('read = ["~/.ssh/id"]', "'~/.ssh/id' cannot be shared: it lies in ~/.ssh"),
        (
            'read = ["~/absent", "~/link"]\nwrite = ["~/w"]',
            "'~/link' cannot be shared: it leads out",
        ),
        ('write = ["~/w", "/usr"]', "'/usr' cannot be shared: it is /usr"),
    ],
)
def test_what_a_box_would_be_refused_for_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: str, refused: str
) -> None:
    with Stage() as stage:
        programs_first(stage, monkeypatch, {"bwrap": WORKS})
        for directory in (".ssh", "w"):
            (stage.user_home / directory).mkdir()
        (stage.user_home / ".ssh" / "id").touch()
        (stage.user_home / "w" / "out").symlink_to(stage.user_home)
        (stage.user_home / "link").symlink_to("w/out")
        stage.configure(f"[box]\n{settings}\n")
        box = box_finding(stage)
        assert box["state"] == "warn"
        assert box["message"].replace(str(stage.user_home), "~").startswith(refused)
        (stage.user_home / "project").mkdir()
        stage.guest("octocat")
        project = str(stage.user_home / "project")
        error = stage.asks("invite", "octocat", "--no-copy", "--box", project)["error"]
        assert (error["message"], error["hint"]) == (box["message"], box["hint"])
