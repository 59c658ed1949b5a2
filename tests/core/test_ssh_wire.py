"""What we speak of SSH ourselves, read by a real ssh."""

from __future__ import annotations

import socket
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.core.admission import Refusal
from pairingd.core.ssh_wire import (
    IDENTIFICATION,
    MAX_IDENTIFICATION,
    Reason,
    disconnect,
    is_identified,
)


@pytest.mark.parametrize("refusal", list(Refusal))
def test_ssh_prints_the_text_of_a_disconnect_message(refusal: Refusal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def refuse() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(IDENTIFICATION + disconnect(refusal.value))
                accepted.shutdown(socket.SHUT_WR)
                while accepted.recv(4096):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        port = str(server.getsockname()[1])
        done = subprocess.run(
            ["ssh", "-F", "none", "-o", "BatchMode=yes", "-p", port, "nobody@127.0.0.1"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        thread.join()
    assert f"Received disconnect from 127.0.0.1 port {port}:12: {refusal.value}" in done.stderr


@given(st.text(max_size=300))
def test_a_disconnect_packet_has_the_form_of_rfc_4253(text: str) -> None:
    packet = disconnect(text, Reason.PROTOCOL_ERROR)
    length, padding = int.from_bytes(packet[:4]), packet[4]
    assert length == len(packet) - 4
    assert len(packet) % 8 == 0
    assert 4 <= padding < 12
    description = text.encode()
    payload = packet[5 : len(packet) - padding]
    assert payload == b"\1\0\0\0\2" + len(description).to_bytes(4) + description + bytes(4)


@pytest.mark.parametrize(
    ("seen", "identified"),
    [
        (b"", None),
        (b"S", None),
        (b"SSH-", None),
        (b"SSH-2.0-OpenSSH_9.2", None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True),
        (b"SSH-2.0-x\n\0\0\5\xdc", True),
        (b"GET / HTTP/1.1\r\n", False),
        (b"\n", False),
        (b"SS\n", False),
        (b"ssh-2.0-x\r\n", False),
        (b"SSH-" + b"x" * (MAX_IDENTIFICATION - 4), False),
    ],
)
def test_a_client_s_first_bytes_are_its_identification_line(
    seen: bytes, identified: bool | None
) -> None:
    assert is_identified(seen) is identified


@given(st.binary(max_size=MAX_IDENTIFICATION))
def test_bytes_refused_as_identification_stay_refused_with_more_bytes(seen: bytes) -> None:
    if is_identified(seen) is False:
        assert is_identified(seen + b"SSH-2.0-x\r\n") is False
