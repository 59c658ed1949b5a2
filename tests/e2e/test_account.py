"""`pairctl account` with real useradd, sudo and setfacl, on a machine of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.account_machine import DOCTOR, HOST, LISTING, PROGRAMS, ROOT, RULE, Machine
from tests.e2e.network import until

pytestmark = pytest.mark.parametrize("network", [{"upnp": False}], indirect=True)

PARTS = 4  # of a long test: each step of a plan is interrupted once


def test_an_account_is_made_from_nothing_and_shown(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    made = machine.asks("create")
    assert (made["name"], made["host"], made["complete"], made["changed"]) == (
        "pair",
        HOST,
        True,
        True,
    )
    assert (
        machine.sh("getent passwd pair | cut -d: -f5-7").strip()
        == "pairing guests:/home/pair:/bin/bash"
    )
    assert machine.sh("getent shadow pair | cut -d: -f2").strip() == "*"
    assert machine.sh("id -Gn pair").strip() == "pair"
    assert machine.sh(f"stat -c '%a %U %G' /home/pair {RULE} {ROOT}/pair/host_ed25519").split("\n")[
        :3
    ] == [
        "700 pair pair",
        "440 root root",
        "640 root pair",
    ]
    shown = machine.sudo("show").stdout
    assert "Account   pair (uid " in shown
    by_host = machine.host.run("pairctl", "account", "show")
    assert "Missing" not in by_host.stdout


@pytest.mark.attack(
    "a guest in an account takes further user ids (subuid(5), newuidmap(1)) for what they leave",
    "the account has none: all that is left is found by its owner",
)
def test_the_account_has_one_user_id(machine_with_account: Machine) -> None:
    assert machine_with_account.sh("grep ^pair: /etc/subuid /etc/subgid || true") == ""


def test_a_second_create_changes_nothing(machine_with_account: Machine) -> None:
    key = machine_with_account.sh(f"cat {ROOT}/pair/host_ed25519")
    before = machine_with_account.listing()
    assert machine_with_account.asks("create")["changed"] is False
    assert machine_with_account.listing() == before
    assert machine_with_account.sh(f"cat {ROOT}/pair/host_ed25519") == key


def test_remove_leaves_no_trace(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.sh("mkdir -p -m 1730 /var/spool/cron/crontabs /var/spool/cron/atjobs")
    before = machine.listing()
    machine.sudo("create")
    machine.sh("""
        for place in /tmp /var/tmp /dev/shm /home/pair /var/lib/pairing/pair/run; do
            mkdir -p $place/theirs/deep; ln -s /etc $place/theirs/deep/link; touch $place/theirs/file
            chown -hR pair:pair $place/theirs
        done
        touch /var/mail/pair /var/spool/cron/crontabs/pair /var/spool/cron/atjobs/a0001
        chown pair /var/mail/pair /var/spool/cron/crontabs/pair /var/spool/cron/atjobs/a0001
        setpriv --reuid=pair --regid=pair --clear-groups ipcmk -M 4096 -Q -S 1
    """)
    uid = machine.sh("id -u pair").strip()
    in_ipc = f"ipcs | awk '$3 == {uid} || $3 == \"pair\"'"
    assert len(machine.sh(in_ipc).splitlines()) == len(("memory", "queue", "semaphores"))
    machine.root.start(
        "setpriv",
        "--reuid=pair",
        "--regid=pair",
        "--clear-groups",
        "sleep",
        "1000",
        log=machine.network.path("/srv/sleep.log"),
    )
    until("it sleeps", lambda: machine.sh("pgrep -u pair sleep || true"))
    assert machine.asks("remove") == {"name": "pair", "removed": True, "shared": []}
    assert machine.listing() == before
    assert machine.sh(f"pgrep -u {uid} || true") == ""
    assert machine.sh(in_ipc) == ""
    assert machine.asks("remove") == {"name": "pair", "removed": False, "shared": []}


@pytest.mark.parametrize("part", range(PARTS))
def test_what_was_interrupted_is_completed_by_create_and_removed_by_remove(
    machine_of_its_own: Machine, part: int
) -> None:
    machine = machine_of_its_own
    machine.sh(
        "mkdir -m 700 /srv/host/work; touch /srv/host/work/file; chown -R pairhost: /srv/host/work"
    )
    share = "/srv/host/work"
    empty, unshared = machine.listing(), machine.sh("getfacl -pR /srv/host")
    creating = machine.stops_after(0, "create", share)
    machine.sudo("create", "--dir", share)
    whole, shared = machine.listing(), machine.sh(f"getfacl -pR {share}")
    removing = machine.stops_after(0, "remove")

    def is_removed() -> None:
        machine.sudo("remove")
        assert machine.listing() == empty, done
        assert machine.sh("getfacl -pR /srv/host") == unshared, done

    done = 0
    is_removed()
    for done in range(1 + part, max(creating, removing) + 1, PARTS):
        if done <= creating:
            machine.stops_after(done, "create", share)
            assert bool(machine.asks("show").get("complete")) is (done == creating), done
        assert machine.asks("create", "--dir", share)["complete"] is True
        assert machine.listing() == whole, done
        assert machine.sh(f"getfacl -pR {share}") == shared, done
        if done < removing:
            machine.stops_after(done, "remove")
            assert machine.asks("create", "--dir", share)["complete"] is True
            machine.stops_after(done, "remove")
        is_removed()
        if done < creating:
            machine.stops_after(done, "create", share)
            is_removed()


def test_what_is_damaged_is_repaired_by_create(machine_with_account: Machine) -> None:
    machine = machine_with_account
    whole, place = machine.listing(), f"{ROOT}/pair"
    for damage in (
        f"rm {place}/host_ed25519.pub",
        f": >{place}/host_ed25519",
        f"chmod 644 {place}/host_ed25519",
        "rm -r /home/pair",
        "chmod 755 /home/pair",
        "usermod -p '!' pair",
        "usermod -e '' pair",
        "sed -i /^pair:/d /etc/shadow",
        "sed -i /^pair:/d /etc/group /etc/gshadow",
        "sed -i /^pair:/d /etc/passwd /etc/shadow",
        f"echo >>{PROGRAMS}/tmux",
        f"chmod 777 {PROGRAMS}/guest {PROGRAMS}",
        f"rm {RULE}; echo 'broken (' >/etc/sudoers.d/.pairing-pair.partial",
        f"echo 'pairhost ALL=(ALL) NOPASSWD: ALL' >{RULE}; chmod 440 {RULE}",
    ):
        machine.sh(damage)
        made = machine.asks("create")
        assert (made.get("complete"), made.get("changed")) == (True, True), (damage, made)
        if "/home/pair" not in damage:  # which is without what /etc/skel has, then
            assert machine.listing() == whole, damage
        whole = machine.listing()
    # Root alone can have given it another home directory, whoever has that.
    machine.sh("mkdir -m 755 /srv/theirs; usermod --home /srv/theirs pair")
    error = machine.asks("create")["error"]
    assert (error["code"], machine.sh("stat -c '%U %a' /srv/theirs")) == (
        "account-taken",
        "root 755\n",
    )
    machine.sh(error["hint"][error["hint"].index("usermod") :])
    # Root alone can have put it there, and it is not followed.
    machine.sh(f"rm -r {place}/host; ln -s /etc {place}/host")
    assert machine.asks("create")["error"]["code"] == "account-failed"
    machine.sh(f"test $(stat -c %U /etc) = root; rm {place}/host")
    assert machine.asks("create")["complete"] is True
    assert machine.sh("getent shadow pair | cut -d: -f2").strip() == "*"
    assert machine.sh(f"cat {RULE}") in whole
    machine.sh("touch /srv/theirs/file; chown -R pair /srv/theirs; usermod --home /srv/theirs pair")
    machine.sudo("remove")
    assert machine.sh("ls /srv/theirs; ls -d /home/pair || true") == "file\n"


@pytest.mark.parametrize("program", ["tmux", "guest.py"])
def test_remove_is_refused_while_guests_are_in_it(
    machine_with_account: Machine, program: str
) -> None:
    machine = machine_with_account
    if program == "tmux":
        socket = f"{ROOT}/pair/run/s.sock"
        assert machine.runs(f"{PROGRAMS}/tmux", "-S", socket, "new-session", "-d").returncode == 0
    else:
        machine.root.start(
            "setpriv",
            "--reuid=pair",
            "--regid=pair",
            "--clear-groups",
            "python3",
            "-c",
            "import time; time.sleep(1000)",
            f"{PROGRAMS}/guest.py",
            log=machine.network.path("/srv/guest.log"),
        )
        until("it runs", lambda: machine.sh("pgrep -u pair -f guest.py || true"))
    before = machine.sh(LISTING)
    error = machine.asks("remove")["error"]
    assert error["code"] == "account-in-use"
    assert machine.sh(LISTING) == before
    machine.sh(error["hint"][error["hint"].index("pkill") :])
    until("it has ended", lambda: not machine.sh("pgrep -u pair || true"))
    machine.sudo("remove")


def test_a_user_who_is_gone_by_half_is_removed(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    before = machine.listing()
    for files in ("passwd shadow", "group gshadow", "passwd shadow group gshadow"):
        machine.sudo("create")
        machine.sh(f"cd /etc; sed -i /^pair:/d {files}")
        machine.sudo("remove")
        assert machine.listing() == before, files


def test_a_user_who_is_not_pairings_is_left_alone(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.sh("useradd -m pair")
    assert machine.refused("create") == "account-taken"
    assert machine.refused("remove") == "account-taken"
    assert machine.refused("create", HOST) == "account-taken"
    assert machine.refused("create", "root") == "account-taken"
    machine.sh("mkdir /home/other")
    assert machine.refused("create", "other") == "account-taken"


def test_an_account_belongs_to_one_host(machine_with_account: Machine) -> None:
    shown = machine_with_account.network.guest.run("pairctl", "account", "show", "--json")
    assert json.loads(shown.stdout)["missing"] == []  # they may not look into all of it
    assert machine_with_account.refused("create", user="pairguest") == "account-of-another"
    assert machine_with_account.refused("remove", user="pairguest") == "account-of-another"
    machine_with_account.root.run("pairctl", "account", "remove")  # root may


def test_a_name_that_could_mean_something_else_is_refused(machine_of_its_own: Machine) -> None:
    for name in ("", "Pair", "1pair", "a b", "../x", "p" * 32, "pair;id", "ALL"):
        assert machine_of_its_own.refused("create", name) == "bad-account-name", name


def test_a_rule_that_sudo_cannot_read_is_never_in_place(machine_of_its_own: Machine) -> None:
    write = """
