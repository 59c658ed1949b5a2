"""As a new user does it: the wheel into an empty account, once round, and away again."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.e2e.network import DESCRIPTION_URL, HOST, Network, Place, until
from tests.package import build

# The forge is out of reach, as it is for the test network; that is but a warning.
CONFIG = f"""
[router]
description_url = "{DESCRIPTION_URL}"
[providers.github]
keys_url = "http://127.0.0.1:9/{{name}}.keys"
"""


class Account:
    """`pairctl` is the wheel's; what it depends on is that of these tests."""

    def __init__(self, network: Network, wheel: Path) -> None:
        self.place: Place = network.host
        self.home = network.host.home
        self._bin = f"{self.home}/pairing/bin"
        shutil.copy(wheel, network.path("/srv"))
        self.place.run(sys.executable, "-m", "venv", "--without-pip", f"{self.home}/pairing")
        self.place.run(
            *(sys.executable, "-m", "pip", "--python", f"{self._bin}/python", "install"),
            *("--quiet", "--no-index", "--no-deps", f"/srv/{wheel.name}"),
        )
        (packages,) = network.path(f"{self.home}/pairing").glob("lib/python*/site-packages")
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def pairctl(self, *words: str, status: int = 0) -> str:
        # Not as `pairctl`: nothing of the checkout may be found before the wheel.
        done = self.place.run(f"{self._bin}/pairctl", *words, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        return self.place.run(f"{self._bin}/python", "-c", code).stdout.strip()

    def files(self) -> set[str]:
        """Of the account, but for the program itself."""
        own = ("-path", f"{self.home}/pairing", "-prune", "-o")
        return set(self.place.run("find", self.home, *own, "-print").stdout.splitlines())


@pytest.fixture
def account(network: Network, tmp_path: Path) -> Account:
    return Account(network, build(tmp_path)[0])


def test_uninstall_leaves_only_the_user_s_own_files(network: Network, account: Account) -> None:
    key = f"{account.home}/visitor"
    account.place.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    before = account.files()
    config = f"{account.home}/.config/pairing"
    write = f"umask 077; mkdir -p {config}; cat >{config}/config.toml"
    account.place.run("sh", "-c", write, given=CONFIG)

    where = "import pairctl, pairingd; print(pairctl.__file__, pairingd.__file__)"
    assert account.python(where).count(f"{account.home}/pairing/") == 2
    assert account.pairctl("--version").endswith("(not running)\n")
    checks = json.loads(account.pairctl("doctor", "--json"))["checks"]
    assert [check for check in checks if check["state"] == "fail"] == []
    templates = "from pairctl.services.origin import template as t; print(len(t({!r})))"
    assert int(account.python(templates.format("systemd/pairingd.service")))
    assert int(account.python(templates.format("launchd/io.github.pairing.pairingd.plist")))

    invited = account.pairctl("invite", f"file:{key}.pub", "--no-copy")
    assert invited.splitlines()[-1].startswith("ssh ")
    until("the way in is open", lambda: network.reaches(22))
    door = json.loads(account.pairctl("status", "--json"))["door"]["port"]

    uninstalled = json.loads(account.pairctl("uninstall", "--json"))
    tmux = f"{account.home}/.local/state/pairing/tmux.sock"
    assert uninstalled["kept"] == [f"{config}/config.toml", tmux]
    assert network.mappings() == []
    assert not network.reaches(22)
    assert not network.greets(network.router, HOST, door)
    account.pairctl("status", status=3)
    account.place.run("tmux", "-S", tmux, "kill-server")
    account.pairctl("uninstall")
    account.place.run("rm", f"{config}/config.toml")
    account.pairctl("uninstall")
    # The XDG Base Directory Specification's own, which others use as well.
    shared = {f"{account.home}/{name}" for name in (".config", ".local", ".local/state")}
    assert account.files() - before == shared
    running = account.place.run(
        "ps", "-U", account.place.run("id", "-u").stdout.strip(), "-o", "args="
    )
    assert "pairingd" not in running.stdout
    assert "sshd" not in running.stdout
