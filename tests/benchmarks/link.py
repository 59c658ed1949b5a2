"""First paint over a link with 20 ms a leg, through the router (namespaces; Linux, root)."""

from __future__ import annotations

import shutil

from tests.benchmarks.figure import Figure
from tests.benchmarks.ssh import first_paints
from tests.e2e.network import DESCRIPTION_URL, HOST, Network, Place, until
from tests.e2e.people import Guest, Host

LEG_MS = 20
ROUNDS = 6
WHERE = f", {2 * LEG_MS} ms away"
WHAT = f"ssh start to first paint{WHERE}"
_DOOR, _PLAIN = 22, 8822  # at the router


def measure(network: Network) -> list[Figure]:
    host = Host(network, network.host)
    guest = Guest(network, "octocat")
    host.invites(guest)
    host.tmux("set-option", "-g", "status", "off")
    _start_plain_sshd(network, host, guest)

    def out() -> None:
        """nsenter ends at the end of a terminal, ssh in the namespace does not."""
        for name in _terminals(host):
            host.tmux("detach-client", "-t", name)
        until("nobody is in the session", lambda: not _terminals(host))

    both = (_ssh(network.guest, guest, _DOOR), _ssh(network.guest, guest, _PLAIN))
    try:
        return first_paints(both, {}, WHERE, out, ROUNDS)
    finally:
        host.pairctl("stop")


def _terminals(host: Host) -> list[str]:
    listed = host.tmux("list-clients", "-F", "#{?client_control_mode,,#{client_name}}")
    return listed.split()


def _ssh(place: Place, guest: Guest, port: int) -> tuple[str, ...]:
    return (
        *(*place.prefix, "ssh", "-F", "none", "-p", str(port), "-i", guest.key),
        *("-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no"),
        *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "pairhost@5.5.5.1"),
    )


def _start_plain_sshd(network: Network, host: Host, guest: Guest) -> None:
    """One that listens itself, with our own sshd_config, behind a mapping of its own."""
    tmux = f"{shutil.which('tmux')} -N -u -S {host.home}/tmux.sock"
    attach = f'restrict,pty,command="{tmux} attach-session -E -f ignore-size -t =pairing" '
    keys = f"{host.home}/plain_keys"
    public = network.path(f"{guest.key}.pub").read_text()
    network.path(keys).write_text(attach + public)
    ours = network.path(f"{host.home}/sshd_config").read_text()
    config = f"{host.home}/plain_config"
    network.path(config).write_text(
        f"ListenAddress {HOST}:{_PLAIN}\n"
        + ours.replace(f'"{host.home}/authorized_keys"', f'"{keys}"')
    )
    log = network.path("/srv/plain.log")
    network.host.start("/usr/sbin/sshd", "-D", "-e", "-f", config, log=log)
    add = ("upnpc", "-u", DESCRIPTION_URL, "-a", HOST, str(_PLAIN), str(_PLAIN), "TCP")
    network.host.run(*add)
    until("a plain sshd", lambda: network.reaches(_PLAIN))
