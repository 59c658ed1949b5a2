"""What the door yields, with a real sshd and real clients."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from pairingd.core.admission import Admission, Refusal
from pairingd.core.penalties import FREE_FAILURES
from pairingd.world.door import (
    Arrival,
    Authenticated,
    Connected,
    Disconnected,
    Door,
    Event,
    LoginRefused,
    Reached,
    TurnedAway,
)
from pairingd.world.door import (
    connections as served,
)
from pairingd.world.sshd import Sshd
from tests.guardians import all_rest
from tests.waiting import WAIT_S

SSHD = "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(not os.path.exists(SSHD), reason="sshd is not installed")  # noqa: PTH110


class Street:
    """An open door, with people before it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._keys = home / "authorized_keys"
        self._keys.touch(mode=0o600)
        self._sshd = Sshd(SSHD, home / "sshd_config", home / "host_ed25519", self._keys)
        self.admission = Admission()
        self.door = Door(lambda: self._sshd, "127.0.0.1", time.time, self.admission)
        self._clients: list[asyncio.subprocess.Process] = []

    async def opens(self) -> None:
        await self._sshd.prepare()
        await self.door.open(preferred=0, fixed=0)

    async def key(self, name: str, command: str = "") -> str:
        """Its fingerprint. With a `command` it is authorized."""
        file = self._home / name
        await self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file))
        if command:
            public = file.with_suffix(".pub").read_text()
            with self._keys.open("a") as keys:
                keys.write(f'restrict,pty,command="{command}" {public}')
        return (await self._run("ssh-keygen", "-lf", str(file))).split()[1]

    async def logs_in(self, *names: str) -> asyncio.subprocess.Process:
        """With these keys, in this order."""
        options = ("IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no")
        hosts = f"UserKnownHostsFile={self._home}/known_hosts"
        client = await asyncio.create_subprocess_exec(
            *("ssh", "-F", "/dev/null", "-tt", "-p", str(self.door.port)),
            *(word for option in (*options, hosts) for word in ("-o", option)),
            *(word for name in names for word in ("-i", str(self._home / name))),
            f"{getpass.getuser()}@127.0.0.1",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._clients.append(client)
        return client

    async def says(self, line: bytes) -> None:
        """Somebody else's client, which waits for the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
        writer.write(line)
        await asyncio.wait_for(reader.read(), WAIT_S)
        writer.close()

    async def event(self) -> Event:
        return await asyncio.wait_for(self.door.events.get(), WAIT_S)

    async def events_until(self, kind: type[Event]) -> list[Event]:
        events = [await self.event()]
        while not isinstance(events[-1], kind):
            events.append(await self.event())
        return events

    async def close(self) -> None:
        self.door.close()
        for client in self._clients:
            if client.returncode is None:
                client.kill()
            await client.wait()
        await all_rest()

    async def _run(self, *argv: str) -> str:
        done = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        output, _ = await done.communicate()
        return output.decode()


async def nobody_detaches(_pids: Collection[int]) -> None:
    raise AssertionError("nobody is attached")


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    home = Path(tempfile.mkdtemp(prefix="pairing-", dir="/tmp"))
    street = Street(home)
    await street.opens()
    yield street
    await street.close()
    shutil.rmtree(home)


async def test_a_login_yields_connected_authenticated_and_disconnected(street: Street) -> None:
    fingerprint = await street.key("octocat", "exec sleep 600")
    client = await street.logs_in("octocat")
    connected, authenticated = await street.event(), await street.event()
    assert isinstance(connected, Connected)
    assert connected.peer == "127.0.0.1"
    assert authenticated == Authenticated(connected.pid, fingerprint)
    street.door.admit(connected.pid, guest=True)
    assert street.admission.penalties.is_known("127.0.0.1")
    await street.door.connections.cut([connected.pid], (), nobody_detaches)
    assert street.door.events.get_nowait() == Disconnected(connected.pid)
    assert await asyncio.wait_for(client.wait(), WAIT_S) == 255
    street.door.admit(connected.pid, guest=True)  # late, and harmless


async def test_each_key_that_sshd_refuses_is_an_event_of_that_connection(street: Street) -> None:
    keys = [await street.key("first"), await street.key("second")]
    await street.logs_in("first", "second")
    connected, *refused, disconnected = await street.events_until(Disconnected)
    assert isinstance(connected, Connected)
    assert disconnected == Disconnected(connected.pid)
    offered = [LoginRefused(connected.pid, fingerprint) for fingerprint in keys]
    assert [event for event in refused if event != LoginRefused(connected.pid)] == offered


async def test_a_refused_key_before_the_right_one_does_not_keep_it_out(street: Street) -> None:
    other = await street.key("first")
    fingerprint = await street.key("octocat", "exec sleep 600")
    await street.logs_in("first", "octocat")
    connected, *refused, authenticated = await street.events_until(Authenticated)
    assert isinstance(connected, Connected)
    assert LoginRefused(connected.pid, other) in refused
    assert authenticated == Authenticated(connected.pid, fingerprint)
    await street.door.connections.cut([connected.pid], (), nobody_detaches)


async def test_a_login_that_ended_before_it_was_admitted_is_no_failure(street: Street) -> None:
    await street.key("octocat", "exit 0")
    for _ in range(FREE_FAILURES + 4):
        await street.logs_in("octocat")
        await street.events_until(Disconnected)  # and nobody has answered
        assert not street.admission.is_suspect("127.0.0.1", time.time())


async def test_a_refused_client_is_yielded_once_for_each_address(street: Street) -> None:
    for _ in range(3):
        await street.says(b"GET / HTTP/1.0\r\n\r\n")
    assert await street.event() == TurnedAway("127.0.0.1", Refusal.NOT_SSH)
    assert street.door.events.empty()


async def test_a_connection_outlives_a_closed_door_until_it_is_cut(street: Street) -> None:
    await street.key("octocat", "exec sleep 600")
    await street.logs_in("octocat")
    events = await street.events_until(Authenticated)
    street.door.close()
    assert street.door.port is None
    pid = events[0].pid if isinstance(events[0], Connected) else 0
    os.kill(pid, 0)
    await street.door.connections.cut([pid], (), nobody_detaches)
    assert street.door.events.get_nowait() == Disconnected(pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_detach_that_hangs_keeps_no_connection_alive(street: Street) -> None:
    await street.key("octocat", "exec sleep 600")
    await street.logs_in("octocat")
    connected, *_ = await street.events_until(Authenticated)
    assert isinstance(connected, Connected)
    asked: list[Collection[int]] = []

    async def hangs(pids: Collection[int]) -> None:
        asked.append(pids)
        await asyncio.Event().wait()

    cut = street.door.connections.cut([connected.pid], {connected.pid}, hangs)
    await asyncio.wait_for(cut, WAIT_S)
    assert asked == [[connected.pid]]
    assert street.door.events.get_nowait() == Disconnected(connected.pid)


async def test_the_door_has_no_descriptor_left_once_all_are_gone(street: Street) -> None:
    left = []
    for _ in range(2):  # the guardian, which the first one starts, stays for some seconds
        with socket.create_connection(("127.0.0.1", street.door.port or 0)) as client:
            client.sendall(b"SSH-2.0-x\r\n")
            await street.events_until(Connected)
        await street.events_until(Disconnected)
        assert street.door.connections.descriptors() == 0
        left.append(len(os.listdir("/dev/fd")))  # noqa: PTH208 - its own counts each time
    assert left[1] <= left[0]


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        return listener.accept()[0], theirs


async def test_a_dialed_connection_is_served_but_is_no_evidence_for_the_door(
    street: Street,
) -> None:
    for dialed in ("", "5dbb7bc9"):
        ours, theirs = connected_sockets()
        over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        street.door.take(Arrival(ours, "8.8.8.8", dialed, over.set_result))
        theirs.send(b"SSH-2.0-test\r\n")
        events = await street.events_until(Connected)
        assert [event for event in events if isinstance(event, Reached)] == (
            [] if dialed else [Reached("8.8.8.8")]
        )
        connected = events[-1]
        assert isinstance(connected, Connected)
        assert (connected.peer, connected.dialed) == ("8.8.8.8", dialed)
        theirs.close()
        assert await asyncio.wait_for(over, WAIT_S)  # an SSH client was there
        await street.events_until(Disconnected)


async def test_a_silent_dialed_connection_is_reported_as_without_an_ssh_client(
    street: Street,
) -> None:
    ours, theirs = connected_sockets()
    over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    street.door.take(Arrival(ours, "8.8.8.8", "5dbb7bc9", over.set_result))
    theirs.close()
    assert not await asyncio.wait_for(over, WAIT_S)


class Endless:
    """Our end of an sshd's log, into which somebody writes faster than anybody reads."""

    MOST = 100_000

    def __init__(self, records: socket.socket) -> None:
        self._records = records
        self._in_a_row = 0
        self.has_starved_others = False

    def fileno(self) -> int:
        return self._records.fileno()

    def setblocking(self, _: bool) -> None:
        pass

    def recv(self, _: int) -> bytes:
        if not self._in_a_row:
            asyncio.get_running_loop().call_soon(self._others_have_run)
        self._in_a_row += 1
        if self._in_a_row > self.MOST:
            self.has_starved_others = True
            raise BlockingIOError
        return b"x"

    def _others_have_run(self) -> None:
        self._in_a_row = 0

    def close(self) -> None:
        self._records.close()


@pytest.mark.attack("a guest of an account floods the log of their sshd", "they can be cut")
async def test_who_floods_the_log_of_an_sshd_can_be_cut(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = connected_sockets()
    theirs.send(b"x")
    records = Endless(ours)
    with ours, theirs:
        monkeypatch.setattr(served, "channel", lambda: (records, theirs.dup()))
        await street.key("octocat", "exec sleep 600")
        await street.logs_in("octocat")
        connected = await street.event()
        assert isinstance(connected, Connected)
        await street.door.connections.cut([connected.pid], (), nobody_detaches)
    assert not records.has_starved_others
