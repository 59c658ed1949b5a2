"""`make pictures`: draw docs/pictures, or those of them that are named.

As root on Linux it is played in the namespaces of the end-to-end tests, by an ordinary account.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable

from tests.e2e.network import Network, why_not
from tests.pictures.scenes import SCENES
from tests.pictures.session import recording
from tests.pictures.studio import HOST, PORTS, Studio
from tests.stage import ROOT

PICTURES = ROOT / "docs" / "pictures"
PLAYED = {**SCENES, "session": recording}
WITHIN = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--json", action="store_true", help="draw here, and print the pictures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PLAYED))
    given = parser.parse_args()
    names = given.names or list(PLAYED)
    if given.json:
        print(json.dumps({name: drawn(name) for name in names}))
        return 0
    PICTURES.mkdir(exist_ok=True)
    pictures = (drawn(name) for name in names) if why_not() else _by_an_account(names)
    for name, picture in zip(names, pictures, strict=True):
        path = PICTURES / f"{name}.svg"
        path.write_text(picture, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


def drawn(name: str) -> str:
    with Studio(PORTS) as studio:
        return PLAYED[name](studio)


def _by_an_account(names: Iterable[str]) -> Iterable[str]:
    with Network() as network:
        passwd = network.path("/etc/passwd")
        passwd.write_text(passwd.read_text().replace("pairhost:", f"{HOST}:"))
        network.root.run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")
        login = ("env", f"--chdir={ROOT}", f"LOGNAME={HOST}", f"USER={HOST}")
        command = (*login, sys.executable, "-m", "tests.pictures", "--json")
        for name in names:
            yield json.loads(network.host.run(*command, name, within=WITHIN).stdout)[name]


if __name__ == "__main__":
    sys.exit(main())
