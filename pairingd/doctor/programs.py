"""The programs a session is made of: tmux, ssh, sshd, and a login through all of them."""

from __future__ import annotations

import platform
import re
import shutil
import tempfile
from pathlib import Path

from pairingd.doctor import login
from pairingd.doctor.command import output
from pairingd.doctor.finding import Finding, Subject
from pairingd.errors import PairingError
from pairingd.world.sshd import Sshd
from pairingd.world.tmux import Tmux

_OLDEST_TMUX = (3, 2)  # attach-session -f ignore-size, and -N


async def tmux(subject: Subject) -> list[Finding]:
    chosen = subject.settings.config.tmux
    command = Tmux(chosen.command, Path("/"), chosen.session).command
    install = "install it: apt install tmux, brew install tmux"
    if not command:
        return [Finding.fail("tmux", "there is no tmux", install)]
    answer = await output(command, "-V")
    found = (
        re.fullmatch(r"tmux (?:next-)?(\d{1,3})\.(\d{1,3})\S*\s*", answer[1]) if answer else None
    )
    if answer is None or answer[0] != 0 or not found:
        return [Finding.fail("tmux", f"{command} does not say its version", install)]
    message = f"{answer[1].strip()} at {command}"
    if (int(found[1]), int(found[2])) < _OLDEST_TMUX:
        needed = ".".join(map(str, _OLDEST_TMUX))
        return [Finding.fail("tmux", message, f"pairing needs {needed} or later; {install}")]
    return [Finding.ok("tmux", message)]


async def ssh(_subject: Subject) -> list[Finding]:
    """Its ssh-keygen makes the host key; ssh itself is the guest's affair, and our test's."""
    install = "install the OpenSSH client (apt install openssh-client)"
    for name in ("ssh", "ssh-keygen"):
        if not shutil.which(name):
            return [Finding.fail("ssh", f"{name} is not on PATH", install)]
    answer = await output("ssh", "-V")
    found = re.match(r"OpenSSH_[\w.]{1,20}", answer[1]) if answer else None
    if not found:
        return [Finding.warn("ssh", "ssh does not say which OpenSSH it is", install)]
    return [Finding.ok("ssh", f"{found[0].replace('_', ' ')} at {shutil.which('ssh')}")]


async def sshd(subject: Subject) -> list[Finding]:
    """`sshd` and `login`, in a directory that is gone afterwards."""
    command = subject.settings.config.sshd.command
    if refused_by_macos(platform.mac_ver()[0]):
        broken = "macOS 14.0's sshd ends every login of an sshd that is not root's"
        return [Finding.fail("sshd", broken, "update macOS to 14.1 or later")]
    with tempfile.TemporaryDirectory(prefix="pairing-doctor-") as name:
        here = Path(name)
        server = Sshd(command, here / "sshd_config", here / "host_key", here / "authorized_keys")
        try:
            version = await server.prepare()
        except PairingError as error:
            return [Finding.of("sshd", error)]
        return [
            Finding.ok("sshd", f"OpenSSH {version[0]}.{version[1]} at {command}"),
            await login.check(server, version, here),
        ]


def refused_by_macos(version: str) -> bool:
    """14.0 alone: it treats failing to write an audit record as fatal, which needs root (source)."""
    return re.fullmatch(r"14\.0(\.\d+)?|14", version) is not None
