"""`pairctl account`: its plans for both systems, recorded; and what it refuses.

What the plans do is in tests/e2e/test_account.py, on Linux.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pairctl.__main__ import main
from pairctl.accounts import acl, create, facts, remove, shares, trust
from pairctl.accounts.actions import Kill
from pairctl.accounts.facts import Facts
from pairctl.services import steps
from pairingd.account import check, programs
from pairingd.account.place import Account, Record, as_json
from pairingd.core.refusal import PairingError
from tests.golden import is_golden

GOLDEN = Path(__file__).parent / "golden" / "accounts"
SYSTEMS = ("linux", "darwin")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root owns what root owns")


@pytest.fixture
def place() -> Iterator[Path]:
    """Of mode 0700, in a directory that everybody may pass."""
    with tempfile.TemporaryDirectory(prefix="pair", dir="/tmp") as directory:
        yield Path(directory)


def planned(place: Path, system: str) -> Facts:
    """An account that shares PLACE/work, and of which nothing is there."""
    (place / "work").mkdir(exist_ok=True)
    tmux = "/opt/homebrew/bin/tmux" if system == "darwin" else "/usr/bin/tmux"
    record = Record("mark", "/usr/bin/python3", "/usr/sbin/sshd", tmux, (str(place / "work"),))
    account = Account("guests", str(place / "pairing"))
    home = account.home
    shell = check.new_shell()
    return Facts(account, record, None, False, home, shell, "staff", system, new_id=612)


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setattr(sys, "platform", name)
    lang = "en_US.UTF-8" if name == "darwin" else "C.UTF-8"
    monkeypatch.setattr(programs, "LANG", lang)
    monkeypatch.setattr(check, "SHELLS", ("/bin/zsh" if name == "darwin" else "/bin/sh",))
    return name


def text(plan: list[steps.Step], place: Path) -> str:
    """Without the programs that are copied as they are."""
    copied = ("guest.py", *programs.FORCED_COMMAND)
    parts = []
    for step in plan:
        if isinstance(step, steps.Write) and Path(step.path).name in copied:
            parts.append(steps.shown(step._replace(content="(as in this repository)")))
        else:
            parts.append(steps.shown(step))
    return "".join(f"{line}\n" for line in parts).replace(str(place), "/PLACE")


def test_the_plan_to_create_is_the_recorded_one(system: str, place: Path) -> None:
    facts_before = planned(place, system)
    plan = [*create.steps(facts_before), *create.proofs(facts_before)]
    is_golden(GOLDEN / f"create-{system}.txt", text(plan, place))


def test_the_plan_to_remove_is_the_recorded_one(
    system: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts_before = planned(place, system)
    account = facts_before.account
    Path(account.programs).mkdir(parents=True)
    Path(account.record_file).write_text(as_json(facts_before.record))
    someone = SimpleNamespace(pw_uid=os.getuid(), pw_gid=os.getgid())
    monkeypatch.setattr(pwd, "getpwnam", lambda _: someone)
    monkeypatch.setattr(shares, "_names", lambda parent, _: parent == str(place))
    monkeypatch.setattr(os.path, "isdir", lambda _: True)
    monkeypatch.setattr(os.path, "lexists", lambda _: True)
    facts_before = facts_before._replace(recorded=facts_before.record, exists=True)
    shown = text(remove.steps(facts_before), place).replace(f"user/{os.getuid()}", "user/612")
    is_golden(GOLDEN / f"remove-{system}.txt", shown)
    elsewhere = facts_before._replace(home="/srv")  # by usermod(8): pairctl has not made that
    assert remove.steps(elsewhere) == remove.steps(facts_before)


def test_the_rule_is_the_last_to_come_and_the_first_to_go(place: Path) -> None:
    facts_before = planned(place, "linux")
    rule = programs.sudoers_file(facts_before.account)
    writes = [step.path for step in create.steps(facts_before) if isinstance(step, steps.Write)]
    assert writes[0] == facts_before.account.record_file
    assert writes[-1] == rule


def test_a_dry_run_shows_every_byte(place: Path) -> None:
    for step in create.steps(planned(place, "linux")):
        if isinstance(step, steps.Write):
            shown = [line[9:] for line in steps.shown(step).splitlines()]
            assert all(line.rstrip() in shown for line in step.content.splitlines()), step.path
            assert steps.as_json(step)["content"] == step.content


def test_the_json_of_a_step_has_its_mode_and_its_check() -> None:
    step = steps.as_json(steps.Write("/a", "b", 0o440, ("visudo", "-c")))
    assert (step["mode"], step["check"]) == ("0440", ("visudo", "-c"))
    assert steps.as_json(Kill("pair")) == {"step": "kill", "user": "pair"}


def test_a_random_password_is_never_shown(tmp_path: Path) -> None:
    program = tmp_path / "dscl"
    program.write_text(f'#!/bin/sh\necho "$2" >{tmp_path}/password\nexit 1\n')
    program.chmod(0o755)
    step = steps.Run((str(program), "-passwd", steps.RANDOM))
    with pytest.raises(PairingError) as failed:
        steps.perform([step], "")
    password = (tmp_path / "password").read_text().strip()
    assert len(password) >= 32
    assert password.isalnum(), "dscl could take it for an option"
    assert steps.RANDOM in failed.value.message
    assert password not in failed.value.message + steps.shown(step)


# What is refused


def error(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    status = main(["account", *words, "--json"])
    error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    return status, error


@pytest.mark.parametrize(
    "name", ["", "Pair", "1pair", "a b", "../x", "p" * 32, "pair;id", "ALL", "pair\n", "päir"]
)
def test_a_name_that_could_mean_something_else_is_refused(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for action in ("create", "remove", "show"):
        status, refused = error(capsys, action, name)
        assert (status, refused["code"]) == (2, "bad-account-name")


@pytest.mark.parametrize("words", [("show", "--dry-run"), ("show", "--dir", "/x"), ("make",)])
def test_what_makes_no_sense_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    status, refused = error(capsys, *words)
    assert (status, refused["code"]) == (2, "usage")


def test_without_root_the_hint_is_the_whole_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pairctl = tmp_path / "a b" / "pairctl"
    pairctl.parent.mkdir()
    pairctl.touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", [str(pairctl)])
    status, refused = error(capsys, "create", "ours", "--dir", "/srv/it's")
    assert (status, refused["code"]) == (1, "needs-root")
    assert refused["hint"] == (f"sudo '{pairctl}' account create ours --dir " + "'/srv/it'\"'\"'s'")


def test_an_account_that_was_never_made_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status, refused = error(capsys, "show", "never-made")
    assert (status, refused["code"]) == (1, "no-such-account")
    assert "account create never-made" in refused["hint"]


@needs_root
def test_to_remove_an_account_that_does_not_exist_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["account", "remove", "no-such-account"]) == 0
    nothing = "there is no account no-such-account; nothing was removed\n"
    assert capsys.readouterr().out == nothing


def test_a_dry_run_to_remove_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["account", "remove", "never-made", "--dry-run"]) == 0
    assert capsys.readouterr().out == "nothing is left to do\n"


@pytest.mark.parametrize(
    "name", ["ALL", "ADMINS", "a@corp.example", "CORP\\a", "a b", "%wheel", ""]
)
def test_a_host_whose_name_means_something_else_in_sudoers_gets_no_rule(name: str) -> None:
    with pytest.raises(ValueError):
        programs.sudoers(Account("pair"), Record(name))


@pytest.mark.parametrize("name", ["mark", "mark.o", "Mark", "x-1_y"])
def test_other_hosts_get_their_rule(name: str) -> None:
    assert f"\n{name} ALL=(pair) NOPASSWD: " in programs.sudoers(Account("pair"), Record(name))


def test_no_two_accounts_have_an_alias_in_common() -> None:
    names = ("pair", "a-b", "a_b", "a_-b", "a-_b", "a_h", "a_hb", "a-hb")
    rules = [programs.sudoers(Account(name), Record("octocat")) for name in names]
    aliases = {line.split()[1] for rule in rules for line in rule.splitlines() if "_Alias" in line}
    assert len(aliases) == len(names)
    assert "PAIRING_PAIR" in aliases


@pytest.mark.parametrize(
    ("program", "code"),
    [*((program, "missing-program") for program in ("visudo", "useradd", "sshd", "tmux"))],
)
def test_a_missing_program_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, program: str, code: str
) -> None:
    which = shutil.which

    def which_without(name: str, **options: Any) -> str | None:
        return None if name == program else which(name, **options) or f"/usr/sbin/{name}"

    monkeypatch.setattr(shutil, "which", which_without)
    monkeypatch.setattr(facts, "_python", lambda _: "/usr/bin/python3")
    monkeypatch.setattr(trust, "require", lambda *_: None)
    monkeypatch.setattr(os.path, "isdir", lambda _: True)
    with pytest.raises(PairingError) as refused:
        facts.programs("mark")
    assert refused.value.code == code
    assert program in refused.value.message
    assert refused.value.hint


def test_without_a_python_for_everybody_the_remedy_is_one_of_the_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(facts, "_PROGRAM_DIRECTORIES", ())
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(PairingError) as refused:
        facts._python("mark")
    assert refused.value.code == "no-python"
    assert "apt install python3" in refused.value.hint


# Who could replace a program


@needs_root
def test_a_program_that_others_could_replace_is_named_by_the_place(place: Path) -> None:
    program = place / "bin" / "tmux"
    program.parent.mkdir()
    program.touch()
    assert trust.offender(str(program)) == "", "/tmp has the sticky bit"
    link = place / "tmux"
    link.symlink_to("bin/../bin/tmux")
    assert trust.offender(str(link)) == ""
    program.parent.chmod(0o757)
    assert trust.offender(str(link)) == str(program.parent)
    program.parent.chmod(0o755)
    os.chown(program, 65534, 0)
    assert trust.offender(str(link)) == str(program)
    with pytest.raises(PairingError) as refused:
        trust.require(str(link), "mark")
    assert refused.value.code == "unsafe-program"
    os.chown(program, 0, 65534)
    program.chmod(0o775)
    assert trust.offender(str(link)) == str(program)
    loop = place / "loop"
    loop.symlink_to(loop)
    assert trust.offender(str(loop)) == str(loop)
    assert trust.offender(str(place / "none")) == ""


# What root does as another user


def by_itself(script: str) -> list[str]:
    """What a process prints that has no threads, as `pairctl` has none: it forks."""
    program = f"import sys\nfrom pairctl.accounts import users\n{script}"
    return subprocess.check_output([sys.executable, "-c", program], text=True).split()


@needs_root
def test_what_is_done_as_another_user_is_theirs(place: Path) -> None:
    place.chmod(0o777)
    script = f"""
from pathlib import Path
place = Path({str(place)!r})
for name, file in ("nobody", "theirs"), ("nobody", "none/x"), ("no-such-user", "x"):
    print(users.done_as(name, (place / file).touch))
"""
    assert by_itself(script) == ["True", "False", "False"]
    assert (place / "theirs").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@needs_root
def test_root_is_never_killed_and_nobody_is_nobody() -> None:
    script = """
import pwd
print(users._status(pwd.getpwnam("root"), users._kill_all), users.kill("no-such-user", 1.0))
"""
    assert by_itself(script) == ["1", "True"]


def test_an_acl_that_cannot_be_read_has_no_entries(tmp_path: Path) -> None:
    assert acl.users(str(tmp_path / "none")) == {}
    assert not acl.repeats(str(tmp_path / "none"))
    assert not acl.lets_others_write(str(tmp_path))
