"""`pairctl doctor` on a whole machine; what is wrong there is really wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import psutil
import pytest

from pairingd.doctor.home import places
from pairingd.home.paths import find_paths
from pairingd.world.gateway.upnp import actions
from pairingd.world.gateway.upnp.actions import TCP, Forward
from pairingd.world.gateway.upnp.description import describe
from pairingd.world.gateway.upnp.exchange import ask
from tests.core.test_keys import ed25519
from tests.fakes.forge import Forge, Reply
from tests.session import own_stage
from tests.stage import EXTERNAL_HOST, PAIRCTL, Stage, free_port, until
from tests.waiting import WAIT_S

# Their words depend on the machine the tests run on.
MACHINES_OWN = (
    *("service", "disk", "box", "account", "user", "remote-login", "firewall", "sleep"),
)
HEALTHY = """\
ok    config        HOME/config.toml
ok    daemon        pairingd VERSION is running (pid PID)
ok    home          HOME
ok    tmux          tmux VERSION at PROGRAM
ok    ssh           OpenSSH VERSION at PROGRAM
ok    sshd          OpenSSH VERSION at PROGRAM
ok    login         a login with a throwaway key reached a terminal in TIME
ok    forge         github answers
ok    clock         right, compared with the forge's
ok    gateway       the router 127.0.0.1 (lo) speaks UPnP
ok    address       5.5.5.5 is public
ok    port          PORT is free on the router
"""
CHECK = {"name", "state", "message", "hint"}


stage = own_stage


def checks(stage: Stage, *argv: str, status: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """The findings of `pairctl doctor --json` by their name."""
    done = stage.pairctl("doctor", "--json", *argv, check=False)
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1)
    if status is not None:
        assert done.returncode == status, done.stdout
    by_name: dict[str, list[dict[str, Any]]] = {}
    for check in answer["checks"]:
        by_name.setdefault(check["name"], []).append(check)
    return by_name


def only(by_name: dict[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    (check,) = by_name[name]
    return check


def found(
    stage: Stage, *names: str, options: tuple[str, ...] = ()
) -> dict[str, list[dict[str, Any]]]:
    """As `checks`, of these checks alone: most of the time goes to the login and to the router."""
    program = (
        "from pairingd.doctor import __main__ as doctor; doctor.CHECKS = tuple("
        f"one for one in doctor.CHECKS if one.name in {names!r}); doctor.main()"
    )
    by_name: dict[str, list[dict[str, Any]]] = {}
    for line in stage.run(sys.executable, "-P", "-c", program, *options).stdout.splitlines():
        by_name.setdefault(json.loads(line)["name"], []).append(json.loads(line))
    return by_name


def rewrite(stage: Stage, old: str, new: str) -> None:
    config = stage.home / "config.toml"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def test_a_healthy_machine(stage: Stage) -> None:
    stage.daemon()
    done = stage.pairctl("doctor")
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    *lines, summary = done.stdout.splitlines(keepends=True)
    shown, name = "", ""
    for line in lines:
        name = line[6:20].strip() or name
        shown += "" if name in MACHINES_OWN else line
    for pattern, word in (
        (re.escape(str(stage.home)), "HOME"),
        (r"\(pid \d+\)", "(pid PID)"),
        (r"(pairingd|tmux|OpenSSH) \d\S*", r"\1 VERSION"),
        (r"at /\S+", "at PROGRAM"),
        (r"in \d+\.\d s", "in TIME"),
        (str(stage.external_port), "PORT"),
    ):
        shown = re.sub(pattern, word, shown)
    assert shown == HEALTHY
    assert re.fullmatch(r"\d+ checks: \d+ ok(, \d+ to look at)?\n", summary)


def test_json_is_one_document_of_the_same_findings(stage: Stage) -> None:
    stage.daemon()
    done = stage.pairctl("doctor", "--json")
    answer = json.loads(done.stdout)
    assert set(answer) == {"checks", "ok"}
    assert answer["ok"] is True
    assert done.stderr == ""
    for check in answer["checks"]:
        assert set(check) == CHECK
        assert check["state"] in {"ok", "warn", "fail"}
        assert check["state"] == "ok" or check["hint"]
        assert "\n" not in check["message"] + check["hint"]


def test_without_a_daemon_everything_else_is_examined(stage: Stage) -> None:
    findings = checks(stage, status=0)
    assert only(findings, "daemon")["state"] == "ok"  # before the first invite that is normal
    assert "not running" in only(findings, "daemon")["message"]
    for name in ("home", "tmux", "sshd", "login", "forge", "gateway", "port"):
        assert only(findings, name)["state"] == "ok", name
    assert {path.name for path in stage.home.iterdir()} == {"config.toml"}


def test_a_login_leaves_nothing_behind(stage: Stage) -> None:
    temporary = stage.path / "100%d of"  # ssh_config(5), TOKENS
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pairingd.doctor"],
        env={**stage.environment, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert '"login", "state": "ok"' in done.stdout
    assert list(temporary.iterdir()) == []
    left = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not any(str(temporary) in " ".join(words) for words in left)


def test_doctor_removes_its_temporary_files_on_sigterm(stage: Stage) -> None:
    temporary, reached, slow = (stage.path / name for name in ("tmp", "reached", "sshd"))
    temporary.mkdir()
    hangs = f'case $1 in -i) touch {reached}; exec sleep 60;; esac; exec /usr/sbin/sshd "$@"'
    slow.write_text(f"#!/bin/sh\n{hangs}\n")
    slow.chmod(0o755)
    stage.configure(f'\n[sshd]\ncommand = "{slow}"\n')
    with subprocess.Popen(
        [sys.executable, "-m", "pairingd.doctor"],
        env={**stage.environment, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
    ) as process:
        until(reached.exists, "the login is under way")
        assert list(temporary.iterdir())
        process.terminate()
        assert process.wait(WAIT_S) == 1
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "message", "detail"),
    [
        ("DenyUsers=*", "not allowed because listed in DenyUsers", "Permission denied (publickey)"),
        ("ForceCommand=echo elsewhere; exit 5", "the terminal showed: elsewhere", "ended with 5"),
        ("ForceCommand=exit 5", "the terminal showed: nothing", "ended with 5"),
    ],
)
def test_a_refused_login_is_reported_with_its_reason(
    stage: Stage, option: str, message: str, detail: str
) -> None:
    strict = stage.path / "sshd"
    strict.write_text(f'#!/bin/sh\nexec /usr/sbin/sshd "$@" -o "{option}"\n')
    strict.chmod(0o755)
    stage.configure(f'\n[sshd]\ncommand = "{strict}"\n')
    login = only(found(stage, "sshd"), "login")
    assert login["state"] == "fail"
    assert message in login["message"]
    assert any(detail in line for line in login["details"])


def test_a_missing_sshd_is_a_failure(stage: Stage) -> None:
    stage.configure('\n[sshd]\ncommand = "/nonexistent/sshd"\n')
    findings = checks(stage, status=1)
    assert only(findings, "sshd")["state"] == "fail"
    assert "/nonexistent/sshd" in only(findings, "sshd")["message"]
    assert "login" not in findings


def test_a_host_key_that_cannot_be_read_is_a_failure(stage: Stage) -> None:
    for name in ("host_ed25519", "pairingd.lock"):
        (stage.home / name).touch(0o600)  # as a full disk leaves the key
    works, fails = found(stage, "sshd")["sshd"]
    assert (works["state"], fails["state"]) == ("ok", "fail")
    assert str(stage.home / "host_ed25519") in fails["message"]
    assert fails["hint"].startswith("remove it for a new one")


def test_a_missing_tmux_is_a_failure(stage: Stage) -> None:
    stage.configure('\n[tmux]\ncommand = "/nonexistent/tmux"\n')
    tmux = only(found(stage, "tmux"), "tmux")
    assert tmux["state"] == "fail"
    assert "no tmux at /nonexistent/tmux" in tmux["message"]
    assert tmux["hint"].startswith("set [tmux] command in config.toml to a working tmux")


def test_another_tmux_on_path_is_found_if_the_first_does_not_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = stage.path / "shims" / "tmux"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho No version is set for command tmux >&2\nexit 126\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    tmux = only(found(stage, "tmux"), "tmux")
    assert tmux["state"] == "ok"
    assert str(shim) not in tmux["message"]


@pytest.mark.parametrize(
    ("says", "state"),
    [("tmux 3.1c", "fail"), ("tmux 3.2", "ok"), ("tmux next-3.7", "ok"), ("nothing", "fail")],
)
def test_tmux_must_be_new_enough(stage: Stage, says: str, state: str) -> None:
    other = stage.path / "tmux"
    other.write_text(f"#!/bin/sh\necho {says}\n")
    other.chmod(0o755)
    stage.configure(f'\n[tmux]\ncommand = "{other}"\n')
    tmux = only(found(stage, "tmux"), "tmux")
    assert tmux["state"] == state
    assert state == "ok" or "set [tmux] command" in tmux["hint"]


def test_paths_open_to_others_are_reported_and_fixed_only_with_fix(stage: Stage) -> None:
    key = stage.home / "authorized_keys"
    key.write_text("secret")
    key.chmod(0o644)
    (stage.home / "pairingd.lock").touch(0o600)  # a daemon has run here
    stage.home.chmod(0o777)
    findings = checks(stage, status=1)["home"]
    assert {finding["state"] for finding in findings} == {"fail"}
    assert [re.search(r"mode (\d+)", finding["message"]) is not None for finding in findings] == [
        True,
        True,
    ]
    assert stat.S_IMODE(stage.home.stat().st_mode) == 0o777
    mended = checks(stage, "--fix", status=0)["home"]
    assert [finding["message"].partition(":")[0] for finding in mended[:2]] == ["fixed", "fixed"]
    assert stat.S_IMODE(stage.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert only(found(stage, "home"), "home")["state"] == "ok"


def test_every_private_file_of_the_daemon_is_checked(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    paths = find_paths({"PAIRING_HOME": str(tmp_path)})
    for name in paths.private_files:
        Path(name).touch(0o600)
        Path(name).chmod(0o644)
    findings = places(paths, fix=False)
    names = [finding.message.partition(" has mode 644")[0] for finding in findings]
    assert names == list(paths.private_files)


def test_a_directory_that_is_closed_is_not_called_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    [finding] = places(find_paths({"PAIRING_HOME": str(tmp_path)}), fix=False)
    assert finding.message.endswith("has mode 500, not 700")


def test_a_home_that_others_could_replace_is_reported_and_left_alone(stage: Stage) -> None:
    stage.path.chmod(0o777)
    home = only(found(stage, "home", options=("--fix",)), "home")
    assert home["state"] == "fail"
    assert f"chmod go-w {stage.path}" in home["hint"]
    assert stat.S_IMODE(stage.path.stat().st_mode) == 0o777


def test_a_home_too_deep_for_a_socket_is_a_failure(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = stage.path / ("x" * 100)
    deep.mkdir()
    (stage.home / "config.toml").rename(deep / "config.toml")
    stage.home = deep
    output = stage.run(sys.executable, "-m", "pairingd.doctor").stdout
    findings = {finding["name"]: finding for finding in map(json.loads, output.splitlines())}
    assert findings["home"]["state"] == "fail"
    assert "PAIRING_HOME" in findings["home"]["hint"]
    assert findings["login"]["state"] == "ok"
    assert findings["daemon"]["state"] == "warn"
    assert not {"forge", "clock", "gateway"} & set(findings)


def test_a_configuration_that_cannot_be_read_is_named_and_no_default_machine_asked(
    stage: Stage,
) -> None:
    rewrite(stage, "external_port", "exernal_port")
    program = (
        "from pairingd.doctor import __main__ as doctor\n"
        "async def check(subject):\n"
        "    yield doctor.Finding.ok('called', '')\n"
        "doctor.CHECKS = [\n"
        "    doctor.Check(one.name, check, as_configured=one.as_configured)\n"
        "    for one in doctor.CHECKS if one.name in {'tmux', 'forge', 'clock', 'gateway'}]\n"
        "doctor.main()"
    )
    lines = stage.run(sys.executable, "-c", program).stdout.splitlines()
    finding, *others = map(json.loads, lines)
    assert (finding["name"], finding["state"]) == ("config", "fail")
    assert "exernal_port" in finding["message"]
    assert finding["details"] == ["not checked until then: forge, clock, gateway"]
    assert [other["name"] for other in others] == ["called"]


def test_a_left_over_socket_is_removed_with_fix(stage: Stage) -> None:
    daemon = stage.daemon()
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    socket = stage.home / "pairingd.sock"
    finding = only(found(stage, "daemon"), "daemon")
    assert finding["state"] == "warn"
    assert "left its socket behind" in finding["message"]
    assert socket.exists()
    assert "fixed" in only(found(stage, "daemon", options=("--fix",)), "daemon")["message"]
    assert not socket.exists()


def test_a_daemon_that_hangs_does_not_hold_the_doctor_up(stage: Stage) -> None:
    daemon = stage.daemon()
    daemon.send_signal(signal.SIGSTOP)
    try:
        finding = only(checks(stage, "--fix", status=1), "daemon")
    finally:
        daemon.send_signal(signal.SIGCONT)
    assert finding["state"] == "fail"
    assert "does not answer" in finding["message"]
    assert (stage.home / "pairingd.sock").exists()


def test_a_held_port_of_the_door_is_found_with_its_holder(stage: Stage) -> None:
    port = free_port()
    rewrite(stage, "[door]\n", f"[door]\nport = {port}\n")
    assert only(found(stage, "door"), "door")["message"] == f"port {port} is free"
    with socket.create_server(("127.0.0.1", port)):
        door = only(found(stage, "door"), "door")
        stage.guest("octocat")
        refused = stage.pairctl("invite", "octocat", "--json", check=False)
    assert door["state"] == "fail"
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "door-blocked"
    for message in (door["message"], error["message"]):
        assert f"port {port}: Address already in use, by " in message
        assert message.endswith(f"(pid {os.getpid()})")


def test_a_fixed_port_held_by_our_open_door_is_reported_as_open(stage: Stage) -> None:
    port = free_port()
    rewrite(stage, "[door]\n", f"[door]\nport = {port}\n")
    stage.guest("octocat")
    stage.pairctl("invite", "octocat")
    assert only(found(stage, "door"), "door")["message"] == f"open on port {port}"


async def test_a_wrong_clock_is_reported_by_invite_too(stage: Stage) -> None:
    async with Forge() as forge:
        date = formatdate(time.time() + 7200, usegmt=True)
        for name in ("octocat", "hubot"):
            forge.replies[f"/{name}.keys"] = Reply(ed25519(len(name)), headers={"Date": date})
        rewrite(stage, stage.forge, forge.url)
        done = await asyncio.to_thread(stage.run, PAIRCTL, "invite", "octocat", "hubot", "--json")
    warnings = [warning["code"] for warning in json.loads(done.stdout)["warnings"]]
    assert warnings.count("clock-wrong") == 1


def test_a_forge_that_is_down_is_a_warning(stage: Stage) -> None:
    rewrite(stage, stage.forge, f"http://127.0.0.1:{free_port()}")
    findings = found(stage, "forge", "clock")
    assert only(findings, "forge")["state"] == "warn"
    assert "Connection refused" in only(findings, "forge")["message"]
    assert only(findings, "clock")["state"] == "warn"


def test_each_forge_of_the_configuration_is_asked_and_no_other(stage: Stage) -> None:
    stage.configure(f'\n[providers.work]\nkeys_url = "{stage.forge}/{{name}}.keys"\n')
    messages = [finding["message"] for finding in found(stage, "forge")["forge"]]
    assert messages == ["github answers", "work answers"]


@pytest.mark.parametrize(
    ("off", "expected"), [(-7200, "2h fast"), (600, "10m slow"), (30, "right")]
)
async def test_the_clock_is_compared_with_the_forges(stage: Stage, off: int, expected: str) -> None:
    async with Forge() as forge:
        date = formatdate(time.time() + off, usegmt=True)
        forge.replies["/pairing-doctor.keys"] = Reply(status=404, headers={"Date": date})
        rewrite(stage, stage.forge, forge.url)
        clock = only(await asyncio.to_thread(found, stage, "clock"), "clock")
    assert expected in clock["message"]
    assert clock["state"] == ("ok" if expected == "right" else "warn")


def test_without_a_router_a_warning_names_the_lan(stage: Stage) -> None:
    config = (stage.home / "config.toml").read_text()
    (url,) = re.findall(r'description_url = "(.*)"', config)
    rewrite(stage, url, f"http://127.0.0.1:{free_port()}/rootDesc.xml")
    findings = found(stage, "gateway", options=("--router",))
    assert only(findings, "gateway")["state"] == "warn"
    assert "LAN" in only(findings, "gateway")["message"]
    assert not {"address", "port", "igd", "dry-run"} & set(findings)


async def forwarded(description_url: str, forward: Forward) -> None:
    [service] = (await ask(describe(description_url), "127.0.0.1")).wan_services
    await ask(actions.add_forward(service, forward), "127.0.0.1")


def test_a_port_held_by_another_machine_is_named_and_left_alone(stage: Stage) -> None:
    web_server = Forward(stage.external_port, TCP, "127.0.0.9", 80, "web server", 0)
    asyncio.run(forwarded(stage.description_url, web_server))
    findings = found(stage, "gateway", options=("--router",))
    port = only(findings, "port")
    assert port["state"] == "warn"
    assert "127.0.0.9:80 (web server)" in port["message"]
    (row,) = only(findings, "mappings")["details"]
    assert row == f"{stage.external_port}/TCP -> 127.0.0.9:80  no end  web server"
    assert [mapping["client"] for mapping in stage.mappings()] == ["127.0.0.9"]


def test_a_port_that_is_open_for_our_own_guests_is_fine(stage: Stage) -> None:
    stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy")
    until(lambda: stage.asks("status")["mapping"]["state"] == "open", "the port is open")
    before = stage.mappings()
    findings = found(stage, "gateway", options=("--router",))
    assert only(findings, "port")["state"] == "ok"
    assert "this session" in only(findings, "port")["message"]
    assert only(findings, "dry-run")["state"] == "ok"
    after = stage.mappings()
    assert [mapping["external_port"] for mapping in before] == [
        mapping["external_port"] for mapping in after
    ]


def test_the_router_option_reports_address_services_mappings_and_a_dry_run(stage: Stage) -> None:
    findings = checks(stage, "--router", status=0)
    assert only(findings, "address")["message"].startswith(EXTERNAL_HOST)
    assert only(findings, "igd")["details"][-1].endswith(":WANIPConnection:1")
    assert only(findings, "mappings")["message"].startswith("0 ")
    assert re.search(r"UPnP opened port \d+ .*closed it", only(findings, "dry-run")["message"])
    assert stage.mappings() == []
    assert "exchanges" not in findings


def test_verbose_shows_the_whole_exchange_with_the_router(stage: Stage) -> None:
    printed = stage.pairctl("doctor", "--verbose").stdout
    assert "#GetExternalIPAddress" in printed
    assert f"<NewExternalIPAddress>{EXTERNAL_HOST}<" in printed


def test_a_disabled_router_is_not_asked(stage: Stage) -> None:
    rewrite(stage, "[router]", "[router]\nenabled = false")
    findings = found(stage, "gateway", options=("--router",))
    assert only(findings, "gateway")["state"] == "ok"
    assert not {"address", "port", "dry-run"} & set(findings)


@pytest.mark.parametrize(
    ("script", "name", "message"),
    [
        ("", "sshd", "not checked: ssh: No such file"),
        ("echo Bad configuration option: x >&2; exit 255", "login", "Bad configuration option"),
    ],
)
def test_an_ssh_that_connects_to_nothing_is_reported_with_its_reason(
    stage: Stage, tmp_path: Path, script: str, name: str, message: str
) -> None:
    keygen = shutil.which("ssh-keygen")
    assert keygen
    (tmp_path / "ssh-keygen").symlink_to(keygen)
    if script:
        (tmp_path / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ssh").chmod(0o755)
    found = without_the_usual_path(stage, tmp_path)[name]
    assert (found["state"], message in found["message"]) == ("fail", True)


def test_a_missing_ssh_is_a_failure(stage: Stage, tmp_path: Path) -> None:
    findings = without_the_usual_path(stage, tmp_path)
    assert findings["ssh"]["state"] == "fail"
    assert "not on PATH" in findings["ssh"]["message"]


def without_the_usual_path(stage: Stage, tmp_path: Path) -> dict[str, Any]:
    """The last finding of each name; all programs but sshd are those in `tmp_path`."""
    environment = {**stage.environment, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pairingd.doctor"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {finding["name"]: finding for finding in map(json.loads, done.stdout.splitlines())}
