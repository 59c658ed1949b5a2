from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from pairingd.world.door.progress import is_over, progress
from tests.stage import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")

LONG = 30.0  # seconds
OLD = 100.0  # seconds for which the connection has had an sshd


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """sshd's end and the client's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        accepted, _ = listener.accept()
        with accepted:
            yield accepted, client


def quiet(connection: socket.socket, age: float = OLD) -> float:
    state = progress(connection, age)
    assert state is not None
    return state.quiet


def test_a_client_is_not_quiet_before_the_server_has_sent_anything(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    accepted, client = pair
    client.sendall(b"x")
    accepted.recv(1)
    assert quiet(accepted) == 0


def test_a_client_that_owes_an_answer_is_quiet(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    accepted, _ = pair
    accepted.sendall(b"x")
    until(lambda: quiet(accepted) > 0.1, "it is quiet", LONG)
    assert quiet(accepted, age=0.05) == 0.05


def test_bytes_now_and_then_are_no_progress_but_an_answer_is(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    accepted, client = pair
    accepted.sendall(b"x")

    def dribbles() -> bool:
        client.sendall(b"x")
        accepted.recv(1)
        return quiet(accepted) > 0.2

    until(dribbles, "it is quiet", LONG)
    accepted.sendall(b"x")
    assert quiet(accepted) < 0.2


def test_a_client_is_not_quiet_while_its_data_is_unread(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    accepted, client = pair
    accepted.sendall(b"x")
    until(lambda: quiet(accepted) > 0.1, "it is quiet", LONG)
    client.sendall(b"abc")
    until(lambda: quiet(accepted) == 0, "it has come", LONG)
    state = progress(accepted, OLD)
    assert state is not None
    assert state.received == 3


def test_a_peer_that_has_gone_is_noticed_even_if_its_data_is_unread(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    accepted, client = pair
    client.sendall(b"SSH-2.0-x\r\n")
    assert not is_over(accepted)
    client.close()
    until(lambda: is_over(accepted), "it is over", LONG)


def test_a_closed_socket_has_no_progress(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    accepted, _ = pair
    accepted.close()
    assert progress(accepted, OLD) is None
