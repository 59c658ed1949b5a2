"""The programs of a session: tmux, ssh, sshd, and a login that uses all of them."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from pairingd.doctor import login
from pairingd.doctor.command import output
from pairingd.doctor.finding import Finding, Subject, exists
from pairingd.errors import PairingError
from pairingd.home import values
from pairingd.machine import which
from pairingd.world.sshd import Sshd


async def tmux(subject: Subject) -> AsyncIterator[Finding]:
    configured = subject.settings.config.tmux.command
    problems: list[Finding] = []
    for command in which.tmuxes(configured):
        if not os.path.isfile(command):  # noqa: PTH113 - Path.is_file() raises where we may not look
            hint = f"{which.ANOTHER_TMUX}, then: pairctl restart"
            problems.append(Finding.fail("tmux", f"there is no tmux at {command}", hint))
            continue
        status, printed = await output(command, "-V") or (1, "")
        if problem := which.unusable(command, "" if status else printed):
            problems.append(Finding.of("tmux", problem))
            continue
        yield Finding.ok("tmux", f"{printed.strip()} at {command}")
        return
    yield next(iter(problems), Finding.of("tmux", which.no_tmux()))


async def ssh(_subject: Subject) -> AsyncIterator[Finding]:
    """Its ssh-keygen makes the host key; ssh itself only serves guests and the test login."""
    install = "install the OpenSSH client (apt install openssh-client)"
    for name in ("ssh", "ssh-keygen"):
        if not shutil.which(name):
            yield Finding.fail("ssh", f"{name} is not on PATH", install)
            return
    answer = await output("ssh", "-V")
    match = re.match(r"OpenSSH_[\w.]{1,20}", answer[1]) if answer else None
    if not match:
        yield Finding.warn("ssh", "ssh does not say which OpenSSH it is", install)
        return
    yield Finding.ok("ssh", f"{match[0].replace('_', ' ')} at {shutil.which('ssh')}")


async def relay(subject: Subject) -> AsyncIterator[Finding]:
    """Does not connect: whether the relay lets us in shows when the door opens."""
    chosen = subject.settings.config.relay
    if chosen.command.run:
        named, fix = values.argv(chosen.command.run)[0], "[relay.command] run"
    elif chosen.ssh:
        named, fix = chosen.ssh_program or "ssh", "[relay] ssh_program"
    else:
        return
    relay = chosen.ssh or chosen.command.run
    if program := shutil.which(named):
        yield Finding.ok("relay", f"{relay} by {program}; not asked")
        return
    missing = f"{named} cannot be run: the relay {relay} is out of reach"
    yield Finding.warn("relay", missing, f"install it, or fix {fix}")


async def sshd(subject: Subject) -> AsyncIterator[Finding]:
    """`sshd` and `login`, in a temporary directory."""
    command = subject.settings.config.sshd.command
    if refused_by_macos(platform.mac_ver()[0]):
        broken = "macOS 14.0's sshd ends every login of an sshd that is not root's"
        yield Finding.fail("sshd", broken, "update macOS to 14.1 or later")
        return
    with tempfile.TemporaryDirectory(prefix="pairing-doctor-") as name:
        directory = Path(name)
        server = Sshd(
            command,
            directory / "sshd_config",
            directory / "host_key",
            directory / "authorized_keys",
        )
        try:
            version = await server.prepare()
        except PairingError as error:
            yield Finding.of("sshd", error)
            return
        yield Finding.ok("sshd", f"OpenSSH {version[0]}.{version[1]} at {command}")
        yield await login.check(server, version, directory)
    if subject.paths and exists(subject.paths.host_key):
        directory, key = Path(subject.paths.state_db).parent, Path(subject.paths.host_key)
        ours = Sshd(command, directory / "sshd_config", key, directory / "authorized_keys")
        try:
            await ours.host_key()
        except PairingError as error:
            yield Finding.of("sshd", error)


def refused_by_macos(version: str) -> bool:
    """Only 14.0: there a failure to write audit records, which only root may, ends the login."""
    return re.fullmatch(r"14\.0(\.\d+)?|14", version) is not None
