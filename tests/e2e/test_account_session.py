"""A session that runs as an account: what its guests have of the host's, and that they go in time."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from pairingd.account.place import Account
from tests.boxed import FALSE_SERVER, SECRET, all_played
from tests.e2e.account_machine import Machine
from tests.e2e.network import Network, Terminal, until
from tests.e2e.people import Guest, Host, speaks
from tests.stage import PAIRCTL

PAIR = Account("pair")
AS_ACCOUNT = ("--account", PAIR.name)


@pytest.fixture
def account(machine_with_account: Machine, host: Host) -> Account:
    return PAIR


@pytest.fixture
def screen(account: Account, host: Host, octocat: Guest) -> Terminal:
    """That of octocat, who may write and is in."""
    screen = octocat.joins(host.invites(octocat, options=AS_ACCOUNT)["command"])
    screen.shows("[pairing]")
    return screen


class Scene:
    """A guest who may write, in a session of a host who has something to lose."""

    def __init__(self, network: Network, *, as_account: bool) -> None:
        self.network = network
        self.host = Host(network, network.host)
        self.guest = Guest(network, "octocat")
        Machine(network).sudo("create")
        secret = network.path("/srv/host/secret")
        network.host.run("sh", "-c", f"umask 077; echo {SECRET!r} >/srv/host/secret")
        assert secret.exists()
        network.host.start(
            *("env", f"SECRET={SECRET}", "sh", "-c", "echo $$ >/srv/host/victim; exec sleep 3600"),
            log=network.path("/srv/host/victim.log"),
        )
        until("a program of the host's runs", network.path("/srv/host/victim").exists)
        more = AS_ACCOUNT if as_account else ()
        self.answer = self.host.invites(self.guest, options=more)
        self.screen = self.guest.joins(self.answer["command"])
        self.screen.shows("[pairing]")
        network.root.run("mkdir", "-m", "1777", "/srv/seen")

    def succeeds(self, attack: Attack) -> bool:
        """Typed by the guest; what it prints is read when it has ended."""
        seen, done = f"/srv/seen/{attack.file}", f"/srv/seen/{attack.file}.done"
        victim = self.network.path("/srv/host/victim").read_text().strip()
        line = attack.line.replace("$VICTIM", victim)
        self.screen.enter(f"clear; ( {line} ) >{seen} 2>&1 </dev/null; touch {done}")
        until("it has been tried", self.network.path(done).exists)
        return attack.proves in self.network.path(seen).read_text(errors="replace")


class Attack(NamedTuple):
    name: str
    line: str
    proves: str = SECRET

    @property
    def file(self) -> str:
        return self.name.replace(" ", "-").replace("'", "")


CONTROL = "/srv/host/p/pairingd.sock"
CONNECTS = (
    "perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); "
    "print qq(in\\n) if connect($s, pack_sockaddr_un($ARGV[0]))'"
)
ATTACKS = (
    Attack("a file that only the host may read", "cat /srv/host/secret"),
    Attack("that file by a link", "ln -sf /srv/host/secret /tmp/l.$$; cat /tmp/l.$$; rm /tmp/l.$$"),
    Attack("a file in the host's home", "echo x >/srv/host/written && echo written", "written\n"),
    Attack("the control socket", f"{CONNECTS} {CONTROL}", "in\n"),
    Attack("a verb", f"PAIRING_HOME=/srv/host/p {PAIRCTL} status", "Session"),
    Attack("a program's environment", "tr '\\0' '\\n' </proc/$VICTIM/environ"),
    Attack("a program's memory", "cat /proc/$VICTIM/maps", "sleep"),
    Attack("a signal to a program of the host's", "kill -0 $VICTIM && echo signalled", "signalled"),
    Attack("the host's keys", "cat /srv/host/p/host_ed25519", "OPENSSH PRIVATE KEY"),
    Attack("the marks of the live", "ls /srv/host/p/live", "write"),
    Attack("the state", "head -c 15 /srv/host/p/state.db", "SQLite"),
)


# Kills all that runs as its user but itself, again and again.
STAYS = """
import os, signal
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
"""
# Stops the clients of tmux that pairctl and the daemon start, as soon as it sees them.
STOPS = """
import os, signal, time
while True:
    time.sleep(0.01)  # tmux's clients live longer: listing the sessions takes three seconds
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if file.read().startswith(("/usr/bin/tmux\\0-N\\0-S", "/usr/bin/tmux\\0-N\\0-N")):
                    os.kill(int(pid), signal.SIGSTOP)
        except OSError:
            pass
