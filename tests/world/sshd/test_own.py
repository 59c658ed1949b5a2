from __future__ import annotations

import asyncio
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pairingd.errors import PairingError
from pairingd.world.sshd import Sshd

SSHD = "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(not os.path.exists(SSHD), reason="sshd is not installed")  # noqa: PTH110


def sshd_in(home: Path) -> Sshd:
    home.mkdir(exist_ok=True)
    return Sshd(SSHD, home / "sshd_config", home / "host_ed25519", home / "authorized_keys")


async def test_many_at_once_make_one_host_key(tmp_path: Path) -> None:
    sshd = sshd_in(tmp_path)
    keys = await asyncio.gather(*(sshd.host_key() for _ in range(5)), sshd.prepare())
    assert len({str(key) for key in keys[:5]}) == 1


@pytest.mark.parametrize("name", ["per%cent %u%h", "a b'c", "uni-ïé", "$x`y`;#*\\z"])
async def test_sshd_takes_a_configuration_in_any_directory(tmp_path: Path, name: str) -> None:
    await sshd_in(tmp_path / name).prepare()


async def test_a_program_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    sshd = sshd_in(tmp_path)
    sshd.command = str(tmp_path / "text")
    (tmp_path / "text").write_text("no program\n")
    with pytest.raises(PairingError) as caught:
        await sshd.prepare()
    assert caught.value.code == "program-unusable"
    assert sshd.command in caught.value.message


async def test_a_machine_without_a_terminal_left_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)  # root's sshd makes any terminal right
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    unused = os.dup(0)
    os.close(unused)
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused, limits[1]))
    try:
        with pytest.raises(PairingError, match="Too many open files") as refused:
            await sshd_in(tmp_path).prepare()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert refused.value.code == "pty-unusable"


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("junk\n"), os.mkfifo])
async def test_a_damaged_host_key_is_named(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    sshd = sshd_in(tmp_path)
    spoil(tmp_path / "host_ed25519")
    (tmp_path / "host_ed25519").chmod(0o600)
    with pytest.raises(PairingError) as caught:
        await sshd.prepare()
    assert caught.value.code == "bad-host-key"
    assert "remove it" in caught.value.hint


async def test_the_host_key_is_kept_and_private(tmp_path: Path) -> None:
    first = await sshd_in(tmp_path).host_key()
    assert stat.S_IMODE((tmp_path / "host_ed25519").stat().st_mode) == 0o600
    assert await sshd_in(tmp_path).host_key() == first
