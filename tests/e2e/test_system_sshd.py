"""Guests enter by the system's sshd, with the files and the commands of docs/system-sshd.md."""

from __future__ import annotations

import os
import re
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.network import HOST, PATH, REPOSITORY, WAN, Network, Terminal, until
from tests.e2e.people import CONFIG, Guest, Host, speaks
from tests.waiting import WAIT_S

PAGE: Final = REPOSITORY / "docs" / "system-sshd.md"
FILES: Final = sorted((REPOSITORY / "docs" / "system-sshd").iterdir())
COMMAND: Final = f"ssh pair@{WAN}"
REFUSED: Final = "Permission denied (publickey"  # and Debian offers everybody else a password
LOG: Final = "/srv/sshd.log"

# Nothing of the machine is written, and what it has of these names is not there.
ASIDE: Final = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /srv/local/upper /srv/local/work
mount -t overlay -o lowerdir=/usr/local,upperdir=/srv/local/upper,workdir=/srv/local/work local /usr/local
sed -i '/^pair:/d;/^mark:/d;s/^pairhost:/mark:/' /etc/passwd /etc/shadow /etc/group /etc/gshadow
echo 'mark:*:20000:0:99999:7:::' >>/etc/shadow
ssh-keygen -A
"""


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def commands(heading: str) -> str:
    """The first indented block below a heading of the page, but for what needs systemd."""
    _, _, section = text().partition(f"\n## {heading}\n")
    found = re.search(r"(?:^    .+\n)+", section, re.MULTILINE)
    assert found
    return "".join(line for line in found[0].splitlines(keepends=True) if "systemctl" not in line)


class System:
    """The host's machine, with an sshd of root's that has Debian's configuration."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.runs(ASIDE)
        sshd = ("/usr/sbin/sshd", "-D", "-e", "-o", "PidFile=/run/sshd.pid")
        network.root.start(*sshd, log=network.path(LOG))
        for rule in (
            f"prerouting iifname wan0 tcp dport 22 dnat ip to {HOST}:22",
            "forward ct status dnat accept",
        ):
            network.router.run("nft", *f"add rule inet filter {rule}".split())
        self.answers()

    def runs(self, script: str) -> str:
        """As root, in the checkout."""
        argv = ("sh", "-euc", f"cd {REPOSITORY}\n{script}")
        return self._network.root.run(*argv).stdout

    def reloads(self) -> None:
        """As `systemctl reload ssh` does."""
        self.runs('kill -HUP "$(cat /run/sshd.pid)"')
        self.answers()

    def answers(self) -> None:
        # Not from the guest's address, which sshd might hold a greeting without a login against.
        greets = partial(self._network.greets, self._network.router, HOST, 22)
        until("the system's sshd answers", greets)

    def log(self) -> str:
        return self._network.path(LOG).read_text()


