"""The test network is what it says, shown without the product."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.network import DESCRIPTION_URL, HOST, Network, until

GREETER = """
import socket
with socket.create_server(("", 8822)) as door:
    while True:
        with door.accept()[0] as connection:
            connection.sendall(b"SSH-2.0-greeter\\r\\n")
"""

KILLED = """
import os, signal
from tests.e2e.network import Network
with Network() as network:
    network.host.run("tmux", "-S", "/srv/host/t", "new-session", "-d", "sleep", "1000")
    print(network.path("/srv/host/t"), flush=True)
    assert network.path("/srv/host/t").exists()
    os.kill(os.getpid(), signal.SIGKILL)
"""

# useradd(8) and its kin rename a new file over /etc/passwd: rename(2) also takes a mount on that
# file away, in every mount namespace. Here /etc is a copy, so that no other test loses a user.
OWN_ETC = """
mount -t tmpfs tmpfs /mnt
cp -a /etc/. /mnt
mount --bind /mnt /etc
exec "$0" -c "$1"
"""

USER_CREATED = """
import os, shutil
from tests.e2e.network import Network
with Network() as network:
    shutil.copy("/etc/passwd", "/etc/passwd+")
    os.replace("/etc/passwd+", "/etc/passwd")
    print(network.host.run("id", "-un").stdout)
"""


def test_the_guest_reaches_the_host_only_through_a_mapping(network: Network) -> None:
    network.host.start("python3", "-c", GREETER, log=network.path("/srv/host/log"))
    until("the greeter is there", lambda: network.greets(network.router, HOST, 8822))
    assert not network.reaches(22)
    assert not network.greets(network.guest, HOST, 8822)
    network.host.run("upnpc", "-u", DESCRIPTION_URL, "-a", HOST, "8822", "22", "TCP")
    assert network.reaches(22)
    assert [line.split()[:2] for line in network.mappings()] == [["TCP", f"22->{HOST}:8822"]]
    network.host.run("upnpc", "-u", DESCRIPTION_URL, "-d", "22", "TCP")
    assert not network.reaches(22)
    assert network.mappings() == []


def test_a_terminal_of_the_host_s_user_is_group_tty(network: Network) -> None:
    terminal = network.host.terminal("sh", "-c", "stat -c 'tty is %U:%G %a' $(tty); id -un")
    assert terminal.ends() == 0
    assert "tty is pairhost:tty 620\npairhost" in terminal.screen()


def test_an_account_removed_elsewhere_takes_no_ipc_object_of_the_same_user_id(
    network: Network,
) -> None:
    network.host.run("ipcmk", "-M", "4096")
    seen = ("sh", "-c", "ipcs -m | grep -c 0x")
    assert network.root.run(*seen).stdout == "1\n"
    everywhere = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout
    assert network.host.run("id", "-u").stdout.strip() not in everywhere
    assert "pairhost" not in everywhere


@pytest.mark.usefixtures("machine")
def test_nothing_outlives_a_killed_run() -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, check=False
    )
    assert run.returncode == -signal.SIGKILL
    inside = Path(run.stdout.strip())
    until("the namespaces are gone", lambda: not inside.exists())


@pytest.mark.usefixtures("machine")
def test_the_host_s_user_exists_while_the_machine_creates_users() -> None:
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", OWN_ETC, sys.executable, USER_CREATED],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "pairhost", run.stderr
