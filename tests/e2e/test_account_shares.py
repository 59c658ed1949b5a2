"""A directory for the host and an account: what ACLs give, and what they do not."""

from __future__ import annotations

import pytest

from tests.e2e.account_machine import HOST, PROGRAMS, ROOT, Machine
from tests.e2e.network import until
from tests.e2e.people import Guest, Host


def test_a_shared_directory_is_both_s_and_is_taken_back(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run(
        "sh",
        "-ec",
        """
        cd; mkdir -p a/work/deep; chmod 700 a; chmod 750 a/work
        echo mine >a/work/deep/file; chmod 600 a/work/deep/file
        printf '#!/bin/sh\\n' >a/work/run; chmod 700 a/work/run
        echo out >a/outside; chmod 600 a/outside
        ln -s ../outside a/work/link; ln -s .. a/work/up
    """,
    )
    work = "/srv/host/a/work"
    before = machine.sh("getfacl -pPR /srv/host; find /srv/host -printf '%m %u %g %p\\n'")
    made = machine.asks("create", "--dir", work)
    assert made["shared"] == [work]
    assert machine.asks("create", "--dir", work)["changed"] is False
    # Each in what the other has made.
    assert (
        machine.as_pair(
            "sh", "-ec", f"umask 077; cd {work}; echo theirs >>deep/file; mkdir new; echo x >new/x"
        ).returncode
        == 0
    )
    machine.host.run(
        "sh",
        "-ec",
        f"cd {work}; echo y >>new/x; echo z >new/z; mkdir -m 700 new/d; chmod 600 new/z",
    )
    assert (
        machine.as_pair(
            "sh",
            "-ec",
            f"cat {work}/new/z; ./run",
        ).returncode
        != 0
    )  # mode 600 is a mask
    # Not what a link leads to, nor what lies beside it.
    assert machine.as_pair("cat", f"{work}/link").returncode != 0
    assert machine.as_pair("ls", "/srv/host").returncode != 0
    assert machine.sh("getfacl -p /srv/host/a/outside").count("user:") == 1
    # Back, one directory alone: the account stays.
    assert machine.refused("remove", "--dir", "/srv/host/a") == "not-shared"
    assert machine.asks("remove", "--dir", work) == {"name": "pair", "removed": False, "shared": []}
    assert machine.as_pair("ls", work).returncode != 0
    machine.sudo("create", "--dir", work)
    machine.sudo("remove")
    assert machine.sh(f"stat -c '%U %G' {work}/new/x {work}/new").split() == [HOST] * 4
    machine.sh(f"rm -rf {work}/new; sed -i 2d {work}/deep/file")
    after = machine.sh("getfacl -pPR /srv/host; find /srv/host -printf '%m %u %g %p\\n'")
    assert after == before


def test_what_the_host_closes_meanwhile_stays_closed(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run(
        "sh", "-ec", "mkdir -p a/work; chmod 755 a a/work; echo x >a/work/old; chmod 750 a"
    )
    machine.sudo("create", "--dir", "/srv/host/a/work")
    makes = "import os; [os.close(os.open(n, os.O_CREAT, m)) for n, m in (('key', 0o600), ('new', 0o644))]"
    machine.host.run(
        "sh", "-ec", f'cd a; chmod 700 .; cd work; chmod 600 old; python3 -c "{makes}"'
    )
    machine.host.run("sh", "-ec", "echo x >moved; chmod 640 moved; mv moved a/work")
    machine.sudo("create", "--dir", "/srv/host/a/work")
    assert "group::r-x" not in machine.sh("getfacl -p /srv/host/a/work/key /srv/host/a/work/old")
    machine.sudo("remove")
    modes = machine.sh("cd /srv/host/a; stat -c '%a %n' . work/key work/moved work/new work/old")
    assert modes.split()[::2] == ["700", "600", "640", "644", "600"]


def test_each_directory_has_the_default_acl_that_it_had_before(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run(
        "sh",
        "-ec",
        """
        mkdir -p a/work/closed a/work/opened a/work/own/below; chmod 755 a/work/*; chmod 700 a/work/opened
        setfacl -m d:g::rwx,d:o::- a a/work/own a/work/own/below
    """,
    )
    before = machine.sh("getfacl -pR /srv/host/a | grep -v :mask:")
    for back in (("--dir", "/srv/host/a/work"), ()):
        machine.sudo("create", "--dir", "/srv/host/a/work")
        closes = "cd a/work; chmod 700 . closed; chmod 755 opened; mkdir own/new new"
        machine.host.run("sh", "-ec", closes)
        machine.sudo("create", "--dir", "/srv/host/a/work")
        machine.sudo("remove", *back)
        assert "default" not in machine.sh("cd /srv/host/a/work; getfacl . closed opened new")
        assert "default:group::rwx" in machine.sh("getfacl -p /srv/host/a/work/own/new")
        machine.host.run(
            "sh", "-ec", "cd a/work; chmod 755 . closed; chmod 700 opened; rmdir own/new new"
        )
        assert machine.sh("getfacl -pR /srv/host/a | grep -v :mask:") == before


def test_a_shared_directory_that_is_gone_is_no_obstacle(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run("sh", "-ec", "mkdir -p a/b/work c/work; chmod 700 a c")
    before = machine.sh("getfacl -pPR /srv/host/a /srv/host/c")
    for words in (("--dir", "/srv/host/a/b/work"), ()):
        machine.sudo("create", "--dir", "/srv/host/a/b/work", "--dir", "/srv/host/c/work")
        machine.host.run("sh", "-ec", "mv a/b moved; mv c/work work; ln -s ../work c/work")
        assert machine.asks("create")["changed"] is False
        done = machine.sudo("remove", *words)
        assert "/srv/host/a/b/work: it is not there" in done.stderr
        assert ("/srv/host/c/work: it is not there" in done.stderr) is (not words)
        machine.host.run("sh", "-ec", "rm c/work; mv work c/work; mv moved a/b; setfacl -Rb a/b c")
    assert machine.sh("getfacl -pPR /srv/host/a /srv/host/c") == before


@pytest.mark.attack(
    "a guest in an account puts a thousand directories into each other in a shared directory",
    "`account create` and `remove` work on",
)
def test_directories_that_are_too_deep_are_no_obstacle(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run("mkdir", "work")
    machine.sudo("create", "--dir", "/srv/host/work")
    deep = "chdir '/srv/host/work'; for (1 .. 1100) { mkdir 'deep'; chdir 'deep' } open F, '>', 'f'"
    assert machine.as_pair("perl", "-e", deep).returncode == 0
    assert machine.asks("create")["changed"] is False
    machine.sudo("remove")
    # Not by a shell, whose every cd asks for the whole path.
    deepest = "chdir '/srv/host/work'; 1 while chdir 'deep'; exec 'getfacl', '.', 'f'"
    listed = machine.root.run("perl", "-e", deepest).stdout
    assert "user::" in listed
    assert "user:" not in listed.replace("user::", "")
    machine.sh("rm -rf /srv/host/work")


def test_what_a_third_user_has_made_in_a_shared_directory_stays_theirs(
    machine_of_its_own: Machine,
) -> None:
    machine = machine_of_its_own
    machine.host.run("sh", "-ec", "chmod 755 .; mkdir work")
    machine.sudo("create", "--dir", "/srv/host/work")
    opens = "cd /srv/host/work; mkdir open; setfacl -b open; chmod 2777 open"
    assert machine.as_pair("sh", "-ec", opens).returncode == 0
    machine.network.guest.run("touch", "/srv/host/work/open/theirs")
    machine.sudo("remove")
    owners = machine.sh("stat -c '%U %G' /srv/host/work/open /srv/host/work/open/theirs")
    assert owners.splitlines() == [f"{HOST} {HOST}", f"pairguest {HOST}"]


@pytest.mark.attack(
    "a guest in an account leaves links to files of the host's in a shared directory",
    "not followed",
)
def test_links_of_the_accounts_are_not_followed(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run("sh", "-c", "umask 077; mkdir work; echo secret >secret; mkdir private")
    work = "/srv/host/work"
    machine.sudo("create", "--dir", work)
    machine.sh("echo secret >/srv/root/secret")
    links = (
        "ln -s ../secret s; ln -s ../private d; ln -s /srv/root r; ln -s /etc/shadow x; mkdir new"
    )
    assert (
        machine.as_pair("sh", "-ec", f"cd {work}; {links}; ln -s /etc/passwd new/p").returncode == 0
    )
    before = machine.sh(
        "getfacl -pP /srv/host/secret /srv/host/private /srv/root /etc/shadow /etc/passwd"
    )
    machine.host.run("touch", f"{work}/moved")
    machine.sh(f"setfacl -b {work}/moved")
    machine.sudo("create", "--dir", work)
    assert "user:pair:rw" in machine.sh(f"getfacl -p {work}/moved")
    machine.sudo("remove")
    after = machine.sh(
        "getfacl -pP /srv/host/secret /srv/host/private /srv/root /etc/shadow /etc/passwd"
    )
    assert after == before
    assert machine.sh(f"find {work} ! -user pairhost -o ! -group pairhost") == ""


def test_nothing_is_shared_anew_while_guests_are_in_it(machine_with_account: Machine) -> None:
    machine = machine_with_account
    machine.host.run("mkdir", "work")
    tmux = (f"{PROGRAMS}/tmux", "-S", f"{ROOT}/pair/run/s.sock", "new-session", "-d")
    assert machine.runs(*tmux).returncode == 0
    for action in ("create", "remove"):
        code = machine.asks(action, "--dir", "/srv/host/work")["error"]["code"]
        assert code == ("account-in-use" if action == "create" else "not-shared")
    assert "user:pair" not in machine.sh("getfacl -p /srv/host/work")
    assert machine.asks("create")["changed"] is False


@pytest.mark.attack(
    "a guest in an account leaves a program that could move files while root changes their owner",
    "no directory is taken back before it has ended",
)
def test_no_directory_is_taken_back_while_anything_runs_as_the_account(
    machine_of_its_own: Machine,
) -> None:
    machine, back = machine_of_its_own, ("remove", "--dir", "/srv/host/work")
    machine.host.run("mkdir", "work")
    machine.sudo("create", "--dir", "/srv/host/work")
    become = ("setpriv", "--reuid=pair", "--regid=pair", "--clear-groups")
    log = machine.network.path("/srv/sleep.log")
    machine.root.start(*become, "sleep", "1000", log=log)
    until("it sleeps", lambda: machine.sh("pgrep -u pair sleep || true"))
    error = machine.asks(*back)["error"]
    assert error["code"] == "account-in-use"
    assert "user:pair" in machine.sh("getfacl -p /srv/host/work")
    machine.sh(error["hint"][error["hint"].index("pkill") :])
    until("it has ended", lambda: not machine.sh("pgrep -u pair || true"))
    assert machine.asks(*back)["shared"] == []


def test_directories_that_must_not_be_shared_are_refused(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.host.run("mkdir", "/srv/host/.ssh", "/srv/host/ok")
    machine.sh("mkdir -m 755 /srv/roots")
    machine.host.run("mkdir", "-p", "/srv/host/ok/in/it")
    overlapping = ("create", "--dir", "/srv/host/ok", "--dir", "/srv/host/ok/in/it")
    assert machine.refused(*overlapping) == "not-shareable"
    machine.host.run("mkdir", "/srv/host/two\nlines")
    assert machine.refused("create", "--dir", "/srv/host/two\nlines") == "not-shareable"
    for directory in ("/srv/host", "/srv/host/.ssh", "/etc", "/", "/srv/roots", "/srv/host/none"):
        assert machine.refused("create", "--dir", directory) == "not-shareable", directory


@pytest.mark.attack(
    "a guest in an account lays programs in a shared directory that the host's PATH names first",
    "neither pairingd nor pairctl runs one of them",
)
def test_pairing_runs_no_program_that_a_guest_has_laid_in_a_shared_directory(
    machine_with_account: Machine, host: Host, octocat: Guest, hubot: Guest
) -> None:
    machine, laid = machine_with_account, "/srv/host/work/bin"
    machine.host.run("mkdir", "-p", laid)
    machine.sudo("create", "--dir", "/srv/host/work")
    usual = machine.host.run("printenv", "PATH").stdout.strip()
    leads = ("env", f"PATH={laid}:{usual}", f"PAIRING_HOME={host.home}")
    machine.host.run(*leads, "pairctl", "start")
    host.invites(octocat, options=("--account", "pair"))
    lays = f"""
        cd {laid}
        for name in cat env notify-send setpriv ssh-keygen sudo tty; do
            printf '#!/bin/sh\\necho %s >>/srv/host/trapped\\nPATH={usual} exec %s "$@"\\n' $name $name >$name
            chmod 755 $name
        done
    """
    assert machine.as_pair("sh", "-ec", lays).returncode == 0
    machine.host.run(*leads, "pairctl", "invite", "hubot", "--account", "pair", "--no-copy")
    command = str(host.asks("invite", "--show", "hubot", "--no-copy")["command"])
    hubot.joins(command).shows("[pairing]")
    machine.host.run(*leads, "pairctl", "end")
    assert not machine.network.path("/srv/host/trapped").exists()
