"""A guest gets a terminal in the shared session and nothing else."""

import pytest

from tests.e2e.network import Network, until
from tests.e2e.people import Guest, Host, speaks
from tests.waiting import WAIT_S


@pytest.mark.attack(
    "a read guest types commands and tmux's keys",
    "nothing is typed, no window opens; they can only detach",
)
def test_a_reading_guest_cannot_type(network: Network, host: Host, octocat: Guest) -> None:
    command = host.invites(octocat, options=("--read-only",))["command"]
    hosts_screen, guests_screen = host.attaches(), octocat.joins(command)
    speaks(hosts_screen, "guest-sees-this", hosts_screen, guests_screen)
    guests_screen.enter("echo typed-''by-guest")
    guests_screen.press("C-b", "c")
    # Detaching is the one key a reader has. When it has worked, so would those before it.
    guests_screen.press("C-b", "d")
    assert guests_screen.ends() == 0
    assert "typed" not in hosts_screen.screen()
    assert host.tmux("list-windows", "-F", "#{window_index}").split() == ["0"]


def test_a_reading_guest_may_type_after_a_change_of_role(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat, options=("--read-only",))["command"]
    hosts_screen, guests_screen = host.attaches(), octocat.joins(command)
    speaks(hosts_screen, "guest-sees-this", hosts_screen, guests_screen)
    host.pairctl("role", octocat.name, "write")
    again = octocat.joins(command)
    speaks(again, "now-i-can-type", again, hosts_screen)


@pytest.mark.attack("a guest asks ssh for a command instead of the terminal", "it does not run")
def test_a_command_does_not_run(network: Network, host: Host, octocat: Guest) -> None:
    done = octocat.runs(host.invites(octocat)["command"], "cat", "/etc/passwd")
    assert done.returncode
    assert "root:" not in done.stdout


@pytest.mark.attack("a guest asks for sftp", "no subsystem")
def test_sftp_gets_no_subsystem(network: Network, host: Host, octocat: Guest) -> None:
    done = octocat.runs(host.invites(octocat)["command"], "-s", "sftp")
    assert done.returncode
    assert "subsystem request failed" in done.stderr


