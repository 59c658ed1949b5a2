"""How long after their deadline guests are still connected, as they see it."""

from __future__ import annotations

from statistics import median

from tests.benchmarks.figure import Figure
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.e2e.people import moment
from tests.stage import Stage

RUNS = 5
TTL = 3  # seconds


def measure(stage: Stage) -> list[Figure]:
    """Each of the guests is alone, live and in the session; every other has no terminal at all."""
    over = [_overshoot(stage, f"late{number}", bare=number % 2 == 1) for number in range(RUNS)]
    return [
        Figure(
            f"guest is out after the deadline, worst of {RUNS}",
            max(over) * 1000,
            "ms",
            f"median {median(over) * 1000:.0f} ms",
            most=200,
        )
    ]


def _overshoot(stage: Stage, name: str, *, bare: bool) -> float:
    """Seconds. `bare`: a connection without a session (ssh -N), which only its cutting ends."""
    guest = stage.guest(name)
    invited = stage.asks("invite", name, "--ttl", f"{TTL}s", "--no-copy")
    port = stage.asks("status")["door"]["port"]
    with Terminal(guest.ssh(*(["-N"] if bare else []), port=port), stage.environment) as terminal:
        if not bare:
            terminal.sees(ALTERNATE_SCREEN)
        ended = terminal.ends(within=TTL + 5)
    overshoot = ended - moment(invited["invitations"][0]["expires_at"])
    assert overshoot > -0.05, f"{name} was out {-overshoot:.2f} s early"
    return overshoot
