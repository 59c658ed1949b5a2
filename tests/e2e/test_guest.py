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


FORWARDS = (
    *("-R 9001:127.0.0.1:22", "-R 9001", "-R /srv/host/socket:/srv/socket", "-W 127.0.0.1:22"),
)


@pytest.mark.attack("a guest asks ssh for a command instead of the terminal", "it does not run")
@pytest.mark.attack("a guest asks for sftp", "no subsystem")
@pytest.mark.attack("a guest forwards a local port to the host's loopback", "nothing answers there")
@pytest.mark.attack(
    "a guest asks for a port or a socket to listen on at the host, or to reach its loopback through ssh -W",
    "refused",
)
@pytest.mark.attack(
    "a guest holds a bare connection (`ssh -N`) past the deadline", "it is cut at the deadline"
)
def test_ssh_gives_a_guest_nothing_but_the_terminal(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    done = octocat.runs(command, "cat", "/etc/passwd")
    assert done.returncode
    assert "root:" not in done.stdout
    done = octocat.runs(command, "-s", "sftp")
    assert done.returncode
    assert "subsystem request failed" in done.stderr
    for forward in FORWARDS:
        done = octocat.runs(command, "-N", "-o ExitOnForwardFailure=yes", forward)
        assert done.returncode == 255, forward
        assert "forwarding failed" in done.stderr, forward
        assert not network.path("/srv/host/socket").exists()
    # The forge listens on the host's loopback.
    held = octocat.stays(command, "-v", "-N", "-L", "9000:127.0.0.1:8000")
    fetch = ("curl", "-s", "--max-time", "3", "http://127.0.0.1:9000/octocat.keys")
    refused = 7  # curl's status while nobody listens yet
    fetched = until(
        "ssh listens at the guest's",
        lambda: network.guest.run(*fetch, check=False),
        lambda done: done.returncode != refused,
    )
    assert fetched.returncode
    assert fetched.stdout == ""
    assert "Authenticated to" in octocat.log()
    assert held.poll() is None
    host.expires_soon(octocat)
    assert held.wait(WAIT_S) == 255


@pytest.mark.attack(
    "a guest brings an ssh agent and an X display into the session",
    "neither reaches the session or its client",
)
@pytest.mark.attack("a guest opens a second session on one connection", "refused")
def test_a_connection_carries_one_session_without_the_guest_s_agent_and_display(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    before = host.tmux("show-environment", "-t", "pairing")
    network.guest.start("ssh-agent", "-D", "-a", "/srv/guest/agent", log=network.path("/srv/log"))
    until("the agent is there", network.path("/srv/guest/agent").exists)
    shared = "-o ControlPath=/srv/guest/shared"
    options = ("-A", "-X", "-o IdentityAgent=/srv/guest/agent", shared, "-o ControlMaster=yes")
    guests_screen = octocat.joins(command, *options, environment="DISPLAY=:9")
    speaks(guests_screen, "guest-is-here", guests_screen)
    assert host.tmux("show-environment", "-t", "pairing") == before
    client = host.tmux("list-clients", "-F", "#{client_pid}").split()[0]
    theirs = network.host.run("cat", f"/proc/{client}/environ").stdout.split("\0")
    assert {"SSH_AUTH_SOCK", "DISPLAY"}.isdisjoint(line.partition("=")[0] for line in theirs)
    # Without a way to connect anew, ssh has only the connection that stands.
    second = octocat.runs(command, shared, "-o ProxyCommand=false", "-tt")
    assert second.returncode == 255
    assert "Session open refused by peer" in second.stderr


@pytest.mark.attack("an invited key logs in as another user, root among them", "permission denied")
@pytest.mark.attack("a stranger's key knocks while somebody is invited", "permission denied")
@pytest.mark.attack("a stranger tries passwords", "no method but a public key is offered")
@pytest.mark.attack(
    "somebody in between answers with a host key of their own", "the pinned command refuses it"
)
@pytest.mark.attack("a scanner opens the port and leaves", "no process is left")
def test_nobody_enters_but_the_guest_with_their_key_as_the_host_s_user(
    network: Network, host: Host, octocat: Guest, hubot: Guest
) -> None:
    invited = host.invites(octocat)
    command, pinned = invited["command"], invited["pinned_command"]
    # Where a guest has entered from, failed logins lock nobody out.
    assert "this invitation opens a shared terminal" in octocat.runs(command).stderr
    denied = "Permission denied (publickey)"
    for user in ("root", "pairguest", "nobody", "no-such-user"):
        assert denied in octocat.runs(command.replace("pairhost@", f"{user}@")).stderr, user
    assert denied in hubot.runs(command).stderr
    assert denied in octocat.runs(command, "-o PubkeyAuthentication=no").stderr
    other = octocat.public().split()[1]
    [blob] = {word for word in pinned.replace("'", " ").split() if word.startswith("AAAA")}
    done = octocat.runs(pinned.replace(blob, other))
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    assert host.status()["invitations"][0]["connections"] == []
    assert network.reaches(22)
    daemon = str(host.status()["daemon"]["pid"])
    children = ("pgrep", "-c", "-P", daemon, "sshd")
    until("no sshd is left", lambda: network.host.run(*children, check=False).stdout == "0\n")


@pytest.mark.attack(
    "the host's shell start-up files print, sleep and start a shell",
    "the guest gets the session all the same, and no shell",
)
@pytest.mark.attack("a write guest swaps their tmux client for a shell", "their connection ends")
def test_a_guest_gets_no_shell_but_that_in_the_session(
    network: Network, host: Host, octocat: Guest
) -> None:
    command = host.invites(octocat)["command"]
    # Written now: the session's own shell has read its files.
    for name in (".bashrc", ".bash_profile", ".profile", ".zshenv"):
        network.path(f"/srv/host/{name}").write_text("echo BYPASS; sleep 60; exec sh\n")
    guests_screen = octocat.joins(command)
    speaks(guests_screen, "guest-is-here", guests_screen)
    assert "BYPASS" not in guests_screen.screen()
    # A writing guest may run tmux commands; this one swaps their tmux client for a shell.
    guests_screen.enter("tmux detach-client -E 'exec sh'")
    guests_screen.ends()
    again = octocat.joins(command)
    speaks(again, "here-again", again)
