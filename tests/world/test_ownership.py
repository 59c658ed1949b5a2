"""Whose a tmux client is, by real processes: `sh` stands for an sshd, its session's leader for the
forced command, and `sleep` for the client. Who is in a box names the clients there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from pairingd.core.confine import TmuxClient
from pairingd.world.tmux import Owner, Ownership, living
from tests.stage import until

COMMAND = "import os; os.setsid(); os.system('sleep 3600; true')"


class Connection:
    def __init__(self) -> None:
        self._sshd = subprocess.Popen(["sh", "-c", f'{sys.executable} -c "{COMMAND}"; true'])
        self.pid = self._sshd.pid
        sleep = until(self._client, "the client runs")
        assert sleep
        self.client = TmuxClient(
            f"/dev/pts/{sleep.pid}", sleep.pid, False, "s", False, True, 80, 24
        )

    def _client(self) -> psutil.Process | None:
        family = psutil.Process(self.pid).children(recursive=True)
        return next((process for process in family if process.name() == "sleep"), None)

    def close(self) -> None:
        for process in psutil.Process(self.pid).children(recursive=True):
            process.kill()
        self._sshd.kill()
        self._sshd.wait()


@pytest.fixture
def pair() -> Iterator[tuple[Connection, Connection]]:
    both = Connection(), Connection()
    yield both
    for connection in both:
        connection.close()


def test_a_client_belongs_to_the_connection_among_its_ancestors(
    pair: tuple[Connection, Connection],
) -> None:
    first, second = pair
    owners = Ownership().of([first.client, second.client], {first.pid, second.pid})
    assert {name: owner.connection for name, owner in owners.items()} == {
        first.client.name: first.pid,
        second.client.name: second.pid,
    }
    assert all(isinstance(owner, Owner) for owner in owners.values())


def test_a_known_client_is_left_out_where_its_connection_is_not_among_those_given(
    pair: tuple[Connection, Connection],
) -> None:
    first, second = pair
    ownership, both = Ownership(), [first.client, second.client]
    assert len(ownership.of(both, {first.pid, second.pid})) == 2
    assert list(ownership.of(both, {first.pid})) == [first.client.name]
    assert ownership.of(both, ()) == {}
    assert len(ownership.of(both, {first.pid, second.pid})) == 2


def test_a_connection_that_is_accepted_later_is_found_later(
    pair: tuple[Connection, Connection],
) -> None:
    first, second = pair
    ownership, both = Ownership(), [first.client, second.client]
    assert list(ownership.of(both, {first.pid})) == [first.client.name]
    assert len(ownership.of(both, {first.pid, second.pid})) == 2


def test_a_client_whose_process_has_ended_is_none(pair: tuple[Connection, Connection]) -> None:
    first, second = pair
    both = [first.client, second.client]
    assert living(both) == both
    os.kill(first.client.pid, signal.SIGKILL)
    until(lambda: living(both) == [second.client], "the first one is no client")


class Boxed(Connection):
    """One whose client leads the session at a terminal of its own, as behind the glass."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.terminal = os.ttyname(slave)
        script = 'setsid sh -c \'setsid --ctty sleep 3600 <"$0" & wait\' "$0" & wait'  # in its background
        self._sshd = subprocess.Popen(["sh", "-c", script, self.terminal])
        self.pid = self._sshd.pid
        os.close(slave)
        until(self._leads, "the client leads the session at its terminal")
        self.client = named(self.terminal)

    def _leads(self) -> bool:
        client = self._client()
        return client is not None and os.getsid(client.pid) == client.pid

    def close(self) -> None:
        super().close()
        os.close(self._master)


def named(terminal: str) -> TmuxClient:
    """As each client of a box is listed."""
    return TmuxClient(terminal, 2, False, "s", False, True, 80, 24)


@pytest.fixture
def boxed() -> Iterator[tuple[Boxed, Boxed]]:
    if sys.platform != "linux":
        pytest.skip("only Linux has pids of a box's own")
    both = Boxed(), Boxed()
    yield both
    for connection in both:
        connection.close()


def test_a_client_in_a_box_belongs_to_the_connection_above_its_terminal(
    boxed: tuple[Boxed, Boxed],
) -> None:
    first, second = boxed
    ownership, both = Ownership(), [first.client, second.client]
    owners = ownership.of(both, {first.pid, second.pid}, boxed=True)
    assert {name: owner.connection for name, owner in owners.items()} == {
        first.terminal: first.pid,
        second.terminal: second.pid,
    }
    assert list(ownership.of(both, {first.pid}, boxed=True)) == [first.terminal]
    assert ownership.of(both, {first.pid, second.pid}) == {}


def test_names_that_are_no_terminals_hide_no_client_in_a_box(boxed: tuple[Boxed, Boxed]) -> None:
    first, _ = boxed
    lies = [named(f"/dev/{'./' * number}null") for number in range(1000)]
    assert list(Ownership().of([*lies, first.client], {first.pid}, boxed=True)) == [first.terminal]
