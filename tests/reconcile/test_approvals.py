"""The guests who wait, with a real tmux and real processes; the test has the clock."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest
from msgspec import Struct

from pairingd.core.approval import ANSWER_S, REMEMBERED_S, Entry
from pairingd.core.model import Conditions
from pairingd.core.refusal import Refused
from pairingd.reconcile.access.approvals import Answer
from pairingd.reconcile.access.login import JOINING_S
from pairingd.state.visits import visits
from pairingd.world.door import Authenticated, Connected, Disconnected
from tests.core.make import invitation, invite
from tests.reconcile.test_access import OCTOCAT, Host, host
from tests.waiting import happens

__all__ = ["host"]

GUEST = "github:octocat"


class Connection(Struct):
    """As of an sshd: a process, and one that it has started, the forced command."""

    sshd: int
    command: int


@pytest.fixture
def connection() -> Iterator[Connection]:
    with subprocess.Popen(
        ["/bin/sh", "-c", "echo; sleep 600; :"], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        while not (children := psutil.Process(process.pid).children()):
            pass
        yield Connection(process.pid, children[0].pid)
        os.killpg(process.pid, 9)


@pytest.fixture
async def waiting_host(host: Host, connection: Connection) -> AsyncIterator[Host]:
    """At whose session a guest has logged in who must be approved, also while nobody is there."""
    conditions = Conditions(ask=True, wait=True)
    host.intent.apply(invite(invitation(GUEST, conditions=conditions)))
    host.yields(Connected(connection.sshd, "::1", host.now))
    host.yields(Authenticated(connection.sshd, OCTOCAT))
    await host.lane.one_pass()
    yield host
    host.yields(Disconnected(connection.sshd))
    await host.lane.one_pass()


def asks(host: Host, connection: Connection) -> asyncio.Task[Answer]:
    return asyncio.create_task(host.lane.approvals.ask(connection.command))


async def waits(host: Host, connection: Connection) -> asyncio.Task[Answer]:
    asking = asks(host, connection)
    await happens(lambda: host.lane.approvals.waiting)
    return asking


def entry(host: Host) -> Entry:
    [login] = host.lane.logins
    return login.entry


def kinds(host: Host) -> list[str]:
    return [one.kind for one in host.store.history_of("s1")]


def decides(host: Host, **how: Any) -> None:
    host.lane.approvals.decide(GUEST, None, **how)


async def test_a_guest_who_waits_for_approval_has_not_joined(
    waiting_host: Host, connection: Connection
) -> None:
    assert entry(waiting_host) is Entry.ASKS
    asking = await waits(waiting_host, connection)
    assert "joined" not in kinds(waiting_host)
    decides(waiting_host, approve=True)
    assert (await asking).approved
    assert kinds(waiting_host)[-2:] == ["waiting", "approved"]  # joined is who is in the session


async def test_a_guest_is_denied_if_no_answer_comes_in_time(
    waiting_host: Host, connection: Connection
) -> None:
    asking = await waits(waiting_host, connection)
    waiting_host.now += ANSWER_S - 1
    await waiting_host.lane.one_pass()
    assert not asking.done()
    assert waiting_host.lane.approvals.waiting
    waiting_host.now += 1
    answer = await asking
    assert not answer.approved
    assert "nobody answered" in answer.text
    [visit] = visits(waiting_host.store.history_of("s1"))
    assert (visit.joined.guest, visit.why) == (GUEST, "denied")


async def test_the_limit_without_a_terminal_does_not_end_a_waiting_guest(
    waiting_host: Host, connection: Connection
) -> None:
    asking = await waits(waiting_host, connection)
    await waiting_host.lane.one_pass()
    waiting_host.now += JOINING_S + 1
    await waiting_host.lane.one_pass()
    [login] = waiting_host.lane.logins
    assert login.cut_for == ""
    decides(waiting_host, approve=True)
    await asking
    await waiting_host.lane.one_pass()
    assert login.cut_for == ""  # from now on they have the whole limit
    waiting_host.now += JOINING_S + 1
    await waiting_host.lane.one_pass()
    assert login.cut_for


async def test_a_guest_who_never_asks_is_cut_at_the_limit_without_a_terminal(
    waiting_host: Host,
) -> None:
    await waiting_host.lane.one_pass()
    waiting_host.now += JOINING_S + 1
    await waiting_host.lane.one_pass()
    [login] = waiting_host.lane.logins
    assert login.cut_for


async def test_a_denied_guest_is_cut(waiting_host: Host, connection: Connection) -> None:
    asking = await waits(waiting_host, connection)
    decides(waiting_host, approve=False)
    assert not (await asking).approved
    assert not (await asks(waiting_host, connection)).approved
    waiting_host.now += 2
    await waiting_host.lane.one_pass()
    [login] = waiting_host.lane.logins
    assert login.cut_for == "denied"


async def test_a_guest_who_left_cannot_be_approved(
    waiting_host: Host, connection: Connection
) -> None:
    asking = await waits(waiting_host, connection)
    asking.cancel()
    await asyncio.wait({asking})
    with pytest.raises(Refused, match="is not waiting"):
        decides(waiting_host, approve=True)
    assert kinds(waiting_host)[-1] == "withdrew"
    assert entry(waiting_host) is Entry.DENIED


async def test_an_approval_after_the_connection_ended_does_not_let_the_guest_in(
    waiting_host: Host, connection: Connection
) -> None:
    asking = await waits(waiting_host, connection)
    waiting_host.yields(Disconnected(connection.sshd))
    await waiting_host.lane.one_pass()
    decides(waiting_host, approve=True)
    assert not (await asking).approved
    assert "approved" not in kinds(waiting_host)
    waiting_host.yields(Connected(connection.sshd, "::1", waiting_host.now))


async def test_the_same_key_asks_again_only_after_a_time(
    waiting_host: Host, connection: Connection
) -> None:
    asking = await waits(waiting_host, connection)
    decides(waiting_host, approve=True)
    await asking
    for seconds, asked_again in ((REMEMBERED_S - 1, False), (1, True)):
        waiting_host.now += seconds
        waiting_host.yields(
            Disconnected(connection.sshd),
            Connected(connection.sshd, "::1", waiting_host.now),
            Authenticated(connection.sshd, OCTOCAT),
        )
        await waiting_host.lane.one_pass()
        again = asks(waiting_host, connection)
        if asked_again:
            await happens(lambda: waiting_host.lane.approvals.waiting)
            again.cancel()
        else:
            assert (await again).approved


async def test_a_connection_can_wait_only_once_at_a_time(
    waiting_host: Host, connection: Connection
) -> None:
    first = await waits(waiting_host, connection)
    assert not (await asks(waiting_host, connection)).approved
    assert len(waiting_host.lane.approvals.waiting) == 1
    first.cancel()


async def test_a_process_of_no_guest_is_not_let_in(waiting_host: Host) -> None:
    assert not (await waiting_host.lane.approvals.ask(os.getpid())).approved


async def test_without_wait_a_guest_is_denied_while_the_host_is_away(
    host: Host, connection: Connection
) -> None:
    host.intent.apply(invite(invitation(GUEST, conditions=Conditions(ask=True))))
    host.yields(
        Connected(connection.sshd, "::1", host.now), Authenticated(connection.sshd, OCTOCAT)
    )
    await host.lane.one_pass()
    answer = await asks(host, connection)
    assert "the host is not at the session" in answer.text
    host.yields(Disconnected(connection.sshd))
    await host.lane.one_pass()
