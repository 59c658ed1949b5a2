"""The quick lane with a real tmux, sshd and store; the test makes the passes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from pairingd.core.admission import MAX_PER_GUEST, Admission, Refusal
from pairingd.core.events import Came, End, Revoke
from pairingd.core.model import Cause, Conditions, Invitation
from pairingd.errors import WorldError
from pairingd.process.left_over import start_time
from pairingd.reconcile.access.entrance import Entrance
from pairingd.reconcile.access.idleness import Idleness
from pairingd.reconcile.access.lane import AccessLane
from pairingd.reconcile.aside import Aside
from pairingd.reconcile.journal import journal
from pairingd.signals import Signals
from pairingd.state.intent import Intent
from pairingd.state.store import Store
from pairingd.state.visits import visits
from pairingd.world.door import (
    Authenticated,
    Connected,
    Disconnected,
    Door,
    Event,
    LoginRefused,
    TurnedAway,
)
from pairingd.world.sshd import Sshd
from pairingd.world.tmux import Tmux
from tests.core.make import START, invitation, invite
from tests.guardians import all_rest
from tests.raw_terminal import RawTerminal
from tests.waiting import WAIT_S, happens

PID = 2**22 + 1  # of no process: above Linux's largest and macOS's
OCTOCAT = "SHA256:github:octocat"


class Host:
    """A host whose tmux session runs. `now` is in seconds."""

    def __init__(self, home: Path) -> None:
        self.database = home / "state.db"
        self.now = START + 1.0
        self.store = Store.open(self.database, START)
        signals = Signals()
        self.intent = Intent(self.store, self.clock, signals)
        self.keys = home / "authorized_keys"
        # Longer than any wait here: what comes in time has not waited for tmux.
        socket = home / "tmux.sock"
        self.tmux = Tmux("", socket, "pairing", reply_timeout_s=10 * WAIT_S)
        self.runs_tmux("new-session", "-d", "-s", "pairing")
        sshd = Sshd("/usr/sbin/sshd", home / "sshd_config", home / "host_ed25519", self.keys)
        admission = Admission()
        journaled = partial(journal, self.store)
        self.door = Door(lambda: sshd, "127.0.0.1", self.clock, admission, journal=journaled)
        control = self.keys.with_name("pairingd.sock")
        entrance = Entrance(
            *(self.intent, self.door, lambda: sshd, self.keys, self.tmux, 0, signals),
            lambda: control,
        )
        self.lane = AccessLane(
            self.intent, self.store, self.tmux, self.door, entrance, self.clock, signals
        )
        self._clients: list[asyncio.StreamWriter] = []
        self._running: asyncio.Task[None] | None = None
        self.told_of: list[int | None] = []
        self.opened: list[frozenset[str]] = []
        signals.opened.connect(self.opened.append)
        signals.door_changed.connect(lambda: self.told_of.append(self.door.port))

    def runs(self) -> None:
        """From now on the lane makes its passes by itself."""
        self._running = asyncio.create_task(self.lane.run())

    def clock(self) -> float:
        return self.now

    def invitations(self) -> tuple[Invitation, ...]:
        session = self.intent.state.session
        return session.invitations if session else ()

    def runs_tmux(self, *words: str) -> str:
        argv = (self.tmux.command, "-f", "/dev/null", "-S", str(self.tmux.socket), *words)
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout

    @property
    def door_port(self) -> int | None:
        """That a restarted daemon would ask for."""
        session = self.store.state().session
        return session.door_port if session else None

    async def knocks(self) -> asyncio.StreamReader:
        """A client that has still to log in."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
        self._clients.append(writer)
        writer.write(b"SSH-2.0-client\r\n")
        return reader

    def yields(self, *events: Event) -> None:
        """As if they had happened at the door."""
        for event in events:
            self.door.events.put_nowait(event)

    async def close(self) -> None:
        if self._running:
            self._running.cancel()
        for client in self._clients:
            client.close()
        self.lane.stop()
        await self.lane.one_pass()
        await self.lane.rest()
        await all_rest()
        self.store.close()
        self.runs_tmux("kill-server")


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    home = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    host = Host(home)
    yield host
    await host.close()
    shutil.rmtree(home)


async def test_an_open_door_that_could_not_be_saved_is_reported_and_saved_later(host: Host) -> None:
    host.intent.apply(invite())
    other = sqlite3.connect(host.database)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorldError, match="database is locked"):
        await host.lane.one_pass()
    assert host.door.port
    assert host.told_of == [host.door.port]
    other.close()
    await host.lane.one_pass()
    assert host.door_port == host.door.port
    assert host.told_of == [host.door.port]


