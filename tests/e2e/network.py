"""A guest, a home router and a host, each in a network namespace of its own (Linux, root).

    guest 5.5.5.2 ── wan0 5.5.5.1 │ router │ 192.168.77.1 lan0 ── host 192.168.77.10

The router is the real miniupnpd over nftables, with NAT and a firewall. Its outer address only has
to look public: miniupnpd does not forward behind the reserved ones (RFC 1918, RFC 5737 …). At
5.5.5.3 there may be one machine more, for a relay; then it holds the switch between the others.

Nothing outlives the process that made a Network, however that process ends: the namespaces have
no names, all that runs in them is in one PID namespace, and a parent-death signal ends its first
process. Files are on a tmpfs at /srv, in a mount namespace with an /etc of its own, where PEOPLE
have accounts, and a /dev/pts as a login machine has it.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import itertools
import os
import platform
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, Self, TypeVar

from msgspec import Struct

from tests.measured import measured
from tests.namespaces import in_network
from tests.tmux_control import NO_PASTE, Control
from tests.waiting import WAIT_S, looks

T = TypeVar("T")

REPOSITORY: Final = Path(__file__).resolve().parents[2]
# Of the tests, pairctl and Python.
RUN_FROM: Final = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))
PEOPLE: Final = ("host", "guest", "relay")  # users of their own, named pairhost and so on
WITH_HANGUP: Final = ("--default-signal=HUP",)  # of env(1): the tests may run under nohup
WAN: Final = "5.5.5.1"
GUEST: Final = "5.5.5.2"
RELAY: Final = "5.5.5.3"
OFFICE_WAN: Final = "5.5.6.1"
LAN: Final = "192.168.77.1"
HOST: Final = "192.168.77.10"
HOST6: Final = "2001:db8:77::10"
NEIGHBOUR: Final = "192.168.77.11"
DESCRIPTION: Final = "/rootDesc.xml"
DESCRIPTION_URL: Final = f"http://{LAN}:5000{DESCRIPTION}"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS: Final = (
    *("unshare", "nsenter", "setpriv", "mount", "pgrep", "ps", "ip", "ss", "nft", "sysctl"),
    *("miniupnpd", "upnpc", "curl", "nc", "tmux", "ssh", "sshd", "ssh-keygen", "sftp"),
)

# The first process of the PID namespace: with SIGCHLD ignored the kernel reaps every orphan. A shell
# would have a handler of its own for it (dash).
INIT: Final = "echo ready; exec env --ignore-signal=CHLD sleep infinity"

WIRE: Final = {"router": "link add wan0 type veth peer name eth0 netns {guest}"}

SWITCH: Final = {
    "relay": f"""
        link set lo up
        link add eth0 type bridge
        link add router type veth peer name wan0 netns {{router}}
        link add guest type veth peer name eth0 netns {{guest}}
        link set router master eth0
        link set guest master eth0
        addr add {RELAY}/24 dev eth0
        link set router up
        link set guest up
        link set eth0 up
    """,
}

LINKS: Final = {
    "router": f"""
        link set lo up
        link add lan0 type veth peer name eth0 netns {{host}}
        addr add {{wan}}/24 dev wan0
        addr add {LAN}/24 dev lan0
        addr add 2001:db8:1::1/64 dev wan0 nodad
        addr add 2001:db8:77::1/64 dev lan0 nodad
        link set wan0 up
        link set lan0 up
    """,
    "guest": f"""
        link set lo up
        addr add {GUEST}/24 dev eth0
        addr add 2001:db8:1::2/64 dev eth0 nodad
        link set eth0 up
        route add default via {WAN}
        route add default via 2001:db8:1::1
    """,
    "host": f"""
        link set lo up
        addr add {HOST}/24 dev eth0
        addr add {HOST6}/64 dev eth0 nodad
        link set eth0 up
        route add default via {LAN}
        route add default via 2001:db8:77::1
    """,
}

# A second router with the same numbers on its LAN, and a cable of the host's to it.
OFFICE_LINKS: Final = {
    "office": f"""
        link set lo up
        link add wan0 type veth peer name eth1 netns {{guest}}
        link add lan0 type veth peer name away netns {{host}}
        addr add {OFFICE_WAN}/24 dev wan0
        addr add {LAN}/24 dev lan0
        link set wan0 up
        link set lan0 up
    """,
    "guest": """
        addr add 5.5.6.2/24 dev eth1
        link set eth1 up
    """,
}

MOVE: Final = f"""
link set eth0 down
addr flush dev eth0
link set eth0 name elsewhere
link set away name eth0
link set elsewhere name away
addr add {HOST}/24 dev eth0
link set eth0 up
route add default via {LAN}
"""

FIREWALL: Final = """
table inet filter {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "lan0" oifname "wan0" accept
    ip6 nexthdr icmpv6 accept
    jump miniupnpd
  }
  chain prerouting {
    type nat hook prerouting priority -100;
    jump prerouting_miniupnpd
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    jump postrouting_miniupnpd
    meta nfproto ipv4 oifname "wan0" masquerade
  }
}
"""

NO_PCP6: Final = """
table ip6 silence {
  chain input {
    type filter hook input priority 0;
    udp dport 5351 drop
  }
}
"""

MINIUPNPD: Final = """
ext_ifname=wan0
listening_ip=lan0
http_port=5000
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
system_uptime=no
lease_file=/srv/router/leases
uuid=11111111-2222-3333-4444-555555555555
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
"""

SCREEN: Final = """
set -g status off
set -g remain-on-exit on
set -g remain-on-exit-format ''
set -g default-terminal xterm-256color
"""


def why_not() -> str | None:
    """Why this machine cannot have such a network, or None."""
    if platform.system() != "Linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if missing:
        return f"not installed: {' '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--ipc", "--net", "--pid", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"this root may not: {tried.stderr.strip()}" if tried.returncode else None


def until(
    what: str, look: Callable[[], T], fits: Callable[[T], object] = bool, *, within: float = WAIT_S
) -> T:
    """The first answer of `look` that `fits`; AssertionError with the last one otherwise."""
    seen = None
    for _ in looks(within):
        if fits(seen := look()):
            return seen
    raise AssertionError(f"not within {within} s: {what}; last seen:\n{seen}")


class Place(Struct, frozen=True):
    """Where a command runs: a network namespace and a user. `prefix` gets it there."""

    prefix: tuple[str, ...]
    home: str
    stack: ExitStack  # what ends with the network

    def run(
        self, *argv: str, check: bool = True, within: float = WAIT_S, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.prefix, *argv],
            input=given,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr}"
            raise AssertionError(f"{shlex.join(argv)} ended with {done.returncode}:\n{said}")
        return done

    def start(self, *argv: str, log: Path) -> subprocess.Popen[bytes]:
        """In the background, until the network goes; both outputs go to `log`."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*self.prefix, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.stack.callback(process.wait)
        return process

    def terminal(self, *argv: str, columns: int = 80, lines: int = 24) -> Terminal:
        return Terminal(self, argv, columns, lines)

    @property
    def network(self) -> str:
        """The file of its network namespace."""
        return next(word for word in self.prefix if word.startswith("--net=")).partition("=")[2]

    def connects(self, host: str, port: int) -> socket.socket:
        """From here, within two seconds. Raises OSError."""
        with in_network(self.network):
            return socket.create_connection((host, port), 2)


