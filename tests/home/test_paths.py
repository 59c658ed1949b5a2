from __future__ import annotations

import pytest

from pairingd.errors import PairingError
from pairingd.home.paths import find_paths


def test_pairing_home_holds_everything() -> None:
    paths = find_paths({"PAIRING_HOME": "/p", "XDG_STATE_HOME": "/x"}, platform="linux")
    assert paths.directories == ("/p",)
    assert [getattr(paths, name) for name in paths.__slots__ if name != "directories"] == [
        "/p/authorized_keys",
        "/p/config.toml",
        "/p/pairingd.sock",
        "/p/host_ed25519",
        "/p/pairingd.lock",
        "/p/pairingd.log",
        "/p/sshd_config",
        "/p/state.db",
        "/p/pairingd.stderr",
        "/p/tmux.sock",
    ]
    assert find_paths({"PAIRING_HOME": "/p/../q/"}, platform="linux").directories == ("/q",)


@pytest.mark.parametrize("home", ["here", "./here", "~/pairing", "~"])
def test_a_relative_home_is_refused_for_daemon_and_client_may_stand_elsewhere(home: str) -> None:
    with pytest.raises(PairingError) as refused:
        find_paths({"PAIRING_HOME": home})
    assert refused.value.code == "relative-home"
    assert home in refused.value.message
    assert "$HOME" in refused.value.hint


def test_macos_has_its_own_places() -> None:
    paths = find_paths({"HOME": "/Users/m", "XDG_STATE_HOME": "/x"}, platform="darwin")
    support = "/Users/m/Library/Application Support/pairing"
    assert paths.directories == (support, "/Users/m/Library/Logs/pairing")
    assert paths.control_socket == f"{support}/pairingd.sock"
    assert paths.log == "/Users/m/Library/Logs/pairing/pairingd.log"


def test_linux_follows_the_xdg_specification() -> None:
    environ = {
        "HOME": "/home/m",
        "PAIRING_HOME": "",
        "XDG_CONFIG_HOME": "/c",
        "XDG_STATE_HOME": "/s",
        "XDG_RUNTIME_DIR": "/r",
    }
    paths = find_paths(environ, platform="linux")
    assert paths.directories == ("/c/pairing", "/s/pairing", "/r/pairing")
    assert paths.config == "/c/pairing/config.toml"
    assert paths.state_db == "/s/pairing/state.db"
    assert paths.lock == "/s/pairing/pairingd.lock"
    assert paths.control_socket == "/r/pairing/pairingd.sock"
    assert paths.tmux_socket == "/s/pairing/tmux.sock"  # a logout removes the runtime directory
    assert paths.control_sockets == ("/r/pairing/pairingd.sock", "/s/pairing/pairingd.sock")


def test_linux_without_xdg_or_with_relative_values_uses_its_defaults() -> None:
    for odd in ({}, {"XDG_STATE_HOME": "s", "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": "./r"}):
        paths = find_paths({"HOME": "/home/m", **odd}, platform="linux")
        assert paths.directories == ("/home/m/.config/pairing", "/home/m/.local/state/pairing")
        assert paths.control_socket == "/home/m/.local/state/pairing/pairingd.sock"


@pytest.mark.parametrize("home", ["~", "here", "./here"])
def test_a_home_that_is_no_absolute_path_is_refused(home: str) -> None:
    """`~` is what is left of it without HOME and without an account."""
    with pytest.raises(PairingError) as refused:
        find_paths({"HOME": home})
    assert refused.value.code == "relative-home"


@pytest.mark.parametrize(("platform", "longest"), [("linux", 107), ("darwin", 103)])
def test_a_socket_path_too_long_is_refused_with_a_way_out(platform: str, longest: int) -> None:
    room = longest - len("/" + "/pairingd.sock")
    fits = "/" + "é" * (room // 2) + "e" * (room % 2)  # bytes count, not characters
    assert find_paths({"PAIRING_HOME": fits}, platform=platform)
    with pytest.raises(PairingError) as refused:
        find_paths({"PAIRING_HOME": fits + "e"}, platform=platform)
    assert refused.value.code == "path-too-long"
    assert "PAIRING_HOME" in refused.value.hint


@pytest.mark.parametrize("home", ['/a"b', "/a\nb", "/a\rb", "/a\udcffb"])
def test_a_directory_that_sshds_configuration_cannot_name_is_refused(home: str) -> None:
    with pytest.raises(PairingError) as refused:
        find_paths({"PAIRING_HOME": home})
    assert refused.value.code == "path-unusable"
