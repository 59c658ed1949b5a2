"""Strangers at the door, and guests who come all the same. Real daemon, sshd, ssh and tmux."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from pairingd.core.admission import MAX_PLACES, SILENT_PLACES, Refusal
from pairingd.core.penalties import FREE_FAILURES
from tests.floods import FLOODS, FOUR, GUEST, Flood
from tests.loopback import needs_second_address
from tests.stage import Guest, Stage, until
from tests.waiting import WAIT_S


class Hosted:
    """A stage with one guest invited."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.guest = stage.guest("octocat")
        stage.pairctl("invite", "octocat", "--ttl", "1h", "--no-copy")
        status = stage.asks("status")
        self.port: int = status["door"]["port"]
        self.daemon = psutil.Process(status["daemon"]["pid"])

    def joins(self, source: str = GUEST) -> None:
        """At the first try; and leaves again."""
        screen = self.stage.terminal(*self.guest.ssh("-b", source, port=self.port))
        screen.shows("[pairing]")
        screen.presses("C-b", "d")
        assert screen.ended() == 0

    def tries(self, guest: Guest, source: str = GUEST) -> str:
        """The last words of a login that does not succeed."""
        command = guest.ssh("-b", source, "-o", "BatchMode=yes", port=self.port)
        done = self.stage.run(*command, check=False)
        assert done.returncode == 255
        return done.stderr

    def sshds(self) -> int:
        found = 0
        for child in self.daemon.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += child.name() == "sshd"
        return found

    def knocks(self, source: str = GUEST, says: bytes = b"") -> socket.socket:
        knocking = socket.create_connection(("127.0.0.1", self.port), WAIT_S, (source, 0))
        knocking.sendall(says)
        return knocking


pytestmark = needs_second_address


@pytest.fixture
def hosted() -> Iterator[Hosted]:
    with Stage() as stage:
        yield Hosted(stage)


@pytest.fixture(scope="module")
def calm() -> Iterator[Hosted]:
    """For those who do no harm."""
    with Stage() as stage:
        yield Hosted(stage)


def all_of(connection: socket.socket) -> bytes:
    """What it says, to its end."""
    with connection:
        return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.attack("floods the door with connections", "the guest gets in at the first try")
@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.what)
def test_a_guest_gets_in_at_the_first_try_during_a_flood(hosted: Hosted, flood: Flood) -> None:
    with flood.against(hosted.port):
        for _ in range(3):
            hosted.joins()


@pytest.mark.attack("holds silent connections", "each costs a descriptor and no process")
def test_a_silent_connection_costs_no_sshd(hosted: Hosted) -> None:
    before = hosted.daemon.num_fds()
    with Flood("held", FOUR, each=10).against(hosted.port):
        until(lambda: hosted.daemon.num_fds() >= before + 30, "all are accepted")

        def are_closed() -> bool:
            assert hosted.sshds() <= SILENT_PLACES
            return hosted.daemon.num_fds() <= before + 10

        until(are_closed, "all but a few are closed")