class Terminal:
    """A person at a terminal with one command in it. The terminal is a tmux of its own."""

    _numbers = itertools.count()

    def __init__(self, place: Place, argv: tuple[str, ...], columns: int, lines: int) -> None:
        self._place = place
        self._socket = f"{place.home}/terminal-{next(self._numbers)}"
        size = ("-x", str(columns), "-y", str(lines))
        # tmux 3.3 at times misses the end of a pane's command, so a shell notes its status.
        note = (f'unset TMUX TMUX_PANE; "$@"; echo $? >{self._socket}.status', "sh", *argv)
        made = ("new-session", "-d", *size, "sh", "-c", *note)
        place.run("tmux", "-f", "/srv/etc/screen.conf", "-S", self._socket, *made)
        self._control = Control(self._socket, place.prefix)
        place.stack.callback(self._control.close)

    def type(self, text: str) -> None:
        self._control.send_keys("-l", text)

    def press(self, *keys: str) -> None:
        self._control.send_keys(*keys)

    def enter(self, line: str) -> None:
        self.type(line)
        self.press("Enter")

    def screen(self) -> str:
        return self._control.run("capture-pane", "-p")

    def shows(self, text: str, *, within: float = WAIT_S) -> None:
        until(f"{text!r} on the screen", self.screen, lambda seen: text in seen, within=within)

    def recorded(self) -> Callable[[str], bool]:
        """Whether a text has been on this terminal, from now on: a message goes within seconds."""
        record = f"{self._socket}.record"
        self._control.run("pipe-pane", f"cat >{record}")

        def has_shown(text: str) -> bool:
            return not self._place.run("grep", "-aqF", text, record, check=False).returncode

        return has_shown

    def is_full_screen(self) -> bool:
        """Whether a program has the terminal's alternate screen, as tmux's client does."""
        return self._control.run("display-message", "-p", "#{alternate_on}").strip() == "1"

    def ends(self, *, within: float = WAIT_S) -> int:
        """The command's exit status, once it has ended."""
        note = ("cat", f"{self._socket}.status")
        ended = partial(self._place.run, *note, check=False)
        done = until("the command has ended", ended, lambda note: note.stdout, within=within)
        return int(done.stdout)


