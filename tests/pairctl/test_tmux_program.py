from __future__ import annotations

from pathlib import Path

import pytest

from pairctl.tmux.tmux_program import find
from pairingd.core.refusal import PairingError


def test_the_configured_tmux_is_the_only_one(home: Path) -> None:
    (home / "config.toml").write_text('[tmux]\ncommand = "/opt/é b/tmux"\n')
    assert find("/usr/bin/tmux") == ["/opt/é b/tmux"]


@pytest.mark.parametrize(
    "line", ['command = "tmux"', "command = 5", 'command = "/a\\u0000"', 'command = "/a\\nb"', "="]
)
def test_a_tmux_that_cannot_be_run_is_refused_before_anything_is_run(home: Path, line: str) -> None:
    (home / "config.toml").write_text(f"[tmux]\n{line}\n")
    with pytest.raises(PairingError) as refused:
        find("/usr/bin/tmux")
    assert refused.value.code == "bad-config"
