"""A Mac for the host: macOS's files, programs, launchd and platform, on the test network (Linux, root).

What is real: sshd, ssh, tmux, miniupnpd, the network and the product. What is not: `programs/` print
what Apple's sources print, `launchd/` is a state machine, and `shim/` changes Python's platform.
"""

from __future__ import annotations

import json
import os
import plistlib
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from pairingd.core.records import replace
from tests.e2e.network import HOST, LAN, REPOSITORY, RUN_FROM, Network, Place, until
from tests.e2e.people import FORGE_CONFIG, Guest, start_forge

HERE: Final = Path(__file__).parent
ROOT: Final = "/srv/mac"
TEMPORARY: Final = "/private/var/folders/xx/k3jd8v9d1y5c2m_000000gn/T"
PATH: Final = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
LABEL: Final = "io.github.pairing.pairingd"
VERSION: Final = "/System/Library/CoreServices/SystemVersion.plist"

# Programs of Linux that no Mac has: what needs one of them fails here as it would there.
LINUX_ALONE: Final = (
    *("systemd-inhibit", "systemctl", "notify-send", "busctl", "wl-copy", "xclip"),
    *("ufw", "firewall-cmd", "nft"),
)

EN0: Final = f"""
addr del 127.0.0.1/8 dev lo
addr add 127.0.0.1/32 dev lo
link set eth0 down
link set eth0 name en0
addr flush dev en0
addr add {HOST}/24 dev en0
link set en0 up
route add default via {LAN}
"""

TREE: Final = """
mkdir -p {root}
mount -t tmpfs -o mode=755 tmpfs {root}
cd {root}
mkdir -p usr proc sys dev opt/homebrew/bin Library Users private/etc private/var/db private/var/empty \
  private/var/run .{temporary} private/tmp srv/etc ov.usr ov.etc System/Library/CoreServices
chmod 1777 private/tmp
for name in etc var tmp; do ln -s private/$name $name; done
for name in bin sbin lib lib64; do [ ! -e /$name ] || ln -s usr/$name $name; done
for name in usr etc; do
  mount -t tmpfs tmpfs ov.$name
  mkdir ov.$name/upper ov.$name/work
done
mount -t overlay -o lowerdir=/usr,upperdir=$PWD/ov.usr/upper,workdir=$PWD/ov.usr/work overlay usr
mount -t overlay -o lowerdir={etc},upperdir=$PWD/ov.etc/upper,workdir=$PWD/ov.etc/work overlay private/etc
ln -s private/var/run run
mkdir -p run/sshd
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs tmpfs proc/sys/kernel/random
for path in {shared}; do
  case $path in /usr/*) continue ;; esac
  mkdir -p ".$path"
  mount --rbind "$path" ".$path"
done
mv usr/bin/tmux opt/homebrew/bin/tmux
for name in {linux_alone}; do rm -f usr/bin/$name usr/sbin/$name; done
cp -R {programs}/usr/. usr/
cp /srv/etc/screen.conf srv/etc/
"""

# Of a .pth file. Coverage takes longer to load than most of our programs.
MEASURES: Final = (
    'import os; "COVERAGE_PROCESS_CONFIG" in os.environ and __import__("coverage.pth_file")'
)
# As `pipx install pairing` leaves it, but for the packages: they are the repository's own.
INSTALLED: Final = """
"$BASE" -m venv --without-pip "$VENV"
site=$(echo "$VENV"/lib/python*/site-packages)
cp "$SHIM" "$site"
printf '%s\\n' "$SITE" "$REPOSITORY" "$MEASURES" "import as_macos" >"$site/pairing.pth"
for name in pairctl pairingd; do
  {
    echo "#!/bin/sh"
    echo "'''exec' \\"$VENV/bin/python\\" \\"\\$0\\" \\"\\$@\\""
    echo "' '''"
    echo "import sys"
    echo "from $name.__main__ import main"
    echo "sys.exit(main())"
  } >"$VENV/bin/$name"
  chmod 755 "$VENV/bin/$name"
done
"""