class Network:
    """The network, from `with` to its end.

    `upnp`: whether the router has a mapping service. `leases`: lines of miniupnpd's lease_file,
    mappings that stand there before anyone asks (PROTO:ext port:address:port:expiry:description).
    `conf` and `options` are miniupnpd's. `office`: there is a second router to move to.
    `relay`: there is a machine to put a relay on. `leg_ms`: how long each way between the guest and
    the router takes, without a relay.
    """

    def __init__(
        self,
        *,
        upnp: bool = True,
        wan: str = WAN,
        leases: str = "",
        conf: str = MINIUPNPD,
        options: tuple[str, ...] = (),
        office: bool = False,
        relay: bool = False,
        leg_ms: int = 0,
    ) -> None:
        self._upnp = upnp
        self._wan = wan
        self._leases = leases
        self._conf = conf
        self._options = options
        self._office = office
        self._relay = relay
        self._leg_ms = leg_ms
        self._first = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._namespaces()
            self._files()
            self._links()
            if self._upnp:
                self.start_upnp()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._first:
            # The kernel ends all processes of the namespace with its first one. Those whose
            # parents are outside are reaped there, so these are waited for, not killed.
            os.kill(self._first, signal.SIGKILL)
        self._stack.close()

    def path(self, inside: str) -> Path:
        """A file inside the network's mount namespace, as this process reaches it."""
        return Path(f"/proc/{self._world}/root{inside}")

    def start_upnp(self) -> None:
        """Starts miniupnpd and waits until it answers."""
        self._start_upnp(self.router, "/srv/router")
        until("the router answers", self._answers)

    def _start_upnp(self, place: Place, home: str) -> None:
        place.run("nft", "-f", "-", given=f"flush ruleset\n{FIREWALL}")
        place.start(
            *("miniupnpd", "-d", "-f", f"{home}/conf", "-P", f"{home}/pid", *self._options),
            log=self.path(f"{home}/log"),
        )

    def _answers(self) -> bool:
        if "enable_upnp=yes" in self._conf:
            return describes_itself(self.host, LAN)
        with in_network(self.host.network), socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.3)
            with contextlib.suppress(OSError):
                asking.connect((LAN, 5351))
                asking.send(bytes(2))  # for the external address, RFC 6886 3.2
                return bool(asking.recv(64))
        return False

    def stop_upnp(self) -> None:
        """Ends miniupnpd without its help: it forgets nothing and says goodbye to nobody."""
        self.router.run("kill", "-KILL", self.path("/srv/router/pid").read_text().strip())
        self.path("/srv/router/pid").unlink()

    def upnp_seconds(self) -> int:
        """How long miniupnpd has been running."""
        pid = self.path("/srv/router/pid").read_text().strip()
        return int(self.router.run("ps", "-o", "etimes=", "-p", pid).stdout)

    def restart_upnp(self) -> None:
        """As a router does that loses power: its mappings are gone."""
        self.stop_upnp()
        self.path("/srv/router/leases").write_text("")
        self.start_upnp()

    def moves(self) -> None:
        """Plugs the host into the other one of the two routers."""
        self.root.run("ip", "-batch", "-", given=MOVE)

    def routes_by_link_local_address(self) -> None:
        """The host's way out over IPv6, as most home routers announce theirs."""
        shown = ("ip", "-6", "-o", "addr", "show", "dev", "lan0", "scope", "link", "-tentative")
        [address] = until(
            "the router has a link-local address",
            lambda: re.findall(r"fe80:[\da-f:]+", self.router.run(*shown).stdout),
        )
        route = ("ip", "-6", "route", "replace", "default", "via", address, "dev", "eth0")
        self.root.run(*route)

    def silences_pcp(self) -> None:
        """Over IPv6, where miniupnpd 2.3.1 answers to PCP whatever its configuration says."""
        self.router.run("nft", "-f", "-", given=NO_PCP6)

    def turns_around(self, port: int) -> None:
        """From here on the host, too, reaches its `port` by the router's outer address and 22."""
        for rule in (
            f"prerouting iifname lan0 ip daddr {WAN} tcp dport 22 dnat ip to {HOST}:{port}",
            "postrouting iifname lan0 oifname lan0 masquerade",
            "forward iifname lan0 oifname lan0 accept",
        ):
            self.router.run("nft", *shlex.split(f"add rule inet filter {rule}"))

    def stops_forwarding(self, port: int) -> None:
        """To the host's `port`; miniupnpd lists its mapping all the same."""
        rule = f"insert rule inet filter forward ip daddr {HOST} tcp dport {port} drop"
        self.router.run("nft", *shlex.split(rule))

    def forwards(self, router: Place | None = None) -> dict[int, str]:
        """What `router` really forwards, `address:port` by the external port."""
        chain = ("nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")
        rules = (router or self.router).run(*chain).stdout
        return {
            int(port): to for port, to in re.findall(r"th dport (\d+) dnat ip to ([\d.:]+)", rules)
        }

    def mappings(self) -> list[str]:
        """What the router forwards, by upnpc: lines like `TCP 22->192.168.77.10:40000 'text'`."""
        said = self.host.run("upnpc", "-u", DESCRIPTION_URL, "-l", check=False).stdout
        rows = [line.split(maxsplit=3) for line in said.splitlines()]
        return [" ".join(row[1:]) for row in rows if row and row[0].isdigit() and len(row) == 4]

    def reaches(self, port: int) -> bool:
        """Whether an SSH server greets the guest at that port of the router."""
        return self.greets(self.guest, WAN, port)

    def pinholes(self) -> list[str]:
        """What the router's firewall lets through to the host by IPv6, a rule each."""
        rules = self.router.run("nft", "-a", "list", "chain", "inet", "filter", "miniupnpd").stdout
        raw = f"0x{int(ipaddress.ip_address(HOST6)):x} "  # nft knows no name for such a match
        return [line.strip() for line in rules.splitlines() if raw in line]

    def greets(self, place: Place, host: str, port: int) -> bool:
        """Whether an SSH server greets whoever connects from `place`."""
        with (
            contextlib.suppress(OSError),
            place.connects(host.strip("[]"), port) as connection,
        ):
            return connection.recv(8, socket.MSG_WAITALL) == b"SSH-2.0-"
        return False

    def makes_directory(self, place: Place, path: str) -> None:
        """That user's, and private."""
        self.path(path).mkdir(mode=0o700)
        self._gives(place, path)

    def makes_key(self, place: Place, path: str, comment: str = "") -> None:
        """That user's, with the public one beside it."""
        files = ("-C", comment, "-f", str(self.path(path)))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *files], check=True)
        self._gives(place, path)
        self._gives(place, f"{path}.pub")

    def _gives(self, place: Place, path: str) -> None:
        owner = self.path(place.home).stat()
        os.chown(self.path(path), owner.st_uid, owner.st_gid)

    def _namespaces(self) -> None:
        # IPC too: an account that is removed takes the objects of its user id along.
        world = ("--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
        unshare = self._anchor(*world, "--net", "sh", "-c", INIT)
        self._world = unshare.pid
        # The root as well: of a mount namespace alone it would be outside of a chroot.
        process = f"/proc/{unshare.pid}"
        self._inside = (
            f"--mount={process}/ns/mnt",
            f"--ipc={process}/ns/ipc",
            f"--root={process}/root",
        )
        self._first = int(Path(f"/proc/{self._world}/task/{self._world}/children").read_text())
        idle = ("--net", "sh", "-c", "echo ready; exec sleep infinity")
        self._nets = {"host": self._world} | {
            name: self._anchor(*idle).pid for name in self._further_nets()
        }
        place = self._place
        free = (uid for uid in itertools.count(64001) if not _taken(uid))
        self._ids = {"root": 0} | {person: next(free) for person in PEOPLE}
        self.root = place("host", "root")
        self.host = place("host", "host")
        self.guest = place("guest", "guest")
        self.router = place("router", "root")
        self.office = place("office" if self._office else "router", "root")
        self.relay = place("relay" if self._relay else "router", "relay")

    def _ip(self, net: str, commands: str) -> None:
        subprocess.run(
            ["nsenter", f"--target={self._nets[net]}", "--net", "ip", "-batch", "-"],
            input=commands,
            text=True,
            check=True,
        )

    def _further_nets(self) -> tuple[str, ...]:
        """The network namespaces besides the host's."""
        office = ("office",) if self._office else ()
        return ("router", "guest", *office, *(("relay",) if self._relay else ()))

    def _place(self, net: str, user: str) -> Place:
        name = user if user == "root" else f"pair{user}"
        uid = self._ids[user]
        home = f"/srv/{user}"
        pids = f"--pid=/proc/{self._world}/ns/pid_for_children"
        enter = ("nsenter", *self._inside, pids, f"--net=/proc/{self._nets[net]}/ns/net")
        become = ("setpriv", "--clear-groups", f"--reuid={uid}", f"--regid={uid}") if uid else ()
        environment = (
            *(f"HOME={home}", f"TMPDIR={home}", f"USER={name}", f"LOGNAME={name}"),
            *(f"PATH={Path(sys.executable).parent}:{PATH}", "SHELL=/bin/bash"),
            *("LANG=C.UTF-8", "TERM=xterm-256color"),
            *(f"{name}={value}" for name, value in measured().items()),
        )
        login = ("env", "-i", *WITH_HANGUP, f"--chdir={home}", *environment)
        return Place((*enter, *become, *login), home, self._stack)

    def _anchor(self, *argv: str) -> subprocess.Popen[bytes]:
        return self._ready("unshare", *argv)

    def _ready(self, *argv: str) -> subprocess.Popen[bytes]:
        """A program that ends with us, once it has printed that it is ready."""
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # unshare complains about how its child is ended
            start_new_session=True,
        )
        assert process.stdout
        self._stack.callback(process.stdout.close)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout.readline() == b"ready\n"
        return process

    def _delay(self) -> None:
        ends = [f"{self._nets['router']}:wan0", f"{self._nets['guest']}:eth0"]
        self._ready(sys.executable, "-m", "tests.e2e.delay", *ends, str(self._leg_ms))

    def _files(self) -> None:
        users = "\n".join(
            f"pair{name}:x:{self._ids[name]}:{self._ids[name]}::/srv/{name}:/bin/bash"
            for name in PEOPLE
        )
        # None has one; but PAM, and so sudo, knows nobody who has no line there.
        passwords = "\n".join(f"pair{name}:*:20000:0:99999:7:::" for name in PEOPLE)
        groups = "\n".join(f"pair{name}:x:{self._ids[name]}:" for name in PEOPLE)
        homes = "\n".join(
            f"install -d -m 700 -o {self._ids[name]} -g {self._ids[name]} /srv/{name}"
            for name in PEOPLE
        )
        tty = grp.getgrnam("tty").gr_gid
        script = f"""
            mount -t tmpfs -o mode=755 tmpfs /srv
            {_opened(*RUN_FROM)}
            mount -t devpts -o newinstance,gid={tty},mode=620,ptmxmode=666 devpts /dev/pts
            mount --bind /dev/pts/ptmx /dev/ptmx
            # Without a syslogd, miniupnpd logs there, which is slow.
            if [ -e /dev/console ]; then mount --bind /dev/null /dev/console; fi
            mkdir -m 700 /srv/root /srv/router /srv/office
            {homes}
            mkdir -p /srv/etc/upper /srv/etc/work
            mount -t overlay -o lowerdir=/etc,upperdir=/srv/etc/upper,workdir=/srv/etc/work etc /etc
            echo {shlex.quote(users)} >>/etc/passwd
            echo {shlex.quote(groups)} >>/etc/group
            echo {shlex.quote(passwords)} >>/etc/shadow
            echo {shlex.quote(NO_PASTE)} >>/etc/tmux.conf
            """
        subprocess.run(
            ["nsenter", *self._inside, "sh", "-eu"],
            cwd="/",
            input=script,
            text=True,
            check=True,
        )
        self.path("/srv/etc/screen.conf").write_text(SCREEN)
        self.path("/srv/router/conf").write_text(self._conf)
        self.path("/srv/office/conf").write_text(self._conf.replace("/srv/router", "/srv/office"))
        self.path("/srv/router/leases").write_text(self._leases)

    def _links(self) -> None:
        wire = SWITCH if self._relay else WIRE
        if self._leg_ms:
            wire = {}
            self._delay()
        office = OFFICE_LINKS if self._office else {}
        batches = [*wire.items(), *LINKS.items(), *office.items()]
        for place, commands in batches:
            self._ip(place, commands.format(wan=self._wan, **self._nets))
        forward = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for router in (self.router, self.office):
            router.run("sysctl", "-qw", *forward)
            router.run("nft", "-f", "-", given=f"flush ruleset\n{FIREWALL}")
        if self._office:
            self._start_upnp(self.office, "/srv/office")


