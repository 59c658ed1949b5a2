"""The host at their machine and the guests at theirs, on the test network."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from functools import partial
from typing import Any, Final

from pairctl.control.client import Client
from pairingd.core.refusal import PairingError
from tests import logins
from tests.e2e.network import DESCRIPTION_URL, HOST, Network, Place, Terminal, until
from tests.stage import client_at, fakes
from tests.waiting import expires_soon

FORGE: Final = "/srv/forge"
FORGE_CONFIG: Final = """
[providers.github]
keys_url = "http://127.0.0.1:8000/{name}.keys"
"""
CONFIG: Final = f"""{FORGE_CONFIG}
[router]
protocols = ["upnp"]
description_url = "{DESCRIPTION_URL}"
"""

Json = dict[str, Any]


def start_forge(network: Network) -> None:
    """On the host's loopback, until the network goes."""
    directory = network.path(FORGE)
    directory.mkdir()
    place = network.host
    forge: dict[str, str | int] = {"forge": str(directory), "port": 8000}
    forge["network"] = place.network
    place.stack.callback(fakes().asks, {"close": fakes().asks(forge)})


class Host:
    """The person who shares, with a daemon home of their own and a forge on loopback."""

    def __init__(self, network: Network, place: Place) -> None:
        self._network = network
        self._place = place
        self.home = f"{place.home}/p"
        network.makes_directory(place, self.home)
        self.configure(CONFIG)
        start_forge(network)

    def configure(self, text: str) -> None:
        self._network.path(f"{self.home}/config.toml").write_text(text)

    def pairctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # Place.prefix ends with env(1)'s assignments.
        return self._place.run(f"PAIRING_HOME={self.home}", "pairctl", *argv, check=check)

    def asks(self, *argv: str, check: bool = True) -> Json:
        answer: Json = json.loads(self.pairctl(*argv, "--json", check=check).stdout)
        return answer

    def invites(self, *guests: Guest, ttl: str = "1h", options: tuple[str, ...] = ()) -> Json:
        names = [guest.name for guest in guests]
        invited = self.asks("invite", *names, "--ttl", ttl, "--no-copy", *options)
        if invited["endpoints"][0]["kind"] == "lan" and self._mapping_is_opening():
            # An invitation waits 12 s for the router; on a busy machine the router takes longer.
            until("the router has answered", lambda: not self._mapping_is_opening())
            shown = self.asks("invite", "--show", names[0], "--no-copy")
            invited = {**shown, "invitations": invited["invitations"]}
        return invited

    def _mapping_is_opening(self) -> bool:
        mapping = self.status()["mapping"]
        return mapping is not None and mapping["state"] == "opening"

    def expires_soon(self, guest: Guest) -> float:
        """Move the deadline of `guest` to a few seconds from now; it, in seconds since the epoch."""
        command = partial(self.pairctl, "status")
        return expires_soon(partial(self.asks, check=False), guest.name, command)

    def status(self) -> Json:
        """As `Stage.asks` does: of the daemon itself where it answers."""
        with contextlib.suppress(OSError, PairingError), self._client() as client:
            seen: Json = client.call("status")
            return seen
        return self.asks("status")

    def _client(self) -> Client:
        """As the host's user, whom alone the daemon serves: the kernel notes who connects, unix(7).
        All of this process is that user meanwhile; it has no other thread that opens files.
        """
        home = os.open(self._network.path(self.home), os.O_RDONLY)
        os.seteuid(os.fstat(home).st_uid)
        try:
            return client_at(f"/proc/self/fd/{home}/pairingd.sock")
        finally:
            os.seteuid(0)
            os.close(home)

    def attaches(self, *, columns: int = 80, lines: int = 24) -> Terminal:
        """The host's own terminal in the session, once its shell answers."""
        attach = ("env", f"PAIRING_HOME={self.home}", "pairctl", "attach")
        terminal = self._place.terminal(*attach, columns=columns, lines=lines)
        speaks(terminal, "host-is-here", terminal)
        return terminal

    def signals_daemon(self, signal: str) -> None:
        """Sends `signal` to the daemon and waits until it is gone."""
        pid = str(self.status()["daemon"]["pid"])
        self._place.run("kill", f"-{signal}", pid)
        alive = ("kill", "-0", pid)
        until("no daemon", lambda: self._place.run(*alive, check=False).returncode)

    def tmux(self, *argv: str) -> str:
        return self._place.run("tmux", "-S", f"{self.home}/tmux.sock", *argv).stdout

    def keys(self) -> str:
        """Empty where the file has gone with all the others."""
        file = self._network.path(f"{self.home}/authorized_keys")
        return file.read_text() if file.exists() else ""

    def files(self) -> set[str]:
        return {path.name for path in self._network.path(self.home).iterdir()}

    def all_is_closed(self, port: int) -> bool:
        """Nobody may enter and nothing is left: no key, no mapping, no door at `port`."""
        return (
            "ssh-" not in self.keys()
            and self._network.mappings() == []
            and not self._network.greets(self._network.router, HOST, port)
            and not self._network.reaches(22)
        )


class Guest:
    """Someone with an account on the forge, a key, and a terminal beyond the host's router."""

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self._network = network
        self.key = f"/srv/guest/{name}"
        network.makes_key(network.guest, self.key, name)
        self.publish()

    def publish(self) -> None:
        self._network.path(f"{FORGE}/{self.name}.keys").write_text(self.public())

    def public(self) -> str:
        return self._network.path(f"{self.key}.pub").read_text()

    def joins(self, command: str, *options: str, environment: str = "") -> Terminal:
        """A terminal with `command` typed into it, as printed but for the choice of key."""
        line = f"{environment} exec {self._with(command, *options)}"
        return self._network.guest.terminal("sh", "-c", line)

    def runs(self, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        """`command` without a terminal, with `more` after it, until it has ended by itself."""
        line = f"exec {self._with(command)} {' '.join(more)}"
        return self._network.guest.run("sh", "-c", line, check=False)

    def stays(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        """`command` in the background, without a terminal; its output goes to `log`."""
        line = f"exec {self._with(command, *options)}"
        return self._network.guest.start(
            "sh", "-c", line, log=self._network.path(f"{self.key}.log")
        )

    def log(self) -> str:
        return self._network.path(f"{self.key}.log").read_text()

    def _with(self, command: str, *options: str) -> str:
        program, rest = command.split(maxsplit=1)
        mine: tuple[str, ...] = (f"-i {self.key}", "-o IdentitiesOnly=yes")
        if "KnownHostsCommand" not in command:
            mine += ("-o StrictHostKeyChecking=accept-new",)
        return " ".join((program, *mine, *options, *logins.options, rest))


def speaks(speaker: Terminal, word: str, *listeners: Terminal) -> None:
    """What the speaker types, the session's shell answers, and all listeners see the answer."""
    middle = len(word) // 2
    speaker.enter(f"echo {word[:middle]}''{word[middle:]}")
    for listener in listeners:
        listener.shows(word)
