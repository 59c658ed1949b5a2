from __future__ import annotations

import pytest

from pairingd.core import causes
from pairingd.core.model import Cause


def test_every_cause_has_its_own_text() -> None:
    assert causes.WORDS.keys() == set(Cause)
    assert len(set(causes.WORDS.values())) == len(Cause)


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_is_read_as_it_was_written(cause: Cause) -> None:
    assert causes.read(cause.value) is cause


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("they left", Cause.LEFT),
        ("the tmux session ended", Cause.TMUX_GONE),
        ("pairingd had ended", Cause.DAEMON_STOPPED),
        ("something of a later version", Cause.ENDED),
    ],
)
def test_causes_written_by_other_versions_are_read(written: str, cause: Cause) -> None:
    assert causes.read(written) is cause
