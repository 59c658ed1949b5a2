"""Paths of all files. Standard library only: `pairctl` imports this and must start quickly.

If `PAIRING_HOME` is set, everything lies directly there. Otherwise macOS's usual directories, or
those of the XDG Base Directory Specification, which says to ignore relative values.
"""

# pathlib takes longer to import than all else that `pairctl status` does.
# ruff: noqa: PTH109, PTH111, PTH117, PTH118, PTH119, PTH120

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from pairingd.core.refusal import PairingError
from pairingd.core.text import is_utf8, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

# The environment variables that `find_paths` reads.
VARIABLES = ("HOME", "PAIRING_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
# The files that pairing makes, each with a pattern of its possible suffixes.
FILES = {
    "authorized_keys": r"(\.partial)?",
    "control_socket": "",
    "host_key": r"(\.pub)?",
    "lock": "",
    "log": r"(\.[1-9])?",
    "sshd_config": r"(\.partial)?",
    "state_db": r"(\.unreadable-\d+|\.new)?(-wal|-shm|-journal)?",
    "stderr": "",
    "tmux_socket": "",
}


class Paths:
    """Absolute paths as strings. `directories` are to be made with mode 0700; no duplicates."""

    __slots__ = (
        "authorized_keys",
        "config",
        "control_socket",
        "directories",
        "host_key",
        "lock",
        "log",
        "sshd_config",
        "state_db",
        "stderr",
        "tmux_socket",
    )

    def __init__(self, config: str, state: str, runtime: str, log: str) -> None:
        self.directories = tuple(dict.fromkeys((config, state, runtime, log)))
        self.config = os.path.join(config, "config.toml")
        self.state_db = os.path.join(state, "state.db")
        self.host_key = os.path.join(state, "host_ed25519")
        self.authorized_keys = os.path.join(state, "authorized_keys")
        self.sshd_config = os.path.join(state, "sshd_config")
        # The lock lies beside the state it guards: the runtime directory may differ between
        # a login and a cron job, and two daemons must never share one state.
        self.lock = os.path.join(state, "pairingd.lock")
        self.control_socket = os.path.join(runtime, "pairingd.sock")
        # Not in the runtime directory: that goes at the last logout, but the work in tmux stays.
        self.tmux_socket = os.path.join(state, "tmux.sock")
        self.log = os.path.join(log, "pairingd.log")
        # What a crash prints without a terminal or journal. Not in the log, which is rotated.
        self.stderr = os.path.join(log, "pairingd.stderr")

    @property
    def control_sockets(self) -> tuple[str, ...]:
        """Where the daemon listens: beside its lock if the runtime directory cannot be used."""
        beside = os.path.join(os.path.dirname(self.lock), os.path.basename(self.control_socket))
        return tuple(dict.fromkeys((self.control_socket, beside)))

    @property
    def earlier_tmux_socket(self) -> str:
        """The socket of tmux up to version 0.1: in the runtime directory."""
        beside = os.path.dirname(self.control_socket)
        return os.path.join(beside, os.path.basename(self.tmux_socket))

    @property
    def live(self) -> str:
        """A directory with an empty file for each live invitation (pairingd.state.live)."""
        return os.path.join(os.path.dirname(self.state_db), "live")

    @property
    def boxes(self) -> str:
        """A directory with a directory for each box (pairingd.box)."""
        return os.path.join(os.path.dirname(self.state_db), "box")

    @property
    def private_files(self) -> tuple[str, ...]:
        """Files that another user must not read or write."""
        state = (self.state_db, f"{self.state_db}-wal", f"{self.state_db}-shm", self.lock)
        sshd = (self.host_key, self.authorized_keys, self.sshd_config)
        return *state, *sshd, self.log, self.stderr


def is_name_of_ours(name: str) -> bool:
    """Whether `name` is one of FILES, or config.toml or an editor's copy of it."""
    names = Paths("", "", "", "")
    if name in {names.live, names.boxes} or re.fullmatch(r"\.?config\.toml.*", name):
        return True
    patterns = (re.escape(getattr(names, file)) + suffix for file, suffix in FILES.items())
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def find_paths(environ: Mapping[str, str] = os.environ, *, platform: str = sys.platform) -> Paths:
    """Return the paths; touches nothing. Raises PairingError: `relative-home`; `path-unusable` if
    sshd_config cannot name it; `path-too-long` if no Unix socket could be bound.
    """
    paths = Paths(*_directories(environ, platform))
    for directory in paths.directories:
        if any(character in directory for character in '"\n\r') or not is_utf8(directory):
            raise PairingError(
                "path-unusable",
                f"sshd's configuration cannot name this directory: {directory!r}",
                "set PAIRING_HOME to one in UTF-8, without double quotes and line breaks",
            )
    for path in (*paths.control_sockets, paths.tmux_socket):
        require_bindable(path, platform=platform)
    return paths


def from_here(path: str) -> str:
    """Return `path` with its `~` replaced, below the working directory unless it is then absolute;
    links and `..` stay.

    Raises PairingError `no-directory` if the working directory was removed.
    """
    path = os.path.expanduser(path)
    if os.path.isabs(path):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except OSError as error:
        raise PairingError(
            "no-directory",
            f"{quoted(path)} is relative to the working directory, which cannot be used: "
            f"{error.strerror}",
            "go to another directory (cd), or write a path that begins with /",
        ) from None


def require_bindable(path: str, *, platform: str = sys.platform) -> None:
    """Raise PairingError `path-too-long` if no Unix socket can be bound to `path`."""
    # sockaddr_un.sun_path less its NUL: unix(4) on macOS, unix(7) on Linux.
    max_bytes = 103 if platform == "darwin" else 107
    if len(os.fsencode(path)) > max_bytes:
        raise PairingError(
            "path-too-long",
            f"a socket's path is limited to {max_bytes} bytes: {path}",
            "set PAIRING_HOME to a directory with a shorter path",
        )


def config_home(environ: Mapping[str, str], user: str) -> str:
    """Where programs of the user whose home directory is `user` have their configuration: XDG Base
    Directory Specification, by which a relative XDG_CONFIG_HOME does not count.
    """
    named = environ.get("XDG_CONFIG_HOME", "")
    return named if os.path.isabs(named) else os.path.join(user, ".config")


def _directories(environ: Mapping[str, str], platform: str) -> tuple[str, str, str, str]:
    """Return config, state, runtime and log directory."""
    if home := environ.get("PAIRING_HOME"):
        if not os.path.isabs(home):
            # Daemon and client may run in different directories and would not find each other.
            raise PairingError(
                "relative-home",
                f"PAIRING_HOME must be an absolute path: {quoted(home)}",
                'export PAIRING_HOME="$HOME/…": in quotes no shell replaces ~',
            )
        home = os.path.normpath(home)
        return home, home, home, home
    user = environ.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(user):  # "~" stays where no account has our uid
        raise PairingError(
            "relative-home",
            f"the home directory is not an absolute path: {quoted(user)}",
            "set HOME or PAIRING_HOME to one",
        )
    if platform == "darwin":
        support = os.path.join(user, "Library", "Application Support", "pairing")
        return support, support, support, os.path.join(user, "Library", "Logs", "pairing")

    def xdg(name: str, default: str) -> str:
        value = environ.get(name, "")
        return os.path.join(value, "pairing") if os.path.isabs(value) else default

    config = os.path.join(config_home(environ, user), "pairing")
    state = xdg("XDG_STATE_HOME", os.path.join(user, ".local", "state", "pairing"))
    return config, state, xdg("XDG_RUNTIME_DIR", state), state
