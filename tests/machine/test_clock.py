from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pairingd.machine.clock import Clock


class Times:
    """A machine's two clocks; `passes` moves both, `set` the wall clock alone."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 50.0
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_the_clock_is_the_wall_clock() -> None:
    times = Times()
    times.passes(3600)
    assert times.clock() == times.wall


def test_the_clock_follows_a_wall_clock_that_is_set_forward() -> None:
    times = Times()
    times.wall += 3600
    assert times.clock() == times.wall


def test_a_wall_clock_that_is_set_back_does_not_delay_a_deadline() -> None:
    times = Times()
    deadline = times.clock() + 7200
    times.passes(3600)
    times.wall -= 86400
    times.passes(3599)
    assert times.clock() < deadline
    times.passes(1)
    assert times.clock() >= deadline


def test_the_clock_is_the_wall_clock_again_after_trust() -> None:
    times = Times()
    times.wall -= 86400
    assert times.clock() > times.wall
    times.clock.trust()
    assert times.clock() == times.wall


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), max_size=20))
def test_the_clock_is_never_slower_than_real_time(steps: list[tuple[float, float]]) -> None:
    times = Times()
    for passed, jump in steps:
        before = times.clock()
        times.passes(passed)
        times.wall += jump
        assert times.clock() >= before + passed - 1e-3
