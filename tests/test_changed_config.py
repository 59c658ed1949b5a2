"""config.toml is read when the daemon starts: what is written afterwards is named until a restart."""

from __future__ import annotations

import pytest

from tests.session import invited, own_stage
from tests.stage import Stage

stage = own_stage

RESTART = "config.toml has changed since pairingd started: pairctl restart"


def is_warned(stage: Stage) -> bool:
    return "config-changed" in {one["code"] for one in stage.asks("status")["warnings"]}


def test_a_hint_s_setting_holds_after_the_restart_that_the_next_hint_names(stage: Stage) -> None:
    stage.guest("octocat")
    stage.configure('[sshd]\ncommand = "/nonexistent/sshd"\n')
    first = stage.asks("invite", "octocat")["error"]
    assert "set [sshd] command" in first["hint"]
    assert RESTART not in first["hint"]
    stage.configure()
    again = stage.asks("invite", "octocat")["error"]
    assert again == {**first, "hint": f"{first['hint']}; {RESTART}"}
    assert stage.asks("invite", "octocat")["error"] == again
    stage.pairctl("restart")
    invited(stage, "octocat")


@pytest.mark.parametrize("change", ["written", "removed"])
def test_a_change_is_a_warning_until_it_is_undone(stage: Stage, change: str) -> None:
    stage.daemon()
    config = stage.home / "config.toml"
    content = config.read_bytes()
    config.write_bytes(content)
    assert not is_warned(stage)
    config.write_bytes(content + b"# a remark\n") if change == "written" else config.unlink()
    assert is_warned(stage)
    shown = stage.pairctl("status").stdout.split()
    assert "has changed since pairingd started" in " ".join(shown)
    config.write_bytes(content)
    config.chmod(0o600)
    assert not is_warned(stage)


def test_a_file_that_others_can_write_is_not_read(stage: Stage) -> None:
    stage.daemon()
    config = stage.home / "config.toml"
    config.write_bytes(config.read_bytes() + b"# theirs\n")
    config.chmod(0o666)
    assert not is_warned(stage)