def describes_itself(place: Place, address: str) -> bool:
    """Whether the router at `address` answers to UPnP, as `place` asks."""
    with contextlib.suppress(OSError), contextlib.closing(HTTPConnection(address)) as asking:
        asking.sock = place.connects(address, 5000)
        asking.request("GET", DESCRIPTION)
        return asking.getresponse().status == HTTPStatus.OK
    return False


def _taken(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _opened(*paths: Path) -> str:
    """Shell lines that let any user reach `paths`, though they lie in a directory closed to them."""
    closed = (
        next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 1), None)
        for path in paths
    )
    return emptied(list(dict.fromkeys(parent for parent in closed if parent)), *paths)


def emptied(places: Sequence[Path], *paths: Path) -> str:
    """Shell lines that put an empty directory over each of `places`, with those of `paths` in it
    that lie there.
    """
    covered = [path for path in paths if set(places) & set(path.parents)]
    kept = [path for path in covered if not set(covered) & set(path.parents)]
    aside = {shlex.quote(str(path)): f"/srv/aside-{n}" for n, path in enumerate(kept)}
    return "\n".join(
        [
            *(f"mkdir -p {away}; mount --rbind {path} {away}" for path, away in aside.items()),
            *(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(place))}" for place in places),
            *(f"mkdir -p {path}; mount --move {away} {path}" for path, away in aside.items()),
        ]
    )