@pytest.mark.attack("sends a line and holds", "it is ended as soon as a guest needs its place")
def test_places_held_without_a_login_are_given_to_a_guest(hosted: Hosted) -> None:
    bots = tuple(f"127.0.1.{n}" for n in range(MAX_PLACES))
    flood = Flood("held", bots, each=1, says="SSH-2.0-x\\r\\n")
    with flood.against(hosted.port):
        until(lambda: hosted.sshds() >= MAX_PLACES // 2, "places are held")
        hosted.joins()


def test_a_client_that_waits_for_our_identification_gets_it(calm: Hosted) -> None:
    with calm.knocks() as silent:
        assert silent.recv(4096).startswith(b"SSH-2.0-OpenSSH")


@pytest.mark.parametrize("says", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01", b"x", b"SSx"])
def test_a_client_that_does_not_speak_ssh_is_closed_without_an_sshd(
    calm: Hosted, says: bytes
) -> None:
    answer = all_of(calm.knocks(FOUR[0], says))
    assert answer.startswith(b"SSH-2.0-pairing\r\n")
    assert Refusal.NOT_SSH.value.encode() in answer


def test_an_identification_that_comes_in_pieces_is_read_by_sshd_as_a_whole(calm: Hosted) -> None:
    with calm.knocks(says=b"S") as client:
        for piece in (b"SH-2.0-", b"piecewise\r", b"\n"):
            client.sendall(piece)
        said = b""
        while b"curve25519" not in said:  # of the key exchange, which sshd begins after the line
            chunk = client.recv(4096)
            assert chunk
            said += chunk
    assert said.startswith(b"SSH-2.0-OpenSSH")


@pytest.mark.attack("tries wrong keys", "refused, in words that ssh prints")
def test_a_banned_clients_ssh_prints_the_reason(hosted: Hosted) -> None:
    stranger = hosted.stage.guest("hubot")
    for _ in range(FREE_FAILURES + 4):
        said = hosted.tries(stranger)
        if "Permission denied" not in said:
            break
    assert "Received disconnect from 127.0.0.1" in said
    assert re.search(rf"{Refusal.BANNED.value} in [1-8]s\b", said)


@pytest.mark.attack("tries wrong keys from the guest's address", "the guest who was in gets in")
def test_wrong_keys_do_not_ban_an_address_that_a_guest_has_entered_from(hosted: Hosted) -> None:
    stranger = hosted.stage.guest("hubot")
    hosted.joins()
    for _ in range(FREE_FAILURES + 4):
        assert "Permission denied" in hosted.tries(stranger)
    hosted.joins()


def test_twelve_guests_who_come_at_once_from_one_address_all_get_in(hosted: Hosted) -> None:
    guests = [hosted.stage.guest(f"guest{n}") for n in range(12)]
    hosted.stage.pairctl("invite", *(guest.name for guest in guests), "--no-copy")
    coming = [
        subprocess.Popen(guest.ssh("-N", "-b", GUEST, port=hosted.port), stdin=subprocess.DEVNULL)
        for guest in guests
    ]
    try:

        def inside() -> int:
            told = hosted.stage.asks("status")["invitations"]
            assert all(ssh.poll() is None for ssh in coming)
            return sum(len(invitation["connections"]) for invitation in told)

        until(lambda: inside() == len(guests), "all are in")
    finally:
        for ssh in coming:
            ssh.kill()
            ssh.wait()


@pytest.mark.waits
@pytest.mark.attack("uses up the descriptors", "guests get in once there are some; no place leaks")
def test_a_time_without_descriptors_leaks_no_place(hosted: Hosted) -> None:
    if sys.platform != "linux":
        pytest.skip("prlimit(2) is Linux's")
    limits = resource.prlimit(hosted.daemon.pid, resource.RLIMIT_NOFILE)
    line = b"SSH-2.0-x\r\n"
    idle = hosted.daemon.num_fds()
    # Enough to accept a connection, too few to start its sshd.
    resource.prlimit(hosted.daemon.pid, resource.RLIMIT_NOFILE, (idle + 1, limits[1]))
    for _ in range(MAX_PLACES + 2):
        said = all_of(hosted.knocks(says=line))
        assert Refusal.NO_RESOURCES.value.encode() in said
    # Too few for anything: whoever comes waits in the kernel.
    resource.prlimit(hosted.daemon.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
    with hosted.knocks(says=line) as waiting:
        until(lambda: hosted.daemon.status() != psutil.STATUS_RUNNING, "the daemon waits")
        resource.prlimit(hosted.daemon.pid, resource.RLIMIT_NOFILE, limits)
        assert waiting.recv(4096).startswith(b"SSH-2.0-OpenSSH")
    for _ in range(2):
        hosted.joins()
    until(lambda: hosted.daemon.num_fds() <= idle + 4, "all descriptors are back")


@pytest.mark.parametrize("more", [(), ("--test",)])
def test_a_daemon_that_may_open_too_few_files_is_refused(more: tuple[str, ...]) -> None:
    limited = 'ulimit -n 16; exec "$@"'
    with Stage() as stage:
        daemon = (sys.executable, "-P", "-m", "pairingd", *more)
        refused = stage.run("sh", "-c", limited, "sh", *daemon, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: pairingd may open 16 files, and needs 64\nhint: ")


def test_the_daemon_may_have_more_descriptors_than_it_was_started_with() -> None:
    if sys.platform != "linux":
        pytest.skip("prlimit(2) is Linux's")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Stage() as stage:
            daemon = stage.daemon()
            limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limits[0] >= min(1024, hard)
