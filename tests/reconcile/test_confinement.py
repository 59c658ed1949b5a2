"""Confinement with a real tmux, in which nobody is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pairingd.reconcile.access.confinement import Confinement
from pairingd.world.tmux import Running, Tmux
from tests.waiting import happens


@pytest.fixture
def tmux(short_path: Path) -> Iterator[Tmux]:
    tmux = Tmux("", short_path / "tmux.sock", "pairing")
    runs(tmux, "new-session", "-d", "-s", "pairing")
    yield tmux
    runs(tmux, "kill-server")


def runs(tmux: Tmux, *words: str) -> str:
    argv = (tmux.command, "-f", "/dev/null", "-S", str(tmux.socket), *words)
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


async def ends_the_watch(tmux: Tmux) -> None:
    form = "#{client_control_mode} #{client_pid} #{client_name}"
    is_control, pid, name = runs(tmux, "list-clients", "-F", form).split()
    assert is_control == "1"
    runs(tmux, "detach-client", "-t", name)
    await happens(lambda: not psutil.pid_exists(int(pid)))


async def test_the_session_is_watched_again_after_each_end_of_the_client_that_watched(
    tmux: Tmux,
) -> None:
    confinement = Confinement(tmux, lambda: None, lambda: None, lambda *_: None)
    assert await tmux.running() is Running.YES
    try:
        for _ in range(3):
            await confinement.watch()
            await ends_the_watch(tmux)
    finally:
        confinement.stop()
