"""The quick lane with a real tmux, sshd and store; the test makes the passes."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pairingd.core.admission import Admission
from pairingd.errors import WorldError
from pairingd.intent import Intent
from pairingd.reconcile.access import AccessLane
from pairingd.signals import Signals
from pairingd.store import Store
from pairingd.visits import visits
from pairingd.world.door import Connection, Door
from pairingd.world.sshd import Sshd
from pairingd.world.tmux import Tmux
from tests.core.make import START, invitation, invite


class Host:
    """A host whose tmux session runs. `now` is in seconds."""

    def __init__(self, home: Path) -> None:
        self.database = home / "state.db"
        self.now = START + 1.0
        self.store = Store.open(self.database, START)
        signals = Signals()
        self.intent = Intent(self.store, self.clock, signals)
        self.keys = home / "authorized_keys"
        self.tmux = Tmux("", home / "tmux.sock", "pairing")
        self.runs_tmux("new-session", "-d", "-s", "pairing")
        sshd = Sshd("/usr/sbin/sshd", home / "sshd_config", home / "host_ed25519", self.keys)
        self.lane = AccessLane(
            self.intent,
            self.store,
            self.tmux,
            sshd,
            self.keys,
            0,
            self.clock,
            signals,
            door=lambda watcher: Door(sshd, "127.0.0.1", self.clock, watcher, Admission()),
        )
        self.told_of: list[int | None] = []
        signals.door_changed.connect(lambda: self.told_of.append(self.lane.door.port))

    def clock(self) -> float:
        return self.now

    def runs_tmux(self, *words: str) -> None:
        argv = (self.tmux.command, "-f", "/dev/null", "-S", str(self.tmux.socket), *words)
        subprocess.run(argv, check=True)

    @property
    def door_port(self) -> int | None:
        """That a restarted daemon would ask for."""
        session = self.store.state().session
        return session.door_port if session else None

    async def lets_in(self, guest: str) -> Connection:
        """By the key of their invitation; `sleep` stands for their sshd, which is not asked."""
        process = await asyncio.create_subprocess_exec("sleep", "3600")
        connection = Connection(process.pid, "::1", self.now, socket.socket(), process)
        connection.fingerprint = f"SHA256:{guest}"
        self.lane.accepted(connection)
        return connection

    async def lets_out(self, connection: Connection) -> None:
        connection.socket.close()
        connection.process.kill()
        await connection.process.wait()
        self.lane.disconnected(connection)

    async def rest(self) -> None:
        """Until nothing is under way any more."""
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)

    async def close(self) -> None:
        self.lane.stopping = True
        await self.lane.one_pass()
        await self.rest()
        self.store.close()
        self.runs_tmux("kill-server")


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    home = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    host = Host(home)
    yield host
    await host.close()
    shutil.rmtree(home)


async def test_a_door_that_could_not_be_noted_is_told_of_and_noted_later(host: Host) -> None:
    host.intent.apply(invite())
    other = sqlite3.connect(host.database)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorldError, match="database is locked"):
        await host.lane.one_pass()
    assert host.lane.door.port
    assert host.told_of == [host.lane.door.port]
    other.close()
    await host.lane.one_pass()
    assert host.door_port == host.lane.door.port
    assert host.told_of == [host.lane.door.port]


async def test_a_session_that_finds_the_door_open_notes_it_too(host: Host) -> None:
    host.intent.apply(invite())
    await host.lane.one_pass()
    opened = host.lane.door.port
    host.now = START + 3600
    host.intent.apply(invite(invitation("github:hubot", issued_at=START + 3600), session="s2"))
    assert host.door_port is None
    await host.lane.one_pass()
    assert host.lane.door.port == host.door_port == opened


@pytest.mark.parametrize("cut_for", ["the invitation is over", None])
async def test_who_leaves_when_another_session_has_begun_has_left_their_own(
    host: Host, cut_for: str | None
) -> None:
    host.intent.apply(invite(session="s1"))
    connection = await host.lets_in("github:octocat")
    connection.cut_for = cut_for
    host.now = START + 3600
    host.intent.apply(invite(invitation("github:hubot", issued_at=START + 3600), session="s2"))
    await host.lets_out(connection)
    await host.lane.one_pass()
    left = None
    async with asyncio.timeout(30):
        while left is None:  # it may ask tmux for the reason first
            await asyncio.sleep(0.01)
            [visit] = visits(host.store.history_of("s1"))
            left = visit if visit.why else None
    assert left.joined.guest == "github:octocat"
    assert left.why == (cut_for or "they left")
    assert "left" not in {one.kind for one in host.store.history_of("s2")}
