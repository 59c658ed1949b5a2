"""A machine of the host's elsewhere: a real sshd, where their user logs in without a question."""

from __future__ import annotations

import shutil

from tests.e2e.network import PATH, RELAY, Network, Place, until
from tests.logins import EXCHANGE

PORT = 2222
SSHD = f"""
Port {PORT}
HostKey {{home}}/host_key
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
KexAlgorithms {EXCHANGE}
"""
SSH = f"""
Host relay
HostName {{address}}
Port {PORT}
User {{user}}
"""


def serves_ssh(
    network: Network, *settings: str, address: str = RELAY, place: Place | None = None
) -> None:
    """By `ssh relay` from the host, at `place`. `settings` are lines of its sshd_config."""
    place = place or network.relay
    its_key, ours = f"{place.home}/host_key", "/srv/host/.ssh/id_ed25519"
    for owner, key in ((place, its_key), (network.host, ours)):
        if not network.path(f"{owner.home}/.ssh").exists():
            network.makes_directory(owner, f"{owner.home}/.ssh")
        network.makes_key(owner, key)
    user = place.run("id", "-un").stdout.strip()
    for path, text in {
        f"{place.home}/.ssh/authorized_keys": network.path(f"{ours}.pub").read_text(),
        f"{place.home}/sshd_config": "\n".join([SSHD.format(home=place.home), *settings, ""]),
        "/srv/host/.ssh/known_hosts": known(network, address, place),
        "/srv/host/.ssh/config": SSH.format(address=address, user=user),
    }.items():
        network.path(path).write_text(text)
    sshd = str(shutil.which("sshd", path=PATH))
    log = network.path(f"{place.home}/log")
    place.start(sshd, "-D", "-e", "-f", f"{place.home}/sshd_config", log=log)
    until("the relay's sshd answers", lambda: network.greets(place, address, PORT))


def known(network: Network, address: str, place: Place | None = None) -> str:
    """Its line of a known_hosts file."""
    home = (place or network.relay).home
    return f"[{address}]:{PORT} {network.path(f'{home}/host_key.pub').read_text()}"
