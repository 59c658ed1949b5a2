"""Every way in: how the host sets it up, and in which layouts of the internet a guest gets in by it.

A new way is one more entry of WAYS; a new layout is one more of LAYOUTS, and its name in `opens`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from tests.e2e.internet import LAYOUTS, RELAY, RELAY6, Internet, Layout
from tests.e2e.people import Guest
from tests.e2e.relays import PORT, known

GUESTS_PORT: Final = 40022
NO_ROUTER: Final = "[router]\nenabled = false\n"
EVERYWHERE: Final = frozenset(layout.name for layout in LAYOUTS if layout.relay)


class Way(Struct, frozen=True):
    """`kinds` of its endpoints; `config` prepares it and gives its lines of config.toml. `opens` are
    the names of the layouts in which the guest gets in. `options` are of `pairctl invite`. `renews`:
    each command is for one connection.
    """

    name: str
    about: str
    kinds: frozenset[str]
    config: Callable[[Internet, Guest], str]
    opens: frozenset[str]
    options: Callable[[Layout], tuple[str, ...]] = lambda _: ()
    renews: bool = False


def own_address(_: Internet, __: Guest) -> str:
    return NO_ROUTER


def mapping(protocol: str) -> Callable[[Internet, Guest], str]:
    """On the first router alone."""
    keys = f'protocols = ["{protocol}"]\nsecond_gateway = "off"\n'
    return lambda _, __: f"[router]\n{keys}"


def usual(_: Internet, __: Guest) -> str:
    return "[router]\n"


def relay(join: str) -> Callable[[Internet, Guest], str]:
    def config(internet: Internet, guest: Guest) -> str:
        if internet.layout.relay and join == "jump":
            lets_jump(internet, guest)
        bind = "::" if ":" in internet.layout.relay else "0.0.0.0"
        keys = f'ssh = "relay"\njoin = "{join}"\nport = {GUESTS_PORT}\nbind = "{bind}"\n'
        return f"{NO_ROUTER}[relay]\n{keys}"

    return config


def relay_command(internet: Internet, _: Guest) -> str:
    """A program that tells where it leads in, as other tunnels' programs do."""
    address = internet.layout.relay
    host = f"[{address}]" if ":" in address else address
    bind = "[::]" if ":" in address else "0.0.0.0"
    forward = f"-o ExitOnForwardFailure=yes -R {bind}:{GUESTS_PORT}:127.0.0.1:{{port}}"
    says = f"echo tcp://{host}:{GUESTS_PORT}; exec sleep infinity"
    run = f"ssh {forward} relay '{says}'"
    pattern = r"tcp://\\[?(?P<host>[0-9a-f.:]+?)\\]?:(?P<port>[0-9]+)$"
    return f'{NO_ROUTER}[relay.command]\nrun = "{run}"\nsays = "{pattern}"\n'


def hole(internet: Internet, _: Guest) -> str:
    return f'[router]\nprotocols = ["natpmp"]\n{stun(internet)}'


def dial(internet: Internet, _: Guest) -> str:
    return NO_ROUTER + stun(internet)


def from_guest(layout: Layout) -> tuple[str, ...]:
    """By the guest's IPv6 address where the host has no IPv4."""
    return "--from", "2a00:9::2" if layout.relay == RELAY6 else "5.5.9.2"


def stun(internet: Internet) -> str:
    """A STUN server at the relay, where the layout has one."""
    if not internet.layout.relay:
        return ""
    server = f"{RELAY}:3478"
    log = internet.path("/srv/stun.log")
    internet.at("relay").start("python", "-m", "tests.fakes.stun", "--listen", server, log=log)
    return f'[cgnat]\nstun = "{server}"\n'


def lets_jump(internet: Internet, guest: Guest) -> None:
    """The guest has an account at the relay, and knows it."""
    with internet.path("/srv/relay/.ssh/authorized_keys").open("a") as keys:
        keys.write(internet.path(f"{guest.key}.pub").read_text())
    internet.guest.run("mkdir", "-p", "-m", "700", ".ssh")
    address = internet.layout.relay
    internet.path("/srv/guest/.ssh/known_hosts").write_text(known(internet, address))
    host = f"Host {address}\nPort {PORT}\nIdentityFile {guest.key}\n"
    internet.path("/srv/guest/.ssh/config").write_text(host)


WAYS: Final = (
    Way(
        "own address",
        "this machine's own address, with no router asked: a public one, or on the guest's network",
        frozenset({"direct", "lan"}),
        own_address,
        frozenset({"public address", "public IPv6 address", "no router"}),
    ),
    *(
        Way(
            title,
            f"a port that the router opens by {title}",
            frozenset({"router"}),
            mapping(protocol),
            frozenset({"NAT"}),
        )
        for title, protocol in (("PCP", "pcp"), ("NAT-PMP", "natpmp"), ("UPnP", "upnp"))
    ),
    Way(
        "both routers",
        "a port of the router, and one of the router in front of it if there is one, by any protocol",
        frozenset({"router"}),
        usual,
        frozenset({"NAT", "double NAT, both speak"}),
    ),
    Way(
        "pinhole",
        "IPv6, and a port that the router's firewall lets through",
        frozenset({"ipv6"}),
        usual,
        frozenset({"IPv6 only", "IPv6 and CGNAT"}),
    ),
    Way(
        "relay, port",
        "a port of a machine of the host's on the internet",
        frozenset({"relay"}),
        relay("port"),
        EVERYWHERE,
    ),
    Way(
        "relay, jump",
        "any account with sshd's defaults, through which the guest jumps",
        frozenset({"jump"}),
        relay("jump"),
        EVERYWHERE,
    ),
    Way(
        "relay, command",
        "a tunnel by another program",
        frozenset({"relay"}),
        relay_command,
        EVERYWHERE,
    ),
    Way(
        "hole",
        "a hole in the provider's NAT, kept open by a connection to a STUN server",
        frozenset({"cgnat"}),
        hole,
        frozenset({"full-cone CGNAT"}),
    ),
    Way(
        "dial",
        "`--from ADDRESS`: the host connects to the guest, who connects at the same time",
        frozenset({"dial"}),
        dial,
        # Where neither side has a NAT, each resets the connection of whoever is early.
        EVERYWHERE - {"public address", "public IPv6 address"},
        from_guest,
        renews=True,
    ),
)
