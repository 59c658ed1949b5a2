"""The host's own `systemd --user`, in control groups of its own and on the test network's /run."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pairingd.core.records import replace
from tests.e2e.network import Network, Place, until

SYSTEMD = "/usr/lib/systemd/systemd"


def why_no_manager() -> str | None:
    if not Path(SYSTEMD).exists() or not shutil.which("systemctl"):
        return "systemd is not installed"
    if not all(os.access(own, os.W_OK) for own in _own_groups()):
        return "no control group can be made here"
    return None


class Manager:
    """Runs from `start` to the end of the network; the host logs in at `place`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        found = network.path(network.host.home).stat()
        self._uid = found.st_uid
        self.runtime = f"/run/user/{self._uid}"
        # Place.prefix ends with env(1)'s assignments.
        self.place = replace(
            network.host, prefix=(*network.host.prefix, f"XDG_RUNTIME_DIR={self.runtime}")
        )

    def start(self) -> None:
        groups = [own / f"pairing-test-{secrets.token_hex(4)}" for own in _own_groups()]
        for group in groups:
            group.mkdir()
            self._network.host.stack.callback(_remove, group)
            for path in (group, group / "cgroup.procs", group / "cgroup.subtree_control"):
                if path.exists():
                    os.chown(path, self._uid, self._uid)
        self._network.root.run("sh", "-euc", _RUN.format(uid=self._uid, runtime=self.runtime))
        # A manager that found itself in the root would move every process of the machine.
        enter = "".join(f"echo 0 >{group}/cgroup.procs; " for group in groups)
        check = "grep -q pairing-test- /proc/self/cgroup; "
        self._network.root.start(
            *("sh", "-euc", f'{enter}{check}exec "$@"', "sh"),
            *self._login(self.place),
            *(SYSTEMD, "--user"),
            log=self._network.path("/srv/systemd.log"),
        )
        until("the manager runs", lambda: self.systemctl("is-system-running", check=False) != "")

    def systemctl(self, *argv: str, check: bool = True) -> str:
        return self.place.run("systemctl", "--user", *argv, check=check).stdout.strip()

    def group_of(self, pid: str) -> str:
        return self.place.run("cat", f"/proc/{pid}/cgroup").stdout

    @staticmethod
    def _login(place: Place) -> tuple[str, ...]:
        """What makes root the host; entering the namespaces has been done."""
        return place.prefix[place.prefix.index("setpriv") :]


_RUN = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system {runtime}
chown {uid}:{uid} {runtime}
chmod 700 {runtime}
"""


def _own_groups() -> Iterator[Path]:
    """Our own group in systemd's hierarchy and, where it is another, in version 2's: cgroups(7)."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            yield Path(f"/sys/fs/cgroup/systemd{path}")
        elif not controllers:
            mixed = Path("/sys/fs/cgroup/unified")
            yield Path(f"{mixed if mixed.exists() else '/sys/fs/cgroup'}{path}")


def _remove(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        until("no process is in it any more", partial(_is_removed, Path(directory)))


def _is_removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True
