from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.machine import which


def tmux_in(directory: Path) -> str:
    directory.mkdir(parents=True)
    program = directory / "tmux"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    "place", [".linuxbrew/bin", ".nix-profile/bin", ".local/state/nix/profile/bin", ".local/bin"]
)
def test_tmux_is_looked_for_where_package_managers_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")  # launchd's
    program = tmux_in(tmp_path / place)
    assert program in which.tmuxes("")
    assert {"/home/linuxbrew/.linuxbrew/bin", "/opt/homebrew/bin"} <= set(which.searched())
    assert which.tmuxes("/of/config/tmux") == ["/of/config/tmux"]


def test_path_goes_before_the_usual_places_and_relative_places_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmux_in(tmp_path / "bin")
    tmux_in(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"here:.:{tmp_path}/bin::/usr/bin")
    assert which.tmuxes("")[0] == first
    assert all(place.startswith("/") for place in which.searched())
    assert len(set(which.searched())) == len(which.searched())


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("tmux 3.1c\n", (3, 1)),
        ("tmux 3.3a", (3, 3)),
        ("tmux next-3.6", (3, 6)),
        ("tmux openbsd-7.5", (7, 5)),
        ("tmux master", None),
        ("", None),
    ],
)
def test_the_version_that_tmux_names(said: str, version: tuple[int, int] | None) -> None:
    assert which.tmux_version(said) == version
