"""One policy for all versions of sshd: what an older one does not know is left out."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path

import pytest

from pairingd.core.keys import _READERS
from pairingd.process.programs import run
from pairingd.world.sshd.policy import PREFERRED, algorithms

SSHD = "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(not os.path.exists(SSHD), reason="sshd is not installed")  # noqa: PTH110
CHACHA20 = "chacha20-poly1305@openssh.com"


@pytest.fixture
async def host_key(tmp_path: Path) -> Path:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # as Sshd.prepare makes it
    key = tmp_path / "host key"
    await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key), seconds=30)
    return key


async def offered(host_key: Path, command: str = SSHD) -> dict[str, list[str]]:
    """By keyword, in the order of the line."""
    lines = await algorithms(host_key, partial(run, command, seconds=30))
    return {
        key: names.split(",")
        for key, names in (line.split(" ") for line in lines.split("\n") if line)
    }


def older(tmp_path: Path, script: str) -> str:
    """An sshd that a script stands for; `$sshd` is the real one."""
    program = tmp_path / "sshd"
    program.write_text(f"#!/bin/sh\nsshd={shlex.quote(SSHD)}\n{script}\n")
    program.chmod(0o755)
    return str(program)


async def test_this_sshd_takes_the_lines(host_key: Path, tmp_path: Path) -> None:
    config = tmp_path / "sshd_config"
    lines = await algorithms(host_key, partial(run, SSHD, seconds=30))
    config.write_text(f'HostKey "{host_key}"\n{lines}')
    tested = await run(SSHD, "-t", "-f", str(config), seconds=30)
    assert (tested.status, tested.stderr) == (0, "")


async def test_only_algorithms_of_the_policy_are_offered_and_the_best_first(host_key: Path) -> None:
    offers = await offered(host_key)
    assert offers.keys() == PREFERRED.keys()
    for keyword, names in offers.items():
        assert names == [name for name in PREFERRED[keyword] if name in names]
    assert offers["KexAlgorithms"][0].startswith(("mlkem", "sntrup"))


async def test_names_that_an_older_sshd_refuses_are_left_out(
    host_key: Path, tmp_path: Path
) -> None:
    """Neither in its defaults nor accepted when it is tried."""
    command = older(
        tmp_path,
        """case "$*" in
        -T*) "$sshd" "$@" | sed 's/sntrup761x25519-sha512,//; s/umac-128-etm@openssh.com,//' ;;
        *=sntrup761x25519-sha512 | *=umac* | *=mlkem*) exit 255 ;;
        *) exec "$sshd" "$@" ;;
        esac""",
    )
    offers = await offered(host_key, command)
    assert offers["KexAlgorithms"][0] == "sntrup761x25519-sha512@openssh.com"
    assert offers["MACs"] == ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"]


async def test_an_algorithm_that_is_known_but_off_by_default_is_offered(
    host_key: Path, tmp_path: Path
) -> None:
    """As OpenSSH 8.5 has its post-quantum key exchange."""
    command = older(
        tmp_path,
        """case $1 in -T) "$sshd" "$@" | sed 's/sntrup[^,]*,//g' ;; *) exec "$sshd" "$@" ;; esac""",
    )
    offers = await offered(host_key, command)
    assert "sntrup761x25519-sha512@openssh.com" in offers["KexAlgorithms"]


@pytest.mark.attack("records are dropped from ChaCha20 (Terrapin) at an old sshd", "not offered")
async def test_chacha20_is_offered_only_with_strict_key_exchange(
    host_key: Path, tmp_path: Path
) -> None:
    lax = older(tmp_path, """"$sshd" "$@" | sed s/kex-strict-s-v00/kex-slack-s-v00/""")
    assert CHACHA20 not in (await offered(host_key, lax))["Ciphers"]
    strict = (
        "kex-strict"
        in (
            await run(
                *(SSHD, "-i", "-e", "-f", "none", "-o", f'HostKey="{host_key}"'),
                seconds=30,
                given=b"SSH-2.0-x\r\n",
            )
        ).stdout
    )
    assert (CHACHA20 in (await offered(host_key))["Ciphers"]) == strict


async def test_a_program_that_knows_nothing_gets_empty_lists(
    host_key: Path, tmp_path: Path
) -> None:
    """Which sshd -t refuses: nothing is left to its defaults."""
    offers = await offered(host_key, older(tmp_path, "exit 1"))
    assert {tuple(names) for names in offers.values()} == {("",)}


def test_a_signature_is_accepted_for_every_type_of_key_that_is() -> None:
    accepted = set(PREFERRED["PubkeyAcceptedAlgorithms"])
    assert set(_READERS) - {"ssh-rsa"} <= accepted
    assert {"rsa-sha2-256", "rsa-sha2-512"} <= accepted
    assert "ssh-rsa" not in accepted
