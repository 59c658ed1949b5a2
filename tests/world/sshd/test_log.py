"""sshd's log: only sshd's own words count."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairingd.world.sshd.log import LOG_BUFFER, Accepted, Failed, Unlike, channel, parse

FINGERPRINT = "SHA256:" + "A" * 43
ACCEPTED = f"Accepted publickey for hosty from 5.5.5.2 port 57364 ssh2: ED25519 {FINGERPRINT}"


def test_sshd_can_say_much_before_it_is_read() -> None:
    """macOS would keep 4096 bytes, and drop the rest."""
    ours, theirs = channel()
    with ours, theirs:
        for end, buffer in ((ours, socket.SO_RCVBUF), (theirs, socket.SO_SNDBUF)):
            assert end.getsockopt(socket.SOL_SOCKET, buffer) >= LOG_BUFFER
        theirs.send(b"one")
        theirs.send(b"two")
        assert (ours.recv(4096), ours.recv(4096)) == (b"one", b"two")


def test_an_accepted_login_is_read_with_its_key() -> None:
    assert parse(f"{ACCEPTED}\r\n".encode()) == Accepted(FINGERPRINT)
    assert parse(ACCEPTED.replace("5.5.5.2", "2001:db8::2").encode()) == Accepted(FINGERPRINT)


@pytest.mark.parametrize(
    "name", ["mark smith", "CORP\\\\mark", "mark@corp.example", "a from b port 1"]
)
def test_the_name_of_our_account_does_not_change_the_result(name: str) -> None:
    assert parse(ACCEPTED.replace("hosty", name).encode()) == Accepted(FINGERPRINT)
    refused = f"User {name} not allowed because not listed in AllowUsers"
    assert parse(refused.encode()) == Failed(other_user=True)


OFFERED = ACCEPTED.replace("Accepted", "Failed")


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        (OFFERED, Failed(FINGERPRINT)),
        (OFFERED.replace("5.5.5.2", "UNKNOWN").replace("hosty", "mark smith"), Failed(FINGERPRINT)),
        ("Failed publickey for hosty from 5.5.5.2 port 1 ssh2: ED25519 SHA256:x", Failed()),
        (f"{OFFERED} ID x (serial 0) CA ED25519 {FINGERPRINT}", Failed()),
        ("Failed password for invalid user root from 5.5.5.2 port 1 ssh2", Failed(other_user=True)),
        ("Invalid user admin from 5.5.5.2 port 1", Failed(other_user=True)),
        ("Connection closed by authenticating user hosty 5.5.5.2 port 1 [preauth]", Failed()),
        (
            "Disconnecting invalid user x 5.5.5.2 port 1: Too many authentication failures",
            Failed(other_user=True),
        ),
        ("User root not allowed because not listed in AllowUsers", Failed(other_user=True)),
    ],
)
def test_a_failed_login_is_read_with_the_key_that_was_offered(line: str, failed: Failed) -> None:
    assert parse(line.encode()) == failed
    assert parse(f"{line}\r\n".encode()) == failed


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Unable to negotiate with 5.5.5.2 port 1: no matching cipher found. {}", "cipher"),
        ("Unable to negotiate with UNKNOWN port 65535: no matching MAC found. {}", "MAC"),
        (
            "Unable to negotiate with 2001:db8::2 port 1: no matching key exchange method found. {}",
            "key exchange method",
        ),
        (
            "userauth_pubkey: signature algorithm ssh-rsa not in PubkeyAcceptedAlgorithms [preauth]",
            "signature algorithm",
        ),
    ],
)
def test_a_client_without_a_common_algorithm_is_read_with_its_kind(line: str, kind: str) -> None:
    """Which ones it offers are its own words."""
    line = line.format(f"Their offer: aes128-cbc,\n{ACCEPTED} [preauth]")
    assert parse(f"{line}\r\n".encode()) == Unlike(kind)


@pytest.mark.attack("a user name holds a forged fingerprint", "no part of it is shown")
@pytest.mark.parametrize(
    "record",
    [f"Invalid user {OFFERED}", OFFERED.replace("for hosty", f"for invalid user {OFFERED}\n")],
)
def test_a_user_name_is_never_taken_for_a_key(record: str) -> None:
    assert parse(record.encode()) == Failed(other_user=True)


@pytest.mark.attack(
    "a client's algorithm, version or farewell holds a forged log line",
    "never taken for sshd's words",
)
@pytest.mark.parametrize(
    "record",
    [
        f"userauth_pubkey: unsupported public key algorithm: zz\n{ACCEPTED}\ny [preauth]\r\n",
        f"Received disconnect from 5.5.5.2 port 1:11: \n{ACCEPTED}\n",
        f"{ACCEPTED}\nmore",
        f"{ACCEPTED} more",
        f"x {ACCEPTED}",
        f"Invalid user \n{ACCEPTED}\r\n",
        "",
    ],
)
def test_text_written_by_a_guest_is_never_read_as_an_accepted_login(record: str) -> None:
    assert not isinstance(parse(record.encode()), Accepted)


@given(before=st.text(min_size=1), after=st.text())
def test_an_accepted_line_within_other_text_is_not_accepted(before: str, after: str) -> None:
    assert not isinstance(parse(f"{before}\n{ACCEPTED}\n{after}".encode()), Accepted)


@given(st.binary())
def test_no_record_raises_an_error(record: bytes) -> None:
    parse(record)