@pytest.fixture
def system(network: Network) -> System:
    missing = [one for one in ("sudo", "visudo", "useradd") if not shutil.which(one, path=PATH)]
    if missing and os.environ.get("PAIRING_REQUIRE_E2E"):
        pytest.fail(f"not installed: {' '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    return System(network)


@pytest.fixture
def host(network: Network, system: System) -> Host:
    """Where the page expects their files; the door is on loopback."""
    host = Host(network, network.host)
    network.host.run("mkdir", "-p", "-m", "700", "/srv/host/.local/state")
    network.host.run("ln", "-s", host.home, "/srv/host/.local/state/pairing")
    found = re.search(r"```toml\n(.*?)```", text(), re.DOTALL)
    assert found
    host.configure(f"{CONFIG.partition('[router]')[0]}{found[1]}")
    system.runs(commands("Install"))
    system.reloads()
    return host


def invites(host: Host, *guests: Guest, options: tuple[str, ...] = ()) -> None:
    names = [guest.name for guest in guests]
    host.pairctl("invite", *names, "--ttl", "1h", "--no-copy", *options)


def enters(host: Host, guest: Guest) -> tuple[Terminal, Terminal]:
    """The host's terminal and the guest's, who types."""
    hosts_screen, guests_screen = host.attaches(), guest.joins(COMMAND)
    speaks(guests_screen, "guest-is-here", guests_screen, hosts_screen)
    return hosts_screen, guests_screen


def watches_and_types(guest: Guest, hosts_screen: Terminal) -> None:
    """A read guest: they see the host, type an echo of typed-by-guest, and leave."""
    watching = guest.joins(COMMAND)
    speaks(hosts_screen, "guest-sees-this", watching)
    watching.enter("echo typed-''by-guest")
    # Leaving is the one key a reader has. When it has worked, so would those before it.
    watching.press("C-c")
    watching.ends()


def clients(host: Host) -> list[str]:
    """The pids of tmux's clients but pairingd's own."""
    form = "#{?client_control_mode,,#{client_pid}}"
    return host.tmux("list-clients", "-F", form).split()


def is_refused(guest: Guest, command: str = COMMAND) -> None:
    done = guest.runs(command, "-tt")
    assert done.returncode == 255
    assert REFUSED in done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_page_shows_each_file_as_it_is(file: Path) -> None:
    assert re.search(rf"^```(sh)?\n{re.escape(file.read_text())}```$", text(), re.MULTILINE)


@pytest.mark.attack("a stranger's key knocks at the system's sshd", "permission denied")
@pytest.mark.attack("a guest asks the system's sshd for a command or sftp", "neither runs")
@pytest.mark.attack("a guest closes their ssh without leaving tmux", "no client of theirs is left")
def test_who_is_invited_enters_and_types_and_gets_nothing_else(
    network: Network, system: System, host: Host, octocat: Guest, hubot: Guest
) -> None:
    invites(host, octocat)
    is_refused(hubot)
    done = octocat.runs(COMMAND, "cat", "/etc/passwd")
    assert (done.returncode, done.stdout) == (1, "")
    assert "this invitation opens a shared terminal" in done.stderr
    done = octocat.runs(COMMAND, "-s", "sftp")  # the forced command comes in its place
    assert (done.returncode, done.stdout) == (1, "")
    enters(host, octocat)
    assert "Accepted publickey for pair" in system.log()
    assert host.status()["invitations"][0]["connections"] == [], "the page says so"
    assert not network.greets(network.router, HOST, host.status()["door"]["port"])
    assert len(clients(host)) == 2
    network.guest.run("pkill", "-KILL", "-x", "ssh")
    until("only the host's client", lambda: clients(host), lambda found: len(found) == 1)


@pytest.mark.attack(
    "a read guest types where a write guest may, through the system's sshd",
    "their key tells them apart: nothing is typed",
)
def test_a_key_tells_a_read_guest_from_a_write_guest(
    host: Host, octocat: Guest, hubot: Guest
) -> None:
    invites(host, octocat)
    invites(host, hubot, options=("--read-only",))
    hosts_screen, guests_screen = enters(host, octocat)
    watches_and_types(hubot, hosts_screen)
    assert "typed" not in guests_screen.screen()


@pytest.mark.attack("a revoked guest comes back through the system's sshd", "permission denied")
def test_a_guest_whose_role_becomes_read_comes_back_so_and_not_at_all_once_revoked(
    host: Host, octocat: Guest
) -> None:
    invites(host, octocat)
    hosts_screen, guests_screen = enters(host, octocat)
    host.pairctl("role", octocat.name, "read")
    guests_screen.ends()
    watches_and_types(octocat, hosts_screen)
    assert "typed-by-guest" not in hosts_screen.screen()
    guests_screen = octocat.joins(COMMAND)
    speaks(hosts_screen, "guest-is-back", guests_screen)
    host.pairctl("revoke", octocat.name)
    guests_screen.ends()
    assert not guests_screen.is_full_screen()
    is_refused(octocat)


@pytest.mark.attack(
    "a guest stays in through the system's sshd at the deadline, while pairingd hangs",
    "out, and refused from then on",
)
def test_the_deadline_holds_through_the_system_s_sshd_while_pairingd_hangs(
    network: Network, host: Host, octocat: Guest
) -> None:
    invites(host, octocat)
    _, guests_screen = enters(host, octocat)
    daemon = str(host.status()["daemon"]["pid"])
    deadline = host.expires_soon(octocat)
    network.host.run("kill", "-STOP", daemon)
    guests_screen.ends()
    until("the second of the deadline is over", time.time, lambda now: now > deadline + 1)
    lines = host.keys()
    assert "ssh-ed25519" in lines, "sshd itself refuses it"
    is_refused(octocat)


@pytest.mark.attack(
    "a write guest puts a shell in the place of their tmux client, through the system's sshd",
    "it ends with the invitation",
)
def test_a_shell_in_the_client_s_place_ends_with_the_invitation(host: Host, octocat: Guest) -> None:
    invites(host, octocat)
    _, guests_screen = enters(host, octocat)
    guests_screen.enter("tmux detach-client -E 'trap \"\" TERM HUP; echo in-its-''place; exec cat'")
    guests_screen.shows("in-its-place")
    host.pairctl("revoke", octocat.name)
    guests_screen.ends()


@pytest.mark.attack("a guest forwards ports, an agent or X11 through the system's sshd", "refused")
@pytest.mark.attack(
    "a guest opens a second session on one connection to the system's sshd", "refused"
)
def test_a_connection_to_the_system_s_sshd_carries_one_session_and_forwards_nothing(
    network: Network, host: Host, octocat: Guest
) -> None:
    invites(host, octocat)
    options = ("-N", "-o ExitOnForwardFailure=yes", "-R 9001:127.0.0.1:8000")
    assert "remote port forwarding failed" in octocat.runs(COMMAND, *options).stderr
    # The forge listens on the host's loopback.
    done = octocat.runs(COMMAND, "-W", "127.0.0.1:8000")
    assert "stdio forwarding failed" in done.stderr
    network.guest.start("ssh-agent", "-D", "-a", "/srv/guest/agent", log=network.path("/srv/log"))
    until("the agent is there", network.path("/srv/guest/agent").exists)
    options = ("-A", "-X", "-o IdentityAgent=/srv/guest/agent")
    guests_screen = octocat.joins(COMMAND, *options, environment="DISPLAY=:9")
    speaks(guests_screen, "guest-is-here", guests_screen)
    [client] = clients(host)
    theirs = network.host.run("cat", f"/proc/{client}/environ").stdout.split("\0")
    assert {"SSH_AUTH_SOCK", "DISPLAY"}.isdisjoint(line.partition("=")[0] for line in theirs)
    shared = "-o ControlPath=/srv/guest/shared"
    guests_screen = octocat.joins(COMMAND, shared, "-o ControlMaster=yes")
    speaks(guests_screen, "guest-is-here", guests_screen)
    # Without a way to connect again, ssh has only the connection that stands.
    second = octocat.runs(COMMAND, shared, "-o ProxyCommand=false", "-tt")
    assert "Session open refused by peer" in second.stderr


@pytest.mark.waits
@pytest.mark.attack(
    "a guest holds a bare connection (`ssh -N`) to the system's sshd", "sshd closes it"
)
def test_the_system_s_sshd_closes_a_bare_connection(
    network: Network, system: System, host: Host, octocat: Guest
) -> None:
    invites(host, octocat)
    held = octocat.stays(COMMAND, "-v", "-N")
    until("the key is accepted", octocat.log, lambda log: "Authenticated to" in log)
    assert held.wait(WAIT_S) == 255
    assert "terminating inactive connection" in system.log()


@pytest.mark.attack(
    "a revoked guest opens a session on a connection to the system's sshd that stood before",
    "they are not invited any more",
)
def test_a_revoked_guest_s_open_connection_gets_no_session(
    system: System, host: Host, octocat: Guest
) -> None:
    # Otherwise sshd may close the connection first.
    system.runs("sed -i /UnusedConnectionTimeout/d /etc/ssh/sshd_config.d/050-pairing.conf")
    system.reloads()
    invites(host, octocat)
    shared = "-o ControlPath=/srv/guest/shared"
    octocat.stays(COMMAND, "-v", "-N", shared, "-o ControlMaster=yes")
    until("the key is accepted", octocat.log, lambda log: "Authenticated to" in log)
    host.pairctl("revoke", octocat.name)
    refused = octocat.runs(COMMAND, shared, "-o ProxyCommand=false", "-tt")
    assert refused.returncode == 1
    assert "you are not invited any more" in refused.stdout


@pytest.mark.attack("a guest who must be approved comes by the system's sshd", "not let in")
def test_a_guest_who_must_be_approved_is_not_let_in_by_the_system_s_sshd(
    host: Host, octocat: Guest
) -> None:
    invites(host, octocat, options=("--ask", "--wait"))
    guests_screen = octocat.joins(COMMAND)
    assert guests_screen.ends()
    assert clients(host) == []


@pytest.mark.attack("a guest's key logs in to the host's own account", "permission denied")
def test_the_host_s_own_login_is_as_before(
    network: Network, system: System, host: Host, octocat: Guest, hubot: Guest
) -> None:
    invites(host, octocat)
    command = f"ssh mark@{WAN}"
    is_refused(octocat, command)
    network.host.run("mkdir", "-m", "700", "/srv/host/.ssh")
    network.host.run("sh", "-c", "cat >/srv/host/.ssh/authorized_keys", given=hubot.public())
    assert hubot.runs(command, "id", "-un").stdout == "mark\n"
    fetched = hubot.runs(command, "-W", "127.0.0.1:8000")
    assert "forwarding failed" not in fetched.stderr
    is_refused(hubot)
    shown = "sshd -T -C user=mark,host=localhost,addr=127.0.0.1"
    with_drop_in = system.runs(shown)
    system.runs("rm /etc/ssh/sshd_config.d/050-pairing.conf")
    assert system.runs(shown) == with_drop_in


@pytest.mark.parametrize("ending", ["stop", "kill -9"])
def test_nobody_is_in_by_the_system_s_sshd_while_pairingd_is_not_running(
    host: Host, octocat: Guest, ending: str
) -> None:
    invites(host, octocat)
    _, guests_screen = enters(host, octocat)
    if ending == "stop":
        host.pairctl("stop")
    else:
        host.signals_daemon("KILL")
        lines = host.keys()
        assert "ssh-ed25519" in lines
    is_refused(octocat)
    guests_screen.ends()


def test_a_guest_enters_a_session_in_a_box_and_is_out_when_revoked(
    network: Network, host: Host, octocat: Guest
) -> None:
    network.host.run("mkdir", "/srv/host/shared")
    invites(host, octocat, options=("--box", "/srv/host/shared"))
    guests_screen = octocat.joins(COMMAND)
    guests_screen.shows("[pairing]")
    speaks(guests_screen, "guest-is-here", guests_screen)
    host.pairctl("revoke", octocat.name)
    guests_screen.ends()
    assert not guests_screen.is_full_screen()


def test_undo_closes_the_system_s_sshd_to_guests(
    network: Network, system: System, host: Host, octocat: Guest
) -> None:
    invites(host, octocat)
    _, guests_screen = enters(host, octocat)
    remove, *rest = commands("Undo").splitlines(keepends=True)
    system.runs(remove)
    system.reloads()
    is_refused(octocat)
    system.runs("".join(rest))
    guests_screen.ends()
    left = ("/etc/sudoers.d/pairing", "/usr/local/libexec/pairing-keys")
    assert not any(network.path(path).exists() for path in left)
    assert "pair:" not in network.path("/etc/passwd").read_text()
    is_refused(octocat)