async def test_a_fifo_in_the_key_files_place_is_replaced_and_not_waited_for(host: Host) -> None:
    os.mkfifo(host.keys)
    host.intent.apply(invite())
    await host.lane.one_pass()
    assert "expiry-time" in host.keys.read_text()


async def test_a_session_that_finds_the_door_open_notes_it_too(host: Host) -> None:
    host.intent.apply(invite())
    await host.lane.one_pass()
    opened = host.door.port
    host.now = START + 3600
    host.intent.apply(invite(invitation("github:hubot", issued_at=START + 3600), session="s2"))
    assert host.door_port is None
    await host.lane.one_pass()
    assert host.door.port == host.door_port == opened


@pytest.mark.parametrize("cut_for", ["the invitation is over", ""])
async def test_a_guest_who_leaves_after_another_session_began_is_recorded_in_their_own(
    host: Host, cut_for: str
) -> None:
    host.intent.apply(invite(session="s1"))
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, OCTOCAT))
    await host.lane.one_pass()
    [login] = host.lane.logins
    host.lane.roster.note_joined(login)
    login.cut_for = cut_for
    host.now = START + 3600
    host.intent.apply(invite(invitation("github:hubot", issued_at=START + 3600), session="s2"))
    host.yields(Disconnected(PID))
    await host.lane.one_pass()
    # It may ask tmux for the reason first.
    await happens(lambda: visits(host.store.history_of("s1"))[0].why)
    [left] = visits(host.store.history_of("s1"))
    assert left.joined.guest == "github:octocat"
    # Their time was up, whether the daemon or they themselves were quicker to end the connection.
    assert (left.why, left.about) == (Cause.EXPIRED, "the time is up")
    assert "left" not in {one.kind for one in host.store.history_of("s2")}


async def test_a_login_with_an_uninvited_key_is_cut_and_is_no_guest(host: Host) -> None:
    host.intent.apply(invite())
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, "SHA256:stranger"))
    await host.lane.one_pass()
    [login] = host.lane.logins
    assert (login.invitation, login.guest, login.fingerprint) == (None, "", "SHA256:stranger")
    assert login.cut_for == "the invitation is over"
    host.yields(Disconnected(PID))
    await host.lane.one_pass()
    assert {one.kind for one in host.store.history_of("s1")} & {
        "joined",
        "logged-in",
        "left",
    } == set()


async def test_a_guest_has_at_most_max_per_guest_connections(host: Host) -> None:
    host.intent.apply(invite())
    for pid in range(PID, PID + MAX_PER_GUEST + 1):
        host.yields(Connected(pid, "::1", host.now), Authenticated(pid, OCTOCAT))
    await host.lane.one_pass()
    *admitted, last = host.lane.logins
    assert {login.guest for login in admitted} == {"github:octocat"}
    assert (last.guest, last.cut_for) == ("", "the invitation is over")
    kinds = [one.kind for one in host.store.history_of("s1")]
    assert (kinds.count("logged-in"), kinds.count("refused")) == (MAX_PER_GUEST, 1)


async def test_a_login_that_never_was_in_the_session_has_not_joined(host: Host) -> None:
    host.intent.apply(invite())
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, OCTOCAT), Disconnected(PID))
    await host.lane.one_pass()
    lines = {one.kind: one.data for one in host.store.history_of("s1")}
    assert lines.keys() & {"joined", "left"} == set()
    assert lines["logged-in"]["fingerprint"] == OCTOCAT
    assert lines["logged-out"]["about"] == "they opened no terminal in the session"
    assert visits(host.store.history_of("s1")) == []


async def test_a_second_visit_of_a_once_guest_is_cut_and_does_not_end_the_invitation(
    host: Host,
) -> None:
    host.intent.apply(invite(invitation(conditions=Conditions(once=True))))
    for pid in (PID, PID + 1):
        host.yields(Connected(pid, "::1", host.now), Authenticated(pid, OCTOCAT))
    await host.lane.one_pass()
    first, second = host.lane.logins
    host.lane.roster.note_joined(first)
    host.lane.roster.note_joined(second)
    await host.lane.one_pass()
    assert (first.cut_for, second.joined) == ("", False)
    assert "one visit" in second.cut_for
    host.yields(Disconnected(second.pid))
    await host.lane.one_pass()
    assert host.intent.state.live
    host.yields(Disconnected(first.pid))
    await host.lane.one_pass()
    assert [one.cause for one in host.invitations()] == [Cause.USED]


