"""A stage with the same names, times and keys in each run, so that pictures change only with the
program.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.pictures.drawing import Window
from tests.pictures.screen import Screen, read
from tests.stage import EXTERNAL_HOST, Guest, Stage, Terminal, until

HOST, GUEST = "mark", "octocat"
STARTS_AT = 16 * 3600 + 38 * 60  # seconds of the host's day
PORTS = (22, 2222)
COLUMNS, LINES = 80, 16
PROMPT = "$"  # and a blank, which a captured screen does not have at the end
_HALF_A_DAY_S, _DAY_S = 12 * 3600, 24 * 3600
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_LOOPBACK, _GUESTS_ADDRESS = "127.0.0.1", "192.0.2.7"  # of the same width; RFC 5737
_TMUX_CONF = """
set -g status-right "%H:%M"
set -g status-style "bg=colour24,fg=white"
"""


class Studio(Stage):
    """What is typed and shown is real, but for what `with_stable_names` replaces.

    The router has the first of `ports` that is free here, else any.
    """

    def __init__(self, ports: Sequence[int] = ()) -> None:
        super().__init__()
        self._ports = ports

    def __enter__(self) -> Self:
        self._zone = _zone(time.time())
        self._fingerprints: dict[str, str] = {}
        super().__enter__()
        self.external_port = next(filter(_is_free, self._ports), self.external_port)
        self.configure()
        (self.user_home / ".tmux.conf").write_text(_TMUX_CONF)
        return self

    @property
    def environment(self) -> dict[str, str]:
        inherited = super().environment
        programs = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
        return {
            **inherited,
            "PATH": programs,
            "TZ": self._zone,
            "LANG": "C.UTF-8",
            "PS1": f"{PROMPT} ",
        }

    def host(self) -> Person:
        return Person(self, "host", HOST, self.terminal("sh", lines=LINES), _GUESTS_ADDRESS)

    def someone(self, guest: Guest) -> Person:
        """At their own shell, where ssh's own files say which key is theirs."""
        place = self.path / f"{guest.name}-bin"
        place.mkdir()
        config = place / "config"
        config.write_text(
            f"Host {EXTERNAL_HOST}\n  HostName {_LOOPBACK}\n  IdentityFile {guest.key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {place}/known_hosts\n"
        )
        program = place / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        program.chmod(0o700)
        path = f"PATH={place}{os.pathsep}{self.environment['PATH']}"
        terminal = self.terminal("env", path, "sh", lines=LINES)
        return Person(self, "guest", guest.name, terminal, EXTERNAL_HOST)

    def command(self) -> str:
        """What the host has been given for the guest."""
        until(self.mappings, "the router forwards")
        command = str(self.asks("invite", "--show", GUEST)["command"])
        assert EXTERNAL_HOST in command, command
        return command

    def with_stable_names(self, painted: str, loopback: str) -> str:
        """Keys, the host's account and addresses by ones that are always the same, as wide."""
        painted = _FINGERPRINT.sub(lambda found: self._fingerprint(found[0]), painted)
        painted = re.sub(rf"\b{re.escape(getpass.getuser())}\b", HOST, painted)
        return painted.replace(_LOOPBACK, loopback)

    def _fingerprint(self, real: str) -> str:
        number = len(self._fingerprints)
        digest = hashlib.sha256(f"key {number} of the pictures".encode()).digest()
        drawn = f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
        return self._fingerprints.setdefault(real, drawn)


class Person:
    """Somebody at a terminal, at first with a shell in it."""

    def __init__(
        self, studio: Studio, role: str, name: str, terminal: Terminal, loopback: str
    ) -> None:
        self.window = Window(f"{name} ({role})", COLUMNS, LINES)
        self.terminal = terminal
        self._studio = studio
        self._loopback = loopback
        terminal.shows(PROMPT)

    def types(self, line: str, then: str) -> None:
        """`line`, and wait until `then` is on the screen."""
        self.terminal.types(line)
        self.terminal.shows(then)

    def sees(self) -> Screen:
        painted = self._studio.with_stable_names(self.terminal.painted(), self._loopback)
        return read(painted, self.terminal.cursor())


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((_LOOPBACK, port))
        return True
    return False


def _zone(now: float) -> str:
    """The time zone (POSIX) in which it is STARTS_AT now."""
    west = (int(now) - STARTS_AT + _HALF_A_DAY_S) % _DAY_S - _HALF_A_DAY_S
    hours, seconds = divmod(abs(west), 3600)
    sign = "-" if west < 0 else ""
    return f"PIC{sign}{hours:02}:{seconds // 60:02}:{seconds % 60:02}"