@pytest.mark.attack(
    "a guest holds a bare connection (`ssh -N`) past the deadline", "it is cut at the deadline"
)
def test_a_connection_without_a_session_is_cut_at_the_deadline(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    held = octocat.stays(command, "-v", "-N")
    until("the key is accepted", octocat.log, lambda log: "Authenticated to" in log)
    assert held.poll() is None
    host.expires_soon(octocat)
    assert held.wait(WAIT_S) == 255


@pytest.mark.attack("a guest forwards a local port to the host's loopback", "nothing answers there")
def test_a_local_forward_leads_nowhere(network: Network, host: Host, octocat: Guest) -> None:
    # The forge listens on the host's loopback.
    octocat.stays(host.invites(octocat)["command"], "-N", "-L", "9000:127.0.0.1:8000")
    fetch = ("curl", "-s", "--max-time", "3", "http://127.0.0.1:9000/octocat.keys")
    refused = 7  # curl's status while nobody listens yet
    done = until(
        "ssh listens at the guest's",
        lambda: network.guest.run(*fetch, check=False),
        lambda done: done.returncode != refused,
    )
    assert done.returncode
    assert done.stdout == ""


@pytest.mark.attack(
    "a guest asks for a port or a socket to listen on at the host, or to reach its loopback through ssh -W",
    "refused",
)
@pytest.mark.parametrize(
    "forward",
    ["-R 9001:127.0.0.1:22", "-R 9001", "-R /srv/host/socket:/srv/socket", "-W 127.0.0.1:22"],
)
def test_a_forward_is_refused(network: Network, host: Host, octocat: Guest, forward: str) -> None:
    command = host.invites(octocat)["command"]
    done = octocat.runs(command, "-N", "-o ExitOnForwardFailure=yes", forward)
    assert done.returncode == 255
    assert "forwarding failed" in done.stderr
    assert not network.path("/srv/host/socket").exists()


@pytest.mark.attack(
    "a guest brings an ssh agent and an X display into the session",
    "neither reaches the session or its client",
)
def test_a_guest_s_agent_and_display_stay_outside(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    before = host.tmux("show-environment", "-t", "pairing")
    network.guest.start("ssh-agent", "-D", "-a", "/srv/guest/agent", log=network.path("/srv/log"))
    until("the agent is there", network.path("/srv/guest/agent").exists)
    options = ("-A", "-X", "-o IdentityAgent=/srv/guest/agent")
    guests_screen = octocat.joins(command, *options, environment="DISPLAY=:9")
    speaks(guests_screen, "guest-is-here", guests_screen)
    assert host.tmux("show-environment", "-t", "pairing") == before
    client = host.tmux("list-clients", "-F", "#{client_pid}").split()[0]
    theirs = network.host.run("cat", f"/proc/{client}/environ").stdout.split("\0")
    assert {"SSH_AUTH_SOCK", "DISPLAY"}.isdisjoint(line.partition("=")[0] for line in theirs)


@pytest.mark.attack("a guest opens a second session on one connection", "refused")
def test_a_connection_carries_one_session(network: Network, host: Host, octocat: Guest) -> None:
    command = host.invites(octocat)["command"]
    shared = "-o ControlPath=/srv/guest/shared"
    guests_screen = octocat.joins(command, shared, "-o ControlMaster=yes")
    speaks(guests_screen, "guest-is-here", guests_screen)
    # Without a way to connect anew, ssh has only the connection that stands.
    second = octocat.runs(command, shared, "-o ProxyCommand=false", "-tt")
    assert second.returncode == 255
    assert "Session open refused by peer" in second.stderr


@pytest.mark.attack("an invited key logs in as another user, root among them", "permission denied")
@pytest.mark.parametrize("user", ["root", "pairguest", "nobody", "no-such-user"])
def test_other_users_names_are_refused(
    network: Network, host: Host, octocat: Guest, user: str
) -> None:
    command = host.invites(octocat)["command"].replace("pairhost@", f"{user}@")
    assert "Permission denied (publickey)" in octocat.runs(command).stderr


@pytest.mark.attack("a stranger's key knocks while somebody is invited", "permission denied")
def test_a_key_that_is_not_invited_is_refused(
    network: Network, host: Host, octocat: Guest, hubot: Guest
) -> None:
    refused = hubot.runs(host.invites(octocat)["command"])
    assert "Permission denied (publickey)" in refused.stderr


@pytest.mark.attack("a stranger tries passwords", "no method but a public key is offered")
def test_password_authentication_is_not_offered(
    network: Network, host: Host, octocat: Guest
) -> None:
    refused = octocat.runs(host.invites(octocat)["command"], "-o PubkeyAuthentication=no")
    assert "Permission denied (publickey)" in refused.stderr


@pytest.mark.attack(
    "the host's shell start-up files print, sleep and start a shell",
    "the guest gets the session all the same, and no shell",
)
def test_the_host_s_shell_start_up_files_do_not_run_for_a_guest(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    # Written now: the session's own shell has read its files.
    for name in (".bashrc", ".bash_profile", ".profile", ".zshenv"):
        network.path(f"/srv/host/{name}").write_text("echo BYPASS; sleep 60; exec sh\n")
    guests_screen = octocat.joins(command)
    speaks(guests_screen, "guest-is-here", guests_screen)
    assert "BYPASS" not in guests_screen.screen()


def test_a_terminal_unknown_to_the_host_falls_back(
    network: Network, host: Host, octocat: Guest
) -> None:
    guests_screen = octocat.joins(
        host.invites(octocat)["command"], environment="TERM=xterm-unheard-of"
    )
    speaks(guests_screen, "guest-is-here", guests_screen)


def test_the_pinned_command_knows_the_host_at_first_contact(
    network: Network, host: Host, octocat: Guest
) -> None:
    guests_screen = octocat.joins(host.invites(octocat)["pinned_command"])
    speaks(guests_screen, "guest-is-here", guests_screen)


@pytest.mark.attack(
    "somebody in between answers with a host key of their own", "the pinned command refuses it"
)
def test_the_pinned_command_refuses_another_host_key(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["pinned_command"]
    other = network.path(f"{octocat.key}.pub").read_text().split()[1]
    [pinned] = {word for word in command.replace("'", " ").split() if word.startswith("AAAA")}
    done = octocat.runs(command.replace(pinned, other))
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    assert host.status()["invitations"][0]["connections"] == []


@pytest.mark.attack("a scanner opens the port and leaves", "no process is left")
def test_a_stranger_s_scan_leaves_no_process_behind(
    network: Network, host: Host, octocat: Guest
) -> None:
    host.invites(octocat)
    assert network.reaches(22)
    daemon = str(host.status()["daemon"]["pid"])
    children = ("pgrep", "-c", "-P", daemon, "sshd")
    until("no sshd is left", lambda: network.host.run(*children, check=False).stdout == "0\n")


@pytest.mark.attack("a write guest swaps their tmux client for a shell", "their connection ends")
def test_a_guest_who_swaps_their_tmux_client_for_a_shell_is_disconnected(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    guests_screen = octocat.joins(command)
    speaks(guests_screen, "guest-is-here", guests_screen)
    # A writing guest may run tmux commands; this one swaps their tmux client for a shell.
    guests_screen.enter("tmux detach-client -E 'exec sh'")
    guests_screen.ends()
    again = octocat.joins(command)
    speaks(again, "here-again", again)


def test_a_revoked_guest_gets_their_own_screen_back(
    network: Network, host: Host, octocat: Guest
) -> None:
    guests_screen = octocat.joins(host.invites(octocat)["command"])
    speaks(guests_screen, "guest-is-here", guests_screen)
    assert guests_screen.is_full_screen()
    host.pairctl("revoke", octocat.name)
    guests_screen.ends()
    assert not guests_screen.is_full_screen()