async def test_a_login_after_a_once_visit_has_begun_is_cut(host: Host) -> None:
    """Its key is out of the file by then; sshd may have read it just before."""
    host.intent.apply(invite(invitation(conditions=Conditions(once=True))))
    await host.lane.one_pass()
    host.intent.apply(Came("id-github:octocat"))
    await host.lane.one_pass()
    assert host.keys.read_text() == ""
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, OCTOCAT))
    await host.lane.one_pass()
    [login] = host.lane.logins
    assert (login.guest, login.cut_for) == ("", "the invitation is over")


@pytest.mark.parametrize("typing", ["now", "long ago", "unknown"])
async def test_tmux_is_asked_for_the_last_typing_when_the_idle_time_is_up(
    host: Host, typing: str
) -> None:
    host.now = time.time()
    begun = int(host.now) - 1200
    idle = invitation(issued_at=begun, ttl=86400, conditions=Conditions(idle_seconds=1000))
    host.intent.apply(invite(idle))
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, OCTOCAT))
    screen = RawTerminal(
        (host.tmux.command, "-S", str(host.tmux.socket), "attach"), {"TERM": "xterm"}, 80, 24
    )
    try:
        await asyncio.to_thread(screen.shows, "pairing", WAIT_S)
        host.lane._take_events()
        for login in host.lane.logins:
            login.joined = True
        if typing == "long ago":
            host.now += 2000
        server = int(host.runs_tmux("display-message", "-p", "#{pid}"))
        if typing == "unknown":
            os.kill(server, signal.SIGSTOP)
        patience = 2.0 if typing == "unknown" else WAIT_S
        asked = Tmux("", host.tmux.socket, "pairing", reply_timeout_s=patience)
        aside = Aside()
        Idleness(host.intent, asked, host.lane.roster.logins, host.clock, aside).look()
        await aside.rest()
        os.kill(server, signal.SIGCONT)
        [one] = host.invitations()
        assert one.live is (typing == "now"), one
        if one.live:
            assert (one.idle_at or 0) > host.now
    finally:
        screen.close()


async def test_a_scheduled_invitation_opens_at_opens_at_and_is_announced_once(host: Host) -> None:
    later = int(host.now) + 600
    host.intent.apply(invite(invitation(conditions=Conditions(opens_at=later))))
    assert await host.lane.one_pass() == later
    assert (host.door.port, host.opened) == (None, [])
    host.now = float(later)
    await host.lane.one_pass()
    await host.lane.one_pass()
    assert host.door.port
    assert host.opened == [frozenset({"id-github:octocat"})]
    assert "expiry-time" in host.keys.read_text()


async def test_refused_keys_of_a_connection_are_one_line_of_history(host: Host) -> None:
    host.intent.apply(invite())
    host.yields(
        Connected(PID, "::1", host.now), LoginRefused(PID), LoginRefused(PID), Disconnected(PID)
    )
    host.yields(TurnedAway("::1", Refusal.BANNED))
    await host.lane.one_pass()
    refused = [one.data for one in host.store.history_of("s1") if one.kind == "refused"]
    assert [(one["peer"], one["fingerprints"], one["times"]) for one in refused] == [("::1", [], 1)]


async def test_a_reused_pid_is_another_connection(host: Host) -> None:
    host.intent.apply(invite())
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, OCTOCAT), Disconnected(PID))
    host.yields(Connected(PID, "::2", host.now))
    await host.lane.one_pass()
    [login] = host.lane.logins
    assert (login.peer, login.guest, login.fingerprint) == ("::2", "", "")


async def test_events_are_taken_while_a_pass_waits_for_tmux(host: Host) -> None:
    host.intent.apply(invite())
    server = host.runs_tmux("display-message", "-p", "#{pid}")
    os.kill(int(server), signal.SIGSTOP)
    try:
        host.yields(Connected(PID, "::1", host.now))
        host.runs()
        await happens(lambda: host.lane.logins)
        host.yields(Authenticated(PID, OCTOCAT))
        await happens(lambda: [one for one in host.lane.logins if one.guest])
        assert host.door.port is None  # so no pass has come to its end
    finally:
        os.kill(int(server), signal.SIGCONT)


async def test_rights_are_taken_away_while_a_pass_waits_for_tmux(host: Host) -> None:
    host.intent.apply(invite(invitation(id="a"), invitation("github:hubot", id="b")))
    host.runs()
    await host.lane.settle()
    assert (len(host.keys.read_text().splitlines()), bool(host.door.port)) == (2, True)
    server = host.runs_tmux("display-message", "-p", "#{pid}")
    os.kill(int(server), signal.SIGSTOP)
    try:
        host.lane.poke()
        await asyncio.sleep(0)  # the pass has begun
        host.intent.apply(Revoke(("b",)))
        await happens(lambda: len(host.keys.read_text().splitlines()) == 1)
        host.intent.apply(Revoke(("a",)))
        await happens(lambda: host.door.port is None)
    finally:
        os.kill(int(server), signal.SIGCONT)


