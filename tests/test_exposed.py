"""What an auditor and clients of all kinds find at the door: ssh-audit, ssh and PuTTY's plink."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import logins
from tests.stage import Guest, Stage

KINDS = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "3072"),
}
ENTERED = "this invitation opens a shared terminal"  # join.sh's, to who has none
POST_QUANTUM = ("mlkem", "sntrup")


class Door:
    """An open one, and its guest, who has a key of each kind."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.keys = {kind: stage.path / kind for kind in KINDS}
        for kind, key in self.keys.items():
            stage.run("ssh-keygen", "-q", "-N", "", "-f", str(key), *KINDS[kind])
        self._guest = stage.guest("octocat")
        published = (key.with_suffix(".pub").read_text() for key in self.keys.values())
        (stage.keys / "octocat.keys").write_text("".join(published))
        self.invited = stage.asks("invite", "octocat", "--no-copy")
        self.port = int(stage.asks("status")["door"]["port"])

    def guest(self, kind: str = "ed25519") -> Guest:
        guest = copy.copy(self._guest)
        guest.key = self.keys[kind]
        return guest

    def ssh(self, *options: str, kind: str = "ed25519") -> subprocess.CompletedProcess[str]:
        words = (word for option in options for word in ("-o", option))
        return self.stage.run(*self.guest(kind).ssh(*words, port=self.port), check=False)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Stage() as stage:
        yield Door(stage)


@pytest.fixture(scope="module")
def audit(door: Door) -> dict[str, Any]:
    """By ssh-audit, less its test of how fast it may connect, which is core.admission's matter."""
    program = str(Path(sys.executable).with_name("ssh-audit"))
    options = ("--json", "--skip-rate-test", "--port", str(door.port))
    found: dict[str, Any] = json.loads(
        door.stage.run(program, *options, "127.0.0.1", check=False).stdout
    )
    return found


@pytest.mark.attack("an auditor looks for weak algorithms at the door", "finds none")
def test_an_audit_has_no_failures_and_only_post_quantum_warnings(
    audit: dict[str, Any],
) -> None:
    judged = [one for kind in ("kex", "key", "enc", "mac") for one in audit[kind]]
    assert [one["algorithm"] for one in judged if one["notes"].get("fail")] == []
    warned = {one["algorithm"]: one["notes"]["warn"] for one in judged if "warn" in one["notes"]}
    assert set(warned) == {"curve25519-sha256", "curve25519-sha256@libssh.org"}
    reasons = {reason for reasons in warned.values() for reason in reasons}
    assert reasons == {"does not provide protection against post-quantum attacks"}
    assert audit["cves"] == []


def test_post_quantum_key_exchange_is_offered_first(audit: dict[str, Any]) -> None:
    offered = [one["algorithm"] for one in audit["kex"] if not one["algorithm"].startswith("kex-")]
    hybrid = [name.startswith(POST_QUANTUM) for name in offered]
    assert hybrid[0]
    assert hybrid == sorted(hybrid, reverse=True)


def test_the_host_key_is_ed25519_alone(audit: dict[str, Any]) -> None:
    assert [one["algorithm"] for one in audit["key"]] == ["ssh-ed25519"]


@pytest.mark.parametrize(
    ("kind", "signature"),
    [
        ("ed25519", "ssh-ed25519"),
        ("ecdsa-256", "ecdsa-sha2-nistp256"),
        ("ecdsa-384", "ecdsa-sha2-nistp384"),
        ("ecdsa-521", "ecdsa-sha2-nistp521"),
        ("rsa", "rsa-sha2-256"),
        ("rsa", "rsa-sha2-512"),
    ],
)
def test_every_kind_of_key_that_can_be_invited_enters(
    door: Door, kind: str, signature: str
) -> None:
    assert ENTERED in door.ssh(f"PubkeyAcceptedAlgorithms={signature}", kind=kind).stderr


@pytest.mark.parametrize(
    ("exchange", "cipher", "mac"),
    [
        ("curve25519-sha256", "chacha20-poly1305@openssh.com", "hmac-sha2-256"),
        ("curve25519-sha256@libssh.org", "aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
        ("curve25519-sha256", "aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
        ("curve25519-sha256", "aes192-ctr", "umac-128-etm@openssh.com"),
        ("curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha1"),
        ("sntrup761x25519-sha512@openssh.com", "aes256-gcm@openssh.com", "hmac-sha2-256"),
    ],
)
def test_a_client_with_only_one_algorithm_of_each_kind_enters(
    door: Door, exchange: str, cipher: str, mac: str
) -> None:
    entered = door.ssh(f"KexAlgorithms={exchange}", f"Ciphers={cipher}", f"MACs={mac}")
    assert ENTERED in entered.stderr


def test_a_client_that_chooses_the_algorithms_itself_enters(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "options", [])
    assert ENTERED in door.ssh().stderr


@pytest.mark.attack("a client offers only algorithms that an auditor would fail", "refused")
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["KexAlgorithms=ecdh-sha2-nistp256,diffie-hellman-group14-sha256"], "ed25519"),
        (["HostKeyAlgorithms=rsa-sha2-512,ecdsa-sha2-nistp256"], "ed25519"),
        (["Ciphers=aes128-cbc,3des-cbc"], "ed25519"),
        (["Ciphers=aes256-ctr", "MACs=hmac-sha1,hmac-sha2-256,umac-64@openssh.com"], "ed25519"),
        (["PubkeyAcceptedAlgorithms=ssh-rsa"], "rsa"),  # a SHA-1 signature
    ],
)
def test_a_client_with_only_weak_algorithms_does_not_enter(
    door: Door, options: list[str], kind: str
) -> None:
    refused = door.ssh(*options, kind=kind)
    assert refused.returncode == 255
    assert ENTERED not in refused.stderr
    assert ENTERED in door.ssh().stderr


@pytest.mark.skipif(not shutil.which("plink"), reason="PuTTY's plink is not installed")
def test_putty_enters(door: Door) -> None:
    ppk = door.stage.path / "octocat.ppk"
    door.stage.run("puttygen", str(door.keys["ed25519"]), "-o", str(ppk), "-O", "private")
    pinned = ("-hostkey", door.invited["host_key"]["fingerprint"])
    command = door.invited["command"]
    user = command.split()[-1].partition("@")[0]
    entered = door.stage.run(
        *("plink", "-batch", "-ssh", "-T", "-no-antispoof", *pinned, "-i", str(ppk)),
        *("-P", str(door.port), f"{user}@127.0.0.1"),
        check=False,
    )
    assert ENTERED in entered.stderr
