"""Which boxes this machine can make, for `pairctl invite --box`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from pairingd.box import bubblewrap, plan, scope
from pairingd.box import filter as forbidden
from pairingd.doctor.command import output
from pairingd.doctor.finding import Finding, State, Subject, home
from pairingd.errors import PairingError
from pairingd.replies import report

# Settings that forbid unprivileged user namespaces, the value that does, and the remedy.
_FORBIDS = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "an AppArmor profile for bwrap, or: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=10000"),
)


async def check(subject: Subject) -> AsyncIterator[Finding]:
    """Never fails: a machine that cannot make a box is fine without one."""
    if sys.platform != "linux":
        yield _shares(subject) or Finding.ok("box", "by sandbox-exec; not tried on macOS yet")
        return
    bwrap = shutil.which("bwrap")
    if not bwrap:
        yield Finding.ok("box", "none: bwrap is not on PATH (apt install bubblewrap)")
        return
    trial = await output(*bubblewrap.trial(bwrap))
    if trial is None or trial[0]:
        last_line = trial[1].strip().splitlines()[-1:] if trial else []
        yield Finding.warn(
            "box", f"bwrap makes none here: {''.join(last_line) or 'no reason'}", _remedy()
        )
        return
    if problem := _filter() or _shares(subject):
        yield problem
        return
    network = subject.settings.config.box.network
    if network == "internet" and (problem := _pasta()):
        yield problem
        return
    if network == "full" and not scope.is_available():
        yield Finding.warn(
            "box",
            'with network = "full" a guest reaches abstract sockets, such as X11\'s',
            "a kernel of 6.12 or later closes them; or set [box] network to another value",
        )
        return
    version = await output(bwrap, "--version")
    program = version[1].strip() if version else bwrap
    yield Finding.ok("box", f"{program}, network {network}")


def _shares(subject: Subject) -> Finding | None:
    """What `invite --box` would refuse of the configuration, whichever directory it shares."""
    settings = report.box_settings(subject.settings.config.box)
    own = subject.paths.directories if subject.paths else ()
    try:
        plan.judged((), settings, own, plan.our_programs(), str(home()))
    except PairingError as refused:
        return Finding.of("box", refused, State.WARN)
    return None


def _filter() -> Finding | None:
    try:
        with Path(os.devnull).open("wb") as nowhere:
            forbidden.write(nowhere)
    except OSError as error:
        return Finding.warn("box", f"none can be made: {error.strerror}", forbidden.INSTALL)
    return None


def _pasta() -> Finding | None:
    if not shutil.which("pasta"):
        missing = 'network = "internet" needs pasta, which is not on PATH'
        return Finding.warn("box", missing, "apt install passt, or set [box] network")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        closed = "pasta cannot open /dev/net/tun"
        return Finding.warn("box", closed, "sudo chmod 666 /dev/net/tun, as udev has it")
    return None


def _remedy() -> str:
    for setting, value, remedy in _FORBIDS:
        try:
            if Path(setting).read_text(encoding="ascii").strip() == value:
                return remedy
        except OSError:
            continue
    return "see user_namespaces(7); bwrap needs an unprivileged one"
