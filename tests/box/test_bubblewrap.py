"""The scripts that make a box on Linux, word by word: what the attacks are played against."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pairctl.tmux.box import summary
from pairingd import box as boxes
from pairingd.box import bubblewrap, plan
from pairingd.box.place import Box
from pairingd.box.scripts import exported, with_environment
from pairingd.protocol.confinement import BoxSettings
from tests.pairctl.samples import BOX_SETTINGS as SETTINGS

HOSTILE = 'it\'s a "project" $(touch x); `y`'


def planned(tmp_path: Path, settings: BoxSettings = SETTINGS, name: str = "project") -> plan.Plan:
    project = tmp_path.resolve() / "home" / name
    (project / ".git" / "hooks").mkdir(parents=True, exist_ok=True)
    environ = {"HOME": str(project.parent), "LANG": "C.UTF-8", "EDITOR": HOSTILE}
    return plan.make(str(project), "/usr/bin/tmux", settings, (), (), environ)


def words(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    return shlex.split("\n".join(lines).replace("\\\n", " "))


def after(script: str, option: str) -> list[str]:
    """The words after each `option`."""
    argv = words(script)
    return [argv[at + 1] for at, word in enumerate(argv) if word == option]


@pytest.mark.parametrize("network", ["none", "internet", "full"])
def test_the_scripts_are_valid_whatever_a_path_has_in_it(tmp_path: Path, network: str) -> None:
    settings: BoxSettings = {**SETTINGS, "network": network}  # type: ignore[typeddict-item]
    chosen = planned(tmp_path, settings, HOSTILE)
    box = Box(str(tmp_path / HOSTILE), "b0c5")
    scripts = (
        bubblewrap.server(box, chosen, "/usr/bin/bwrap"),
        bubblewrap.client(box, chosen, "/usr/bin/bwrap", boxes.glass()),
        bubblewrap.internet(box, "/usr/bin/pasta", box.server),
    )
    for script in scripts:
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert chosen.directory in after(scripts[0], "--bind")
    assert box.shared in after(scripts[1], "--ro-bind")


@pytest.mark.attack(
    "another user of the machine lists the command lines of all processes while a box is made",
    "no variable of `[box] env` is in them",
)
def test_the_environment_of_a_box_is_in_no_command_line(tmp_path: Path) -> None:
    """It is in a file that only the host can read, and is read as it was."""
    chosen = planned(tmp_path)
    box = Box(str(tmp_path / "root"), "b0c5")
    script = bubblewrap.server(box, chosen, "/usr/bin/printenv")
    assert HOSTILE not in " ".join(words(script)).replace(box.environment, "")
    Path(box.path).mkdir(parents=True)
    Path(box.environment).write_text(exported(chosen.environment))
    argv = (*shlex.split(with_environment(box.environment)), "/usr/bin/printenv", "EDITOR")
    read = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert read.stdout == f"{HOSTILE}\n"


def test_each_network_is_made_as_decided(tmp_path: Path) -> None:
    box = Box(str(tmp_path), "b0c5")

    def server(network: str) -> str:
        settings: BoxSettings = {**SETTINGS, "network": network}  # type: ignore[typeddict-item]
        return bubblewrap.server(box, planned(tmp_path, settings), "/usr/bin/bwrap")

    assert "--unshare-net" in words(server("none"))
    assert "--unshare-net" not in words(server("full"))
    assert after(server("internet"), "--uid") == [str(os.getuid())]
    assert box.resolv_conf in after(server("internet"), "--ro-bind")
    assert bubblewrap.resolv_conf() == "nameserver 169.254.1.1\n"
    around = words(bubblewrap.internet(box, "/usr/bin/pasta", "/inside"))
    assert "--no-map-gw" in around
    assert [around[around.index(option) + 1] for option in ("-t", "-u", "-T", "-U")] == ["none"] * 4


def test_a_client_has_no_network_and_no_share(tmp_path: Path) -> None:
    settings: BoxSettings = {**SETTINGS, "network": "full"}
    chosen = planned(tmp_path, settings)
    script = bubblewrap.client(Box(str(tmp_path), "b0c5"), chosen, "/usr/bin/bwrap", ["glass"])
    assert "--unshare-net" in words(script)
    assert chosen.directory not in words(script)
    assert "--bind" not in words(script)


def test_limits_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings: BoxSettings = {**SETTINGS, "memory": 1 << 30, "processes": 99}
    box, chosen = Box(str(tmp_path), "b"), planned(tmp_path, settings)
    for script in (
        bubblewrap.server(box, chosen, "/bwrap"),
        bubblewrap.client(box, chosen, "/bwrap", ["glass"]),
    ):
        assert "prlimit --data=1073741824 --nproc=99 -- /usr/bin/tmux" in script


def test_what_is_protected_comes_after_what_is_shared(tmp_path: Path) -> None:
    chosen = planned(tmp_path)
    argv = words(bubblewrap.server(Box(str(tmp_path), "b"), chosen, "/usr/bin/bwrap"))
    at = [argv.index(path) for path in (chosen.directory, f"{chosen.directory}/.git/hooks")]
    assert at == sorted(at)


def test_what_is_to_read_within_a_share_is_not_written(tmp_path: Path) -> None:
    vendor = tmp_path.resolve() / "home" / "project" / "vendor"
    vendor.mkdir(parents=True)
    chosen = planned(tmp_path, {**SETTINGS, "read": [str(vendor)]})
    argv = words(bubblewrap.server(Box(str(tmp_path), "b"), chosen, "/usr/bin/bwrap"))
    assert argv.index(str(vendor)) > argv.index(chosen.directory)
    assert argv[argv.index(str(vendor)) - 1] == "--ro-bind"


def test_the_first_screen_says_what_is_shared_and_what_is_not(tmp_path: Path) -> None:
    text = "\n".join(summary(planned(tmp_path)))
    assert "~/project" in text
    assert "~/project/.git/hooks" in text
    assert "network:   none" in text
