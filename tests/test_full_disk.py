"""Taking rights away on a disk that takes nothing more, with the whole product (Linux, root)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.core.test_keys import ed25519
from tests.stage import PAIRCTL, Guest, Stage, until


class SmallDisk(Stage):
    """Its home is a disk of 2 MiB, in a mount namespace that ends with the test, however it ends.

    `home` leads there from outside.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        self.inside = self.home
        argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
        script = 'mount -t tmpfs -o size=2m,mode=0700 tmpfs "$1" && echo ready && exec cat'
        self._holder = subprocess.Popen(
            [*argv, script, "sh", str(self.inside)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout
        assert self._holder.stdout.readline() == "ready\n"
        self.home = Path(f"/proc/{self._holder.pid}/root{self.inside}")
        self.configure()
        return self

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PAIRING_HOME": str(self.inside)}

    def run(
        self, *argv: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        if hasattr(self, "_holder"):
            argv = ("nsenter", "--mount", f"--target={self._holder.pid}", *argv)
        return super().run(*argv, check=check, **options)

    def pairctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(PAIRCTL, *argv, check=check)

    def _end_tmux(self) -> None:
        self.run("tmux", "-S", str(self.inside / "tmux.sock"), "kill-server", check=False)
        super()._end_tmux()
        self._holder.communicate()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        filler = self.home / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))
        yield
        filler.unlink(missing_ok=True)

    def kills_the_daemon(self) -> None:
        pid = self.asks("status")["daemon"]["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pairctl("status", check=False).returncode == 3, "it is dead")


def why_not() -> str:
    if sys.platform != "linux" or os.getuid() != 0:
        return "needs root on Linux, for a disk of its own"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "x", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr


@pytest.fixture
def stage() -> Iterator[SmallDisk]:
    if reason := why_not():
        if os.environ.get("PAIRING_REQUIRE_E2E"):
            pytest.fail(reason)
        pytest.skip(reason)
    with SmallDisk() as stage:
        yield stage


def octocat_is_invited(stage: SmallDisk) -> Guest:
    """In a session whose record is of many pages: what the key file gives back is too little."""
    guest = stage.guest("octocat")
    keys = [f"{ed25519(seed, 'x' * 100).decode()}\n" for seed in range(60)]
    (stage.keys / "mona.keys").write_text("".join(keys))
    for command in (["invite", "octocat", "mona", "--no-copy"], ["revoke", "mona"]):
        assert "error" not in stage.asks(*command)
    stage.door = stage.asks("status")["door"]["port"]
    return guest


def codes(answer: dict[str, Any]) -> set[str]:
    return {one["code"] for one in answer["warnings"]} - {"running-as-root"}


def nobody_is_in(stage: SmallDisk) -> None:
    status = stage.asks("status")
    assert status["invitations"] == []
    assert status["door"]["open"] is False
    assert (stage.home / "authorized_keys").read_text() == ""
    assert not list((stage.home / "live").iterdir())
    assert "live" not in {one["state"] for one in stage.asks("status", "--all")["invitations"]}


@pytest.mark.attack("is revoked or ended while the host's disk is full", "is out for good")
@pytest.mark.parametrize("command", [("revoke", "octocat"), ("end",)], ids=["revoke", "end"])
def test_on_a_full_disk_a_removed_guest_stays_out_after_kill_9(
    stage: SmallDisk, command: tuple[str, ...]
) -> None:
    guest = octocat_is_invited(stage)
    screen = guest.joins()
    screen.shows("pairing")
    with stage.full():
        answer = stage.asks(*command)
        assert "error" not in answer
        [one] = answer["invitations"]
        assert one["state"] in {"revoked", "ended"}
        assert "state-unwritable" in codes(answer)
        [told] = [one for one in answer["warnings"] if one["code"] == "state-unwritable"]
        assert told["message"].startswith("the change holds for good")
        screen.ended()
        stage.kills_the_daemon()
    stage.pairctl("start")
    nobody_is_in(stage)
    assert "state-outdated" in codes(stage.asks("status"))
    assert guest.runs(port=stage.door).returncode == 255
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")


@pytest.mark.waits
@pytest.mark.attack("has their role reduced while the host's disk is full", "never types again")
def test_on_a_full_disk_a_guest_made_a_read_guest_stays_one_after_kill_9(stage: SmallDisk) -> None:
    guest = octocat_is_invited(stage)
    screen = guest.joins()
    screen.shows("pairing")
    with stage.full():
        answer = stage.asks("role", "octocat", "read")
        [one] = answer["invitations"]
        assert one["access"] == "read"
        [told] = [one for one in answer["warnings"] if one["code"] == "state-unwritable"]
        assert told["message"].startswith("the change holds for good")
        screen.shows("octocat ro")
        assert stage.asks("status")["door"]["open"] is True
        stage.kills_the_daemon()
        screen.ended()
    stage.pairctl("start")
    [one] = stage.asks("status")["invitations"]
    assert (one["state"], one["access"]) == ("live", "read")
    until(lambda: stage.asks("status")["door"]["open"], "the door is open")
    guest.joins(port=stage.door).shows("octocat ro")
    assert "error" not in stage.asks("role", "octocat", "write")


@pytest.mark.attack("has their time cut short while the host's disk is full", "is out on time")
def test_on_a_full_disk_a_shorter_deadline_holds_after_kill_9(stage: SmallDisk) -> None:
    octocat_is_invited(stage)
    with stage.full():
        until_ = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        answer = stage.asks("extend", "octocat", "--until", until_)
        assert [one["expires_at"] for one in answer["invitations"]] == [until_]
        assert "state-unwritable" in codes(answer)
        stage.kills_the_daemon()
    stage.pairctl("start")
    [one] = stage.asks("status")["invitations"]
    assert one["expires_at"] == until_


@pytest.mark.attack("is expired while the host's disk is full", "is out for good")
def test_on_a_full_disk_an_expired_guest_stays_out_after_kill_9(stage: SmallDisk) -> None:
    stage.guest("octocat")
    assert "error" not in stage.asks("invite", "octocat", "--no-copy")
    deadline = stage.expires_soon("octocat")
    with stage.full():
        until(lambda: time.time() > deadline, "the deadline")
        until(lambda: not stage.asks("status")["door"]["open"], "the door is closed")
        assert not list((stage.home / "live").iterdir())
        stage.kills_the_daemon()
    stage.pairctl("start")
    nobody_is_in(stage)


def test_on_a_full_disk_an_invitation_is_refused_whole(stage: SmallDisk) -> None:
    stage.guest("octocat")
    stage.guest("hubot")
    assert "error" not in stage.asks("invite", "hubot", "--no-copy")
    marks = sorted(path.name for path in (stage.home / "live").iterdir())
    with stage.full():
        assert stage.asks("invite", "octocat", "--no-copy")["error"]["code"] == "state-unwritable"
        assert sorted(path.name for path in (stage.home / "live").iterdir()) == marks
        stage.kills_the_daemon()
    stage.pairctl("start")
    assert [one["guest"] for one in stage.asks("status")["invitations"]] == ["github:hubot"]


def test_a_guest_who_comes_while_the_disk_is_full_is_told_and_so_is_the_host(
    stage: SmallDisk,
) -> None:
    guest = octocat_is_invited(stage)
    with stage.full():
        for _ in range(2):
            assert "the host is out of resources; try again" in guest.runs(port=stage.door).stderr
        assert "state-unwritable" in codes(stage.asks("status"))
    until(lambda: "state-unwritable" not in codes(stage.asks("status")), "there is space")
    guest.joins(port=stage.door).shows("[pairing]")
    events = [one for one in stage.asks("log")["events"] if one["kind"] in {"trouble", "resolved"}]
    assert [one["kind"] for one in events] == ["trouble", "resolved"]


def test_a_revocation_that_cannot_be_made_durable_holds_with_a_warning(stage: SmallDisk) -> None:
    guest = octocat_is_invited(stage)
    screen = guest.joins()
    screen.shows("pairing")
    [mark] = (stage.home / "live").iterdir()
    inside = str(stage.inside / "live" / mark.name)
    stage.run("mount", "--bind", "/dev/null", inside)  # unlink(2) of it is EBUSY
    with stage.full():
        answer = stage.asks("revoke", "octocat")
        [told] = [one for one in answer["warnings"] if one["code"] == "not-durable"]
        assert "only while this pairingd runs" in told["message"]
        screen.ended()
        assert "not-durable" in codes(stage.asks("status"))
    stage.run("umount", inside)
    until(lambda: "not-durable" not in codes(stage.asks("status")), "it is saved")
    stage.kills_the_daemon()
    stage.pairctl("start")
    nobody_is_in(stage)
