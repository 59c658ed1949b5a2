"""`pairctl invite` against the same work by hand, at a real miniupnpd (namespaces; Linux, root)."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from tests.benchmarks.figure import Figure, interleaved
from tests.e2e.network import DESCRIPTION_URL, HOST, Network, Place, until
from tests.e2e.people import CONFIG, Guest, Host

ROUNDS = 3
# Nothing but the forge is configured; the router is found by the first invitation.
UPNP = CONFIG.partition("[router]")[0] + '[router]\nprotocols = ["upnp"]\n'
DEFAULT = CONFIG.partition("[router]")[0]
BY_HAND = f"""
curl -s http://127.0.0.1:8000/octocat.keys >authorized_keys
upnpc {{options}} -a {HOST} 8822 22 TCP
tmux -S hand.sock new-session -d
echo ssh pairhost@5.5.5.1
"""
WHAT = "pairctl invite, gateway known"


def measure(network: Network) -> list[Figure]:
    host = Host(network, network.host)
    Guest(network, "octocat")

    def invite() -> float:
        taken = _timed(network.host, "env", f"PAIRING_HOME={host.home}", *_INVITE)
        host.pairctl("end")
        host.tmux("kill-server")
        until("nothing is left", lambda: _nothing(network, host))
        return taken

    def by_hand(options: str) -> Callable[[], float]:
        def sample() -> float:
            script = BY_HAND.format(options=options)
            taken = _timed(network.host, "sh", "-e", "-c", script)
            network.host.run("upnpc", "-u", DESCRIPTION_URL, "-d", "22", "TCP")
            network.host.run("tmux", "-S", "hand.sock", "kill-server")
            return taken

        return sample

    def ready(config: str) -> float:
        host.pairctl("stop", check=False)
        host.configure(config)
        host.pairctl("start")
        return invite()

    ready(DEFAULT)
    quick = [invite() for _ in range(ROUNDS)]
    ready(UPNP)
    ours, found, named = interleaved(ROUNDS, invite, by_hand(""), by_hand(f"-u {DESCRIPTION_URL}"))
    host.pairctl("stop")
    by = "curl, upnpc, tmux by hand"
    return [
        Figure(f"{WHAT}, UPnP", median(ours), "s", by, median(found), most=1.0, most_ratio=0.5),
        Figure(f"{WHAT}, PCP", median(quick), "s", by, median(found), most=1.0, most_ratio=0.5),
        Figure(f"{WHAT}, beside upnpc -u", median(ours), "s", f"{by}, upnpc -u", median(named)),
    ]


_INVITE = ("pairctl", "invite", "octocat", "--ttl", "1h", "--no-copy")
_TIMED = '"$@" >said 2>&1 </dev/null || { cat said >&2; exit 1; }'


def _timed(place: Place, *argv: str) -> float:
    """Seconds that the command takes, without what it takes to get into the namespaces."""
    clock = f"a=$EPOCHREALTIME; {_TIMED}; b=$EPOCHREALTIME; echo $a $b"
    began, ended = place.run("bash", "-c", clock, "bash", *argv).stdout.split()
    return float(ended) - float(began)


def _nothing(network: Network, host: Host) -> object:
    session = ("tmux", "-S", f"{host.home}/tmux.sock", "has-session")
    return not network.mappings() and network.host.run(*session, check=False).returncode
