"""A machine with an /etc, homes and places for files of its own, for `pairctl account`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.e2e.network import RUN_FROM, Network, emptied

HOST: Final = "pairhost"
ROOT: Final = "/var/lib/pairing"
RULE: Final = "/etc/sudoers.d/pairing-pair"
PROGRAMS: Final = f"{ROOT}/pair/programs"
NEEDS: Final = ("sudo", "visudo", "setfacl", "getfacl", "useradd", "userdel")
# Their own, so that nothing of the machine's is changed, and all that is there is seen.
EMPTY: Final = ("/home", "/var/lib", "/var/mail", "/var/spool", "/var/tmp", "/dev/shm", "/tmp")
ACCOUNTS: Final = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
# All of it: kind, mode, owner and the content of files; but for a key, for the time of a change, and
# for the day of a password (shadow(5)), which may be the next one.
LISTING: Final = f"""
for file in {" ".join(ACCOUNTS)}; do echo "== $file"; sed -E s/:[0-9]+:0:99999:/:DAY:0:99999:/ /etc/$file; done
find /etc/sudoers.d {" ".join(EMPTY)} -xdev -printf '%y %m %u %g %p %l\\n' | sort
find /etc/sudoers.d {" ".join(EMPTY)} -xdev -type f ! -name 'host_ed25519*' | sort | xargs -r -d '\\n' cat
"""
STOPPED: Final = """
import sys
from pairctl.accounts import create, facts, remove, shares
from pairctl.services import steps
action, number, *directories = sys.argv[1:]
account = facts.named("pair")
found = facts.observe(account, facts.host())
if action == "create":
    record = facts.programs(found.record.host)._replace(shared=tuple(directories))
    plan = create.steps(found._replace(record=record))
else:
    plan = remove.steps(found)
steps.perform(plan[:int(number)], "")
print(len(plan))
"""


DOCTOR: Final = """
import asyncio, json
from pairingd.home.config import Config, Settings
from pairingd.doctor.account import check
from pairingd.doctor.daemon import Daemon
from pairingd.doctor.finding import Subject
async def found():
    subject = Subject(None, Settings(Config(), ""), Daemon())
    return [one.as_json() async for one in check(subject)]
[one] = asyncio.run(found())
print(json.dumps(one))
"""


class Machine:
    """The network's host, with people in /etc, and homes and places for files of its own."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.root, self.host = network.root, network.host
        self.sh(f"""
            {emptied([Path(place) for place in EMPTY], *RUN_FROM)}
            chmod 1777 /tmp /var/tmp /dev/shm
            mkdir /var/lib/sudo
            for name in host guest relay; do echo "pair$name:!::"; done >>/etc/gshadow
            getent passwd pair && exit 1
            true
        """)

    def sh(self, script: str, check: bool = True) -> str:
        return self.root.run("sh", "-ec", script, check=check).stdout

    def sudo(
        self, *words: str, user: str = HOST, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """`sudo pairctl account WORDS`, run by that user."""
        return self.root.run(f"SUDO_USER={user}", "pairctl", "account", *words, check=check)

    def asks(self, *words: str, user: str = HOST) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.sudo(*words, "--json", user=user, check=False).stdout
        )
        return answer

    def refused(self, *words: str, user: str = HOST) -> str:
        """The code."""
        before = self.listing()
        code: str = self.asks(*words, user=user)["error"]["code"]
        assert self.listing() == before, "a refused command changes nothing"
        return code

    def stops_after(self, number: int, action: str, *directories: str) -> int:
        """`action` killed after so many steps; how many there are."""
        words = (f"SUDO_USER={HOST}", "python", "-c", STOPPED, action, str(number))
        return int(self.root.run(*words, *directories).stdout)

    def listing(self) -> str:
        return self.sh(LISTING)

    def as_pair(self, *words: str) -> subprocess.CompletedProcess[str]:
        become = ("setpriv", "--reuid=pair", "--regid=pair", "--clear-groups")
        return self.root.run(*become, *words, check=False)

    def runs(self, *words: str) -> subprocess.CompletedProcess[str]:
        """By sudo, as the account, run by the host."""
        return self.host.run("sudo", "-n", "-u", "pair", *words, check=False)