"""


@pytest.mark.usefixtures("machine")
@all_played(ATTACKS, "a write guest of an account", "refused; as the host it succeeds")
def test_an_attack_by_a_guest_of_an_account_is_refused() -> None:
    with Network() as network:
        scene = Scene(network, as_account=True)
        assert [attack.name for attack in ATTACKS if scene.succeeds(attack)] == []


@pytest.mark.usefixtures("machine")
def test_the_same_attack_without_an_account_succeeds() -> None:
    with Network() as network:
        scene = Scene(network, as_account=False)
        assert [attack.name for attack in ATTACKS if not scene.succeeds(attack)] == []


def test_host_and_guest_work_as_the_account(account: Account, host: Host, octocat: Guest) -> None:
    invited = host.invites(octocat, options=AS_ACCOUNT)
    assert invited["command"].endswith(f"{account.name}@5.5.5.1")
    assert invited["account"] == account.name
    hosts, guests = host.attaches(), octocat.joins(invited["command"])
    speaks(guests, "guest-is-here", guests, hosts)
    guests.enter("clear; id -un; tty")
    guests.shows(f"{account.name}\n")
    session = host.status()["session"]
    assert (session["confinement"], session["account"]) == ("account", account.name)


def test_a_guest_of_an_account_changes_roles(host: Host, screen: Terminal) -> None:
    host.asks("role", "octocat", "read")
    screen.shows("octocat ro")
    host.asks("role", "octocat", "write")
    speaks(screen, "writes-again", screen)


@pytest.mark.attack("a write guest of an account ends or stops what guards their connection", "out")
@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_guest_of_an_account_cannot_stay_by_signals_to_their_guardian(
    network: Network, account: Account, host: Host, signal: str, screen: Terminal
) -> None:
    screen.enter(f"pkill -{signal} -f guest.py; pkill -{signal} sshd")
    if signal == "STOP":
        host.asks("revoke", "octocat")
    assert screen.ends() != 0
    assert not runs(network, account, "sshd")


def test_a_guest_of_an_account_is_out_when_the_time_is_up(
    network: Network, account: Account, host: Host, octocat: Guest
) -> None:
    invited = host.invites(octocat, options=AS_ACCOUNT)
    screen = octocat.joins(invited["command"])
    screen.shows("[pairing]")
    host.expires_soon(octocat)
    assert screen.ends() == 0
    screen_again = octocat.runs(invited["command"])
    assert screen_again.returncode != 0
    until(
        "the key is gone", lambda: "ssh-" not in network.path(account.authorized_keys).read_text()
    )


def test_the_end_of_the_daemon_is_the_end_of_an_accounts_guests(
    network: Network, account: Account, host: Host, octocat: Guest, screen: Terminal
) -> None:
    host.signals_daemon("KILL")
    assert screen.ends() != 0
    until("no sshd is left", lambda: not runs(network, account, "sshd"))
    host.pairctl("start")
    assert host.status()["session"]["account"] == account.name
    speaks(octocat.joins(octocats_command(host)), "in-again")


def test_a_guest_of_an_account_is_out_in_time_though_the_daemon_hangs(
    network: Network, account: Account, host: Host, octocat: Guest, screen: Terminal
) -> None:
    host.expires_soon(octocat)
    daemon = str(host.status()["daemon"]["pid"])
    network.host.run("kill", "-STOP", daemon)
    assert screen.ends() != 0
    until("no sshd is left", lambda: not runs(network, account, "sshd"))
    network.host.run("kill", "-CONT", daemon)
    until("the daemon has seen it", lambda: not host.status()["invitations"])


@pytest.mark.attack("a guest of an account leaves a program running", "it ends with the session")
def test_what_a_guest_leaves_running_ends_with_the_session(
    network: Network, account: Account, screen: Terminal
) -> None:
    screen.enter("setsid sleep 4711 </dev/null >/dev/null 2>&1 &")
    until("it runs", lambda: runs(network, account, "sleep"))
    screen.enter("exit")
    screen.ends()
    until("all of it has ended", lambda: not runs(network, account))
    until("no socket is left", lambda: not [*network.path(account.run).iterdir()])
    keys = network.path(account.authorized_keys)
    until("no key is left", lambda: not keys.exists() or "ssh-" not in keys.read_text())


@pytest.mark.attack(
    "a guest of an account calls the daemon where guests ask", "ask and hello alone"
)
def test_a_guest_of_an_account_asks_to_be_let_in_and_may_say_nothing_else(
    network: Network, account: Account, host: Host, octocat: Guest
) -> None:
    invited = host.invites(octocat, options=(*AS_ACCOUNT, "--ask", "--wait"))
    screen = octocat.joins(invited["command"])
    screen.shows("waiting for the host")
    host.asks("approve", "octocat")
    screen.shows("[pairing]")
    calls = (
        '{"jsonrpc":"2.0","id":0,"method":"hello","params":{}}\n'
        '{"jsonrpc":"2.0","id":1,"method":"status","params":{}}\n'
    )
    network.path("/srv/calls").write_text(calls)
    screen.enter(f"clear; nc -NU {account.asks} </srv/calls")
    screen.shows("no method 'status'")


@pytest.mark.attack("a tmux of the account's that has the host's client run a command", "as them")
def test_a_false_server_of_the_accounts_commands_no_client_of_the_hosts(
    network: Network, account: Account, host: Host, screen: Terminal
) -> None:
    hosts = host.attaches()
    network.root.run("mkdir", "-m", "1777", "/srv/seen")
    screen.enter("tmux detach-client -a -E 'id -un >/srv/seen/$$'")
    hosts.ends()
    seen = until("it ran", lambda: [*network.path("/srv/seen").iterdir()])
    assert {one.read_text() for one in seen} == {f"{account.name}\n"}


@pytest.mark.attack(
    "a guest of an account ends whatever is to end them", "no further session begins beside them"
)
def test_no_session_begins_while_something_is_left_of_an_earlier_guest(
    network: Network, account: Account, host: Host, octocat: Guest, screen: Terminal
) -> None:
    network.path("/srv/stays").write_text(STAYS)
    screen.enter("python3 -I -S /srv/stays")
    screen.ends()
    until("the session is over", lambda: not host.status()["session"]["running"])
    until("the invitation is over", lambda: not host.status()["invitations"])
    refused = host.asks("invite", "octocat", *AS_ACCOUNT, "--no-copy", check=False)
    assert refused["error"]["code"] == "account-in-use"
    network.root.run("pkill", "-KILL", "-u", account.name)
    host.invites(octocat, options=AS_ACCOUNT)


def test_another_daemon_of_the_hosts_leaves_an_accounts_keys_alone(
    network: Network, account: Account, host: Host, octocat: Guest, hubot: Guest
) -> None:
    command = host.invites(octocat, options=AS_ACCOUNT)["command"]
    home = f"{host.home}2"
    network.host.run("cp", "-r", "--preserve=mode", f"{host.home}/config.toml", home + ".toml")
    network.host.run("sh", "-c", f"mkdir -m 700 {home}; mv {home}.toml {home}/config.toml")
    other = ("env", f"PAIRING_HOME={home}", "pairctl")
    network.host.run(*other, "invite", "hubot", "--no-copy")
    octocat.joins(command).shows("[pairing]")
    network.host.run(*other, "stop")


@pytest.mark.attack(
    "a false tmux server of the account's has a client of pairctl's write to the host's terminal",
    "it has no terminal",
)
def test_no_program_of_the_accounts_has_the_terminal_in_which_pairctl_runs(
    network: Network, host: Host, hubot: Guest, screen: Terminal
) -> None:
    network.root.run("mkdir", "-m", "1777", "/srv/seen")
    network.path("/srv/false-server.pl").write_text(FALSE_SERVER)
    command = "touch /srv/seen/ran; echo owned >/dev/tty"
    socket = host.status()["session"]["socket"]
    screen.enter(f"cd /srv/seen; perl /srv/false-server.pl {socket} '{command}' & sleep 1")
    until("the false server listens", network.path("/srv/seen/false-server").exists)
    pairctl = ("env", f"PAIRING_HOME={host.home}", "pairctl")
    terminal = network.host.terminal(*pairctl, "invite", "hubot", "--no-copy")
    terminal.ends()
    until("a client has obeyed", network.path("/srv/seen/ran").exists)
    assert "owned" not in terminal.screen()


@pytest.mark.attack("a guest of an account stops the host's tmux client", "their terminal is back")
def test_the_hosts_terminal_comes_back_from_a_client_that_guests_have_stopped(
    network: Network, host: Host, screen: Terminal
) -> None:
    hosts = host.attaches()
    screen.enter("pkill -STOP -f 'tmux -N -S'")
    until("it is stopped", lambda: "T" in network.root.run("ps", "-eo", "stat=").stdout)
    network.host.run("pkill", "-TERM", "-f", "glass.py host")
    hosts.ends()
    assert "Traceback" not in hosts.screen()
    assert not hosts.is_full_screen()


@pytest.mark.waits
@pytest.mark.attack(
    "a guest of an account stops all that runs as the account, tmux too",
    "they are out; the hint has the command that ends the session, without root",
)
def test_a_session_whose_tmux_a_guest_has_stopped_is_ended_by_the_hint(
    network: Network, account: Account, host: Host, hubot: Guest, screen: Terminal
) -> None:
    screen.enter("python3 -c 'import os; os.kill(-1, 19)'")
    host.asks("revoke", "octocat")
    assert screen.ends() != 0
    error = host.asks("invite", "hubot", *AS_ACCOUNT, "--no-copy", check=False)["error"]
    network.host.run("sh", "-c", error["hint"].partition("in it: ")[2])
    until("all of it has ended", lambda: not runs(network, account))
    host.invites(hubot, options=AS_ACCOUNT)


@pytest.mark.waits
@pytest.mark.attack("a guest of an account stops tmux's clients", "nothing waits for them for ever")
def test_pairctl_and_the_daemon_wait_for_no_client_that_guests_have_stopped(
    network: Network, account: Account, host: Host, hubot: Guest, screen: Terminal
) -> None:
    network.path("/srv/stops").write_text(STOPS)
    slow = 'list-sessions=run-shell "sleep 3" ; list-sessions'
    screen.enter(f"tmux set -s command-alias[90] '{slow}'; python3 -I -S /srv/stops & sleep 1")
    until("it has stopped a client", lambda: has_stopped(network, account))
    host.asks("invite", "hubot", *AS_ACCOUNT, "--no-copy", check=False)
    host.pairctl("stop")
    assert screen.ends() != 0
    assert "PermissionError" not in network.path(f"{host.home}/pairingd.log").read_text()


def test_a_session_is_an_accounts_or_it_is_not(
    account: Account, host: Host, octocat: Guest, hubot: Guest
) -> None:
    host.invites(octocat)
    refused = host.asks("invite", "hubot", *AS_ACCOUNT, "--no-copy", check=False)
    assert refused["error"]["code"] == "other-session"
    assert [one["guest"] for one in host.status()["invitations"]] == ["github:octocat"]


def test_an_account_that_is_not_there_is_refused_and_nothing_is_started(
    host: Host, octocat: Guest
) -> None:
    refused = host.asks("invite", "octocat", "--account", "nobody-here", "--no-copy", check=False)
    assert refused["error"]["code"] == "no-such-account"
    assert not host.status()["session"]["running"]


def octocats_command(host: Host) -> str:
    return str(host.asks("invite", "--show", "octocat", "--no-copy")["command"])


def has_stopped(network: Network, account: Account) -> bool:
    """Whether the client is stopped by which the daemon watches the session."""
    listed = network.root.run("ps", "-u", account.name, "-o", "stat=,args=", check=False).stdout
    return any(line.startswith("T") and "tmux -N -N" in line for line in listed.splitlines())


def runs(network: Network, account: Account, name: str = "") -> str:
    """The pids of what runs as the account, called `name` if one is given."""
    words = ("pgrep", "-u", account.name, *(("-x", name) if name else ()))
    return network.root.run(*words, check=False).stdout
