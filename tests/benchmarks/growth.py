"""What a verb costs with one guest invited and with a thousand, and for how long others wait."""

from __future__ import annotations

import base64
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from pairingd.core.events import End
from pairingd.core.model import Invitation, Session, State
from pairingd.core.records import replace
from pairingd.core.rules import step
from pairingd.state.store import KEPT_SESSIONS, Store
from tests.benchmarks.figure import Figure
from tests.benchmarks.ssh import wait_until_out
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.core.make import START, invitation, invite
from tests.stage import PAIRCTL, Guest, Stage

MANY = 1000
AT_ONCE = 25  # guests that one invitation may name
RUNS = 7
EACH = 10  # past invitations of a session


def measure() -> list[Figure]:
    with Stage() as stage:
        _has_a_past(stage)
        stage.pairctl("start")
        guest = stage.guest("octocat")
        stage.pairctl("invite", "octocat", "--ttl", "1h", "--no-copy")
        all_blocked = _blocked_for(stage, lambda: stage.run(PAIRCTL, "status", "--all", "--json"))
        role, paint = _roles(stage), _paints(stage, guest)
        end = _seconds(lambda: stage.run(PAIRCTL, "end"))
        _invites_many(stage)
        many_role, many_paint = _roles(stage), _paints(stage, guest)
        blocked = _blocked_for(stage, lambda: _roles(stage))
        many_end = _seconds(lambda: stage.run(PAIRCTL, "end"))
        _invites_many(stage)
        end_blocked = _blocked_for(stage, lambda: stage.run(PAIRCTL, "end"))
    beside = "with one guest invited"
    some = f"with {MANY} guests invited"
    rows = (("role", many_role, role), ("first paint", many_paint, paint), ("end", many_end, end))
    past = f"{KEPT_SESSIONS} sessions of {EACH} invitations"
    return [
        *(
            Figure(f"{what}, {some}", ours * 1000, "ms", beside, theirs * 1000, most_ratio=1.5)
            for what, ours, theirs in rows
        ),
        Figure(f"event loop blocked by role, {some}", blocked * 1000, "ms", most=20),
        Figure(f"event loop blocked by end, {some}", end_blocked * 1000, "ms", most=20),
        Figure("event loop blocked by status --all", all_blocked * 1000, "ms", past, most=20),
    ]


def _has_a_past(stage: Stage) -> None:
    store = Store.open(stage.home / "state.db", START)
    guests = [invitation(f"github:past{number}") for number in range(EACH)]
    for number in range(KEPT_SESSIONS):
        state = step(State(), invite(*(_copy(one, number) for one in guests)), START)
        over = step(state, End(), START)
        assert over.session
        store.save(replace(over, session=_named(over.session, number)))
    store.close()


def _copy(one: Invitation, number: int) -> Invitation:
    return replace(one, id=f"{one.id}-{number}")


def _named(session: Session, number: int) -> Session:
    return replace(session, id=f"past{number}")


def _invites_many(stage: Stage) -> None:
    """octocat and others, whose keys nobody has."""
    names = [f"many{number}" for number in range(MANY - 1)]
    for name in names:
        (stage.keys / f"{name}.keys").write_text(f"ssh-ed25519 {_random_key()} {name}\n")
    names.append("octocat")
    with stage.client() as client:
        for first in range(0, MANY, AT_ONCE):
            client.call("invite", {"guests": names[first : first + AT_ONCE], "ttl": 3600})


def _random_key() -> str:
    words = (b"ssh-ed25519", os.urandom(32))
    return base64.b64encode(b"".join(struct.pack(">I", len(one)) + one for one in words)).decode()


def _roles(stage: Stage) -> float:
    """The median of changes there and back."""
    with stage.client() as client:
        return median(
            _seconds(lambda: client.call("role", {"guest": "octocat", "access": access}))  # noqa: B023
            for access in ("read", "write") * RUNS
        )


def _paints(stage: Stage, guest: Guest) -> float:
    port = stage.asks("status")["door"]["port"]

    def paint() -> float:
        with Terminal(guest.ssh(port=port), stage.environment) as terminal:
            painted = terminal.sees(ALTERNATE_SCREEN) - terminal.began
        wait_until_out(stage)
        return painted

    return median(paint() for _ in range(RUNS))


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _blocked_for(stage: Stage, act: Callable[[], object]) -> float:
    """The longest that another client waited for the cheapest answer meanwhile, in seconds."""
    with _heartbeat(stage) as waits:
        act()
    return max(waits, default=0.0)  # none if it took less than one beat


@contextmanager
def _heartbeat(stage: Stage) -> Iterator[list[float]]:
    waits: list[float] = []
    over = threading.Event()

    def beats() -> None:
        with stage.client() as client:
            while not over.wait(0.005):
                waits.append(_seconds(lambda: client.call("waiting")))

    thread = threading.Thread(target=beats)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
