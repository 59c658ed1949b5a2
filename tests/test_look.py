"""`pairctl look`: a friend scans the host key, with the real ssh-keyscan."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pairctl.__main__ import main
from tests.stage import Stage, free_port

OTHER = "SHA256:" + "A" * 43


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[int, str]]:
    """Its port, and the fingerprint of the host key."""
    with Stage() as stage:
        stage.guest("octocat")
        invited = stage.asks("invite", "octocat", "--no-copy")
        yield stage.asks("status")["door"]["port"], invited["host_key"]["fingerprint"]


Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("place", ["127.0.0.1:{}", "mark@127.0.0.1:{}", "[127.0.0.1]:{}"])
def test_look_recognises_the_host_by_its_host_key(
    door: tuple[int, str], capsys: Capture, place: str
) -> None:
    port, fingerprint = door
    assert main(["look", place.format(port), fingerprint]) == 0
    assert capsys.readouterr() == (
        f"127.0.0.1:{port} is that host: it shows {fingerprint}\n",
        "",
    )


def test_another_host_is_named_by_what_it_shows(door: tuple[int, str], capsys: Capture) -> None:
    port, fingerprint = door
    assert main(["look", f"127.0.0.1:{port}", OTHER]) == 1
    said = capsys.readouterr().out
    assert said == f"127.0.0.1:{port} is another host: it shows {fingerprint}\n"
    assert main(["look", f"127.0.0.1:{port}", OTHER, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "host": "127.0.0.1",
        "port": port,
        "fingerprint": OTHER,
        "found": "another-host",
        "keys": [{"type": "ssh-ed25519", "fingerprint": fingerprint}],
    }


def test_look_prints_one_line_if_nobody_listens(capsys: Capture) -> None:
    port = free_port()
    assert main(["look", f"127.0.0.1:{port}", OTHER]) == 1
    assert capsys.readouterr().out == f"127.0.0.1:{port} is not reached: connection refused\n"
    assert main(["look", "--json", "no.invalid:22", OTHER]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["found"], found["keys"]) == ("nobody", [])


def test_look_reports_a_server_that_shows_no_host_key(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        port = silent.getsockname()[1]
        silent.settimeout(0)
        assert main(["look", f"127.0.0.1:{port}", OTHER]) == 1
    assert "shows no host key" in capsys.readouterr().out


@pytest.mark.waits
def test_look_ends_although_a_server_sends_a_line_now_and_then(capsys: Capture) -> None:
    """A tarpit: ssh-keyscan's own limit begins anew with each line before the banner."""
    with socket.create_server(("127.0.0.1", 0)) as tarpit:
        drips = threading.Thread(target=_drip, args=(tarpit,), daemon=True)
        drips.start()
        assert main(["look", f"127.0.0.1:{tarpit.getsockname()[1]}", OTHER]) == 1
        assert "shows no host key" in capsys.readouterr().out
        tarpit.shutdown(socket.SHUT_RDWR)
    drips.join()


def _drip(tarpit: socket.socket) -> None:
    while True:
        try:
            connection, _ = tarpit.accept()
        except OSError:  # it is over
            return
        with connection, contextlib.suppress(OSError):
            while True:
                connection.sendall(b"not yet\r\n")
                time.sleep(0.5)


@pytest.mark.parametrize(
    ("place", "fingerprint"),
    [
        ("", OTHER),
        ("5.5.5.5:0", OTHER),
        ("5.5.5.5:65536", OTHER),
        ("5.5.5.5:ssh", OTHER),
        ("-oProxyCommand=x:22", OTHER),
        ("a b:22", OTHER),
        ("a..b:22", OTHER),
        (f"{'a' * 64}.example:22", OTHER),
        ("\u202ea.example:22", OTHER),
        (OTHER, "5.5.5.5:22"),
        ("5.5.5.5:22", "SHA256:short"),
        ("5.5.5.5:22", "MD5:00:11"),
        ("5.5.5.5:22", OTHER + "x"),
        ("5.5.5.5:22", OTHER.lower()),
    ],
)
def test_look_refuses_an_invalid_address_or_fingerprint(
    capsys: Capture, place: str, fingerprint: str
) -> None:
    assert main(["look", "--", place, fingerprint]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: not ")
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("place", ["::1", "[::1]", "[::1]:22"])
def test_look_accepts_an_ipv6_address_without_a_port(capsys: Capture, place: str) -> None:
    assert main(["look", "--json", place, OTHER]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["host"], found["port"]) == ("::1", 22)