from pairctl.services import steps
steps.perform([steps.Write("/etc/sudoers.d/pairing-pair", "broken (", 0o440,
                           ("visudo", "-c", "-q", "-f"))], "")
"""
    before = machine_of_its_own.listing()
    done = machine_of_its_own.root.run("python", "-c", write, check=False)
    assert "visudo" in done.stderr
    assert machine_of_its_own.listing() == before


def test_a_rule_that_sudo_does_not_honour_is_removed_again(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    machine.sh("sed -i 's/^@includedir.*//' /etc/sudoers")
    assert machine.asks("create")["error"]["code"] == "rule-ignored"
    assert machine.sh("ls -A /etc/sudoers.d").split() == ["README"]
    assert machine.asks("show")["missing"] == [f"the rule {RULE}"]
    machine.sh("echo '@includedir /etc/sudoers.d' >>/etc/sudoers")
    assert machine.asks("create")["complete"] is True


@pytest.mark.attack("the host runs something else than the two programs as the account", "refused")
def test_sudo_runs_the_two_programs_and_nothing_else(machine_with_account: Machine) -> None:
    machine = machine_with_account
    assert machine.runs(f"{PROGRAMS}/tmux", "-V").stdout.startswith("tmux ")
    assert machine.runs("-l", f"{PROGRAMS}/guest").returncode == 0
    for words in (
        ("/bin/sh",),
        ("-s",),
        ("-i",),
        ("/usr/bin/tmux",),
        (f"{PROGRAMS}/guest.py",),
        (f"{PROGRAMS}/join.sh",),
    ):
        assert machine.runs(*words).returncode != 0, words
    for user in ("root", "pairguest"):
        tmux = ("sudo", "-n", "-u", user, f"{PROGRAMS}/tmux", "-V")
        assert machine.host.run(*tmux, check=False).returncode != 0
    other = machine.network.guest.run("sudo", "-n", "-u", "pair", f"{PROGRAMS}/tmux", check=False)
    assert other.returncode != 0


@pytest.mark.attack(
    "a guest in an account reads a file of the host's that is the host's alone", "refused"
)
def test_the_account_reads_nothing_of_the_hosts(machine_with_account: Machine) -> None:
    machine = machine_with_account
    machine.host.run("sh", "-c", "umask 077; echo secret >/tmp/secret; echo secret >~/secret")
    for file in ("/tmp/secret", "/srv/host/secret"):
        done = machine.as_pair("cat", file)
        assert (done.stdout, done.returncode) == ("", 1)
    for file in (f"{ROOT}/pair/programs/tmux", f"{ROOT}/pair/account.json", f"{ROOT}/pair/host/x"):
        assert machine.as_pair("sh", "-c", f"echo >>{file}").returncode != 0
    assert machine.as_pair("sudo", "-n", "true").returncode != 0


def test_what_others_have_put_beside_the_accounts_files_stays(
    machine_with_account: Machine,
) -> None:
    machine = machine_with_account
    machine.as_pair("mkdir", "-m", "777", "/tmp/theirs")
    machine.as_pair("touch", "/tmp/theirs/theirs")
    machine.host.run("touch", "/tmp/theirs/mine")
    machine.sudo("remove")
    assert machine.sh("ls /tmp/theirs").split() == ["mine"]


def test_without_root_the_command_with_sudo_is_the_remedy(machine_of_its_own: Machine) -> None:
    machine = machine_of_its_own
    for action in ("create", "remove"):
        done = machine.host.run("pairctl", "account", action, check=False)
        pairctl = machine.host.run("sh", "-c", "command -v pairctl").stdout.strip()
        assert done.returncode == 1
        assert done.stderr == (
            f"error: only root can {action} an account\nhint: sudo {pairctl} account {action} pair\n"
        )
    dry = machine.host.run("pairctl", "account", "create", "--dry-run").stdout
    assert f'"host": "{HOST}"' in dry
    assert f"{HOST} ALL=(pair) NOPASSWD: PAIRING_PAIR" in dry
    assert machine.asks("show")["error"]["code"] == "no-such-account"


def test_doctor_sees_whether_the_account_is_whole(machine_with_account: Machine) -> None:
    machine = machine_with_account

    def found() -> dict[str, Any]:
        said: dict[str, Any] = json.loads(machine.host.run("python", "-c", DOCTOR).stdout)
        return said

    assert (found()["state"], found()["message"]) == ("ok", "pair, for guests of yours")
    machine.sh(f"mv {RULE} /srv/rule")
    assert "rule" in found()["message"]
    machine.sh(f"mv /srv/rule {RULE}; rm {PROGRAMS}/join.sh")
    assert (found()["state"], found()["message"]) == (
        "warn",
        f"pair is half done: {PROGRAMS}/join.sh",
    )


@pytest.mark.attack(
    "a guest of an account leaves a key for the system's sshd",
    "nobody logs in: the account has expired",
)
def test_nothing_but_sudo_logs_in_to_the_account(machine_with_account: Machine) -> None:
    machine = machine_with_account
    machine.sh("""
        ssh-keygen -q -t ed25519 -N '' -f /srv/key
        mkdir -p /run/sshd /home/pair/.ssh
        cp /srv/key.pub /home/pair/.ssh/authorized_keys
        chown -R pair:pair /home/pair/.ssh
    """)
    sshd = ("/usr/sbin/sshd", "-D", "-e", "-p", "2222", "-o", "UsePAM=yes", "-o", "PidFile=none")
    machine.root.start(*sshd, log=machine.network.path("/srv/sshd.log"))
    ssh = (
        *("ssh", "-F", "none", "-i", "/srv/key", "-p", "2222", "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("pair@127.0.0.1", "id", "-un"),
    )
    becomes = ("su", "pair", "-c", "id -un")

    def said(how: tuple[str, ...]) -> str:
        done = machine.root.run(*how, check=False)
        return done.stdout + done.stderr

    until("sshd refuses it for that reason", lambda: "account has expired" in said(ssh))
    assert "account has expired" in said(becomes)
    machine.sh("chage -E -1 pair")
    assert [machine.root.run(*how).stdout for how in (ssh, becomes)] == ["pair\n"] * 2