# One check, without the others and their time.
CHECK: Final = """
import asyncio, json, sys
from pairingd.doctor import __main__ as doctor, daemon
from pairingd.doctor.finding import Subject

async def main(name):
    paths, places, settings = doctor._situation(fix=False)
    subject = Subject(paths, settings, await daemon.ask(paths.control_socket), places)
    [check] = [one for one in doctor.CHECKS if one.name == name]
    print(json.dumps([found.as_json() async for found in check.call(subject)][-1]))

asyncio.run(main(sys.argv[1]))
"""

Json = dict[str, Any]


class Mac:
    """The host's machine, a user with pairing installed by pipx at `place`, and Terminal on it."""

    def __init__(self, network: Network, *, version: str = "15.6") -> None:
        self._network = network
        host = network.host
        identity = network.path(host.home).stat()
        self.uid = identity.st_uid
        self.user = network.path("/etc/passwd").read_text().split(f":x:{self.uid}:")[0]
        self.user = self.user.splitlines()[-1]
        self.home = f"/Users/{self.user}"
        self.support = f"{self.home}/Library/Application Support/pairing"
        self.logs = f"{self.home}/Library/Logs/pairing"
        self.agent = f"{self.home}/Library/LaunchAgents/{LABEL}.plist"
        self.venv = f"{self.home}/Library/Application Support/pipx/venvs/pairing"
        network.root.run("ip", "-batch", "-", given=EN0)
        start_forge(network)
        self._make_tree(version)
        self.place = self._place(host)
        self._install()
        self.place.start(
            *(*self._launchd_program(), "--serve"),
            log=network.path(f"{ROOT}/private/tmp/launchd.log"),
        )
        until("launchd runs", lambda: "ready" in self.read("/private/tmp/launchd.log"))

    # What the person at it does.

    def pairctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.place.run("pairctl", *argv, check=check)

    def asks(self, *argv: str) -> Json:
        """The JSON that `pairctl ARGV --json` prints, of an error too."""
        answer: Json = json.loads(self.pairctl(*argv, "--json", check=False).stdout)
        return answer

    def check(self, name: str) -> Json:
        """What this check of `pairctl doctor` finds; the last where it finds several things."""
        found: Json = json.loads(self.python(CHECK, name).splitlines()[-1])
        return found

    def launchctl(self, *argv: str) -> int:
        return self.place.run("launchctl", *argv, check=False).returncode

    def python(self, code: str, *argv: str) -> str:
        """What `code` prints, run by the environment of pairing as a child of Terminal."""
        return self.place.run(f"{self.venv}/bin/python", "-c", code, *argv).stdout.strip()

    def keys_of(self, guest: Guest) -> str:
        """A file with the guest's public keys, as they have sent it."""
        file = f"{self.home}/{guest.name}.keys"
        self.write(file, self._network.path(f"{guest.key}.pub").read_text())
        return file

    def pid(self) -> int:
        """The daemon's; 0 where none answers."""
        status = self.asks("status")
        return int(status["daemon"]["pid"]) if "daemon" in status else 0

    def kill(self, pid: int, signal: str = "KILL") -> None:
        """Returns when that process is gone."""
        self.place.run("kill", f"-{signal}", str(pid))
        alive = ("kill", "-0", str(pid))
        until("it is gone", lambda: self.place.run(*alive, check=False).returncode)

    def assertions(self) -> str:
        """What keeps it awake."""
        return self.place.run("pmset", "-g", "assertions").stdout

    # What it is set to.

    def configure(self, text: str = "") -> None:
        """GitHub is the test's forge; and what `text` says."""
        self.place.run("mkdir", "-p", "-m", "700", self.support)
        self.write(f"{self.support}/config.toml", FORGE_CONFIG + text)

    def quirks(self, **quirks: object) -> None:
        """Of launchd: see tests/mac/launchd/model.py."""
        self.write("/private/tmp/launchd.quirks", json.dumps(quirks))

    def denies_local_network(self, denied: bool = True) -> None:
        """To what launchd starts from now on."""
        flag = self.path("/private/var/db/local-network-denied")
        flag.touch() if denied else flag.unlink()

    def firewall(self, **states: str) -> None:
        """`state`: 0, 1 or 2; `block_all`: enabled or disabled; `apps`: what --listapps prints."""
        self.place.run("mkdir", "-p", "/private/tmp/firewall")
        for name, state in states.items():
            self.write(f"/private/tmp/firewall/{name}", state)

    # Its files.

    def path(self, inside: str) -> Path:
        return self._network.path(f"{ROOT}{inside}")

    def read(self, inside: str) -> str:
        """Empty where there is no such file."""
        file = self.path(inside)
        return file.read_text() if file.exists() else ""

    def write(self, inside: str, text: str) -> None:
        self.path(inside).write_text(text)

    def left(self) -> list[str]:
        """Files and directories of pairing's in the user's Library."""
        library = self.path(f"{self.home}/Library")
        found = (path.relative_to(library) for path in library.rglob("*pairing*"))
        return sorted(str(path) for path in found if "pipx" not in path.parts)

    def _make_tree(self, version: str) -> None:
        script = TREE.format(
            root=ROOT,
            temporary=TEMPORARY,
            etc="/etc",
            shared=shlex.join(str(path) for path in dict.fromkeys(RUN_FROM)),
            linux_alone=" ".join(LINUX_ALONE),
            programs=HERE / "programs",
        )
        self._network.root.run("bash", "-euc", script)
        client = f'#!/bin/sh\nexec {shlex.join(self._launchd_program())} "$@"\n'
        self.write("/usr/bin/launchctl", client)
        self.path("/usr/bin/launchctl").chmod(0o755)
        self.path(VERSION).write_bytes(plistlib.dumps({"ProductVersion": version}))
        passwd = self.read("/etc/passwd").replace("/srv/host:", f"{self.home}:")
        self.write("/private/etc/passwd", passwd)
        for directory in (self.home, TEMPORARY):
            self.path(directory).mkdir(parents=True, exist_ok=True)
            os.chown(self.path(directory), self.uid, self.uid)

    def _place(self, host: Place) -> Place:
        at = host.prefix.index("setpriv")
        login = (
            f"--chdir={self.home}" if word.startswith("--chdir=") else word
            for word in host.prefix[at:]
        )
        environment = (
            f"HOME={self.home}",
            f"TMPDIR={TEMPORARY}/",
            f"PATH={PATH}",
            "SHELL=/bin/bash",
        )
        prefix = (*host.prefix[:at], "chroot", ROOT, *login, *environment)
        return replace(host, prefix=prefix, home=self.home)

    def _install(self) -> None:
        self.place.run("mkdir", "-m", "700", f"{self.home}/Library")
        self.place.run(
            *("env", f"BASE={self._base_python()}", f"VENV={self.venv}"),
            *(f"SHIM={HERE}/shim/as_macos.py", f"REPOSITORY={REPOSITORY}"),
            f"SITE={next(Path(sys.prefix).glob('lib/python*/site-packages'))}",
            f"MEASURES={MEASURES}",
            *("bash", "-euc", INSTALLED),
        )
        for name in ("pairctl", "pairingd"):
            self.path(f"/opt/homebrew/bin/{name}").symlink_to(f"{self.venv}/bin/{name}")

    def _launchd_program(self) -> tuple[str, ...]:
        """By a Python that is not made to look like a Mac's."""
        there = ("env", f"PYTHONPATH={REPOSITORY}", self._base_python())
        return (*there, "-m", "tests.mac.launchd")

    @staticmethod
    def _base_python() -> str:
        return str(Path(sys.base_prefix) / "bin" / "python3")