async def test_a_pass_that_waited_writes_no_key_into_a_home_that_was_replaced(host: Host) -> None:
    lost: list[bool] = []

    def stop_if_lost() -> None:
        if lost:
            host.lane.stop()

    host.lane.passing.connect(stop_if_lost)
    host.intent.apply(invite())
    server = host.runs_tmux("display-message", "-p", "#{pid}")
    os.kill(int(server), signal.SIGSTOP)
    try:
        host.runs()
        await happens(host.keys.exists)
        host.keys.unlink()
        lost.append(True)
    finally:
        os.kill(int(server), signal.SIGCONT)
    await host.lane.settle()
    assert not host.keys.exists()
    assert host.door.port is None


async def test_a_departure_that_cannot_be_noted_keeps_no_other_from_it(host: Host) -> None:
    host.intent.apply(invite(session="s1"))
    host.yields(Connected(PID, "::1", host.now), Authenticated(PID, OCTOCAT))
    await host.lane.one_pass()
    host.now = START + 3600
    hubot = invitation("github:hubot", issued_at=START + 3600)
    host.intent.apply(invite(hubot, session="s2"))
    with sqlite3.connect(host.database) as other:
        other.execute("UPDATE session SET body = '' WHERE id = 's1'")
    other.close()
    later = PID + 1
    host.yields(Connected(later, "::1", host.now), Authenticated(later, "SHA256:github:hubot"))
    host.yields(Disconnected(PID), Disconnected(later))
    await host.lane.one_pass()
    left = [one for one in host.store.history_of("s2") if one.kind == "logged-out"]
    assert [one.data["guest"] for one in left] == ["github:hubot"]


async def test_once_all_is_closed_tmux_is_waited_for_no_longer_than_asked(host: Host) -> None:
    host.intent.apply(invite(invitation(id="a"), invitation("github:hubot", id="b")))
    host.runs()
    assert await host.lane.settle(WAIT_S)
    server = host.runs_tmux("display-message", "-p", "#{pid}")
    os.kill(int(server), signal.SIGSTOP)
    try:
        host.intent.apply(Revoke(("b",)))
        async with asyncio.timeout(WAIT_S):
            assert not await host.lane.settle(0.0)
        assert len(host.keys.read_text().splitlines()) == 1
    finally:
        os.kill(int(server), signal.SIGCONT)


async def test_stop_does_not_wait_for_tmux(host: Host) -> None:
    host.intent.apply(invite())
    server = host.runs_tmux("display-message", "-p", "#{pid}")
    host.runs()
    await host.lane.settle()
    os.kill(int(server), signal.SIGSTOP)
    try:
        host.lane.poke()
        await asyncio.sleep(0)
        host.lane.stop()
        async with asyncio.timeout(WAIT_S):
            await host.lane.settle()
        assert host.door.port is None
    finally:
        os.kill(int(server), signal.SIGCONT)


async def test_a_connection_that_cannot_be_journaled_does_not_stay(host: Host) -> None:
    host.intent.apply(invite())
    host.runs()
    await host.lane.settle()
    await host.knocks()
    await happens(lambda: host.lane.logins)
    first = [*host.lane.logins]
    other = sqlite3.connect(host.database)
    other.execute("BEGIN IMMEDIATE")
    second = await host.knocks()
    async with asyncio.timeout(WAIT_S):
        assert b"out of resources" in await second.read()  # until its end
    other.close()
    await happens(lambda: len(host.lane.logins) == 1)
    assert [*host.lane.logins] == first  # which came before, and still has time to log in
    os.killpg(first[0].pid, signal.SIGTERM)


async def test_connections_end_before_the_history_of_the_door_is_written(host: Host) -> None:
    host.intent.apply(invite())
    host.runs()
    await host.lane.settle()
    await host.knocks()
    await happens(lambda: host.lane.logins)
    [login] = host.lane.logins
    host.intent.apply(End())
    ended: list[bool] = []

    def executes(statement: str) -> None:
        if statement.startswith("INSERT") and "door-closed" in statement:
            ended.append(start_time(login.pid) is None)

    host.store._database.set_trace_callback(executes)
    await host.lane.settle()
    host.store._database.set_trace_callback(None)
    assert ended == [True]


async def test_a_connection_that_begins_as_the_door_closes_is_cut(host: Host) -> None:
    host.runs()
    await host.lane.settle()
    assert host.door.port is None
    host.yields(Connected(PID, "::1", host.now))
    await happens(lambda: [one.cut_for for one in host.lane.logins] == ["the invitation is over"])
