"""Making a box, from the user's own terminal: pairingd.box says what it is."""

# ruff: noqa: PTH102 - pathlib starts slowly

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

import pairctl
import pairingd
from pairctl import confined
from pairctl.birth import First
from pairingd import box
from pairingd.box import bubblewrap, plan, sandbox_exec, scope, shares
from pairingd.box import filter as forbidden
from pairingd.box.place import Box, Shares
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line
from pairingd.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairingd.protocol.confinement import BoxSettings

_NETWORK = {
    "none": "none",
    "internet": "the internet and the local network, but not 127.0.0.1 of this machine",
    "full": "the host's own, with the services that are for this machine alone",
}


def make(directory: str | None, tmux: str, settings: BoxSettings) -> tuple[Box, First]:
    """A box that shares `directory`, or with None the present one, and has a server of `tmux` in
    it; and what its first session begins with. Raises PairingError: `no-box` where this machine
    can make none, `not-shareable`, `box-failed`.
    """
    paths = find_paths()
    programs = (sys.prefix, sys.base_prefix, *pairctl.__path__, *pairingd.__path__)
    wanted = plan.make(directory or ".", tmux, settings, paths.directories, programs, os.environ)
    machine = _Darwin() if sys.platform == "darwin" else _Linux(wanted.network)
    _make_missing(wanted.protected)
    made = Box(paths.boxes, os.urandom(4).hex())
    scoped = sys.platform == "linux" and wanted.network == "full" and scope.is_available()
    before = scope.restrict if scoped else None
    shown = Shares(wanted.directory, wanted.network, 0)
    try:
        confined.make(made, machine.files(made, wanted), shown, before)
    except confined.NotStartedError as failed:
        raise _failed(str(failed)) from None
    return made, First(_start_directory(wanted), _first_words(wanted))


def _make_missing(directories: tuple[str, ...]) -> None:
    """Else a guest could."""
    for path in directories:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)


def _start_directory(wanted: plan.Plan) -> str:
    """Where the user is, if that is in the box."""
    here = os.path.realpath(".")
    return here if shares.holds(wanted.directory, here) else wanted.directory


def _first_words(wanted: plan.Plan) -> tuple[str, ...]:
    """A shell, after a screen that says what is shared."""
    say = 'printf "%s\\n\\n" "$1"; exec "$2"'
    return "/bin/sh", "-c", say, "pairing", "\n".join(told(wanted)), wanted.shell


def told(wanted: plan.Plan) -> Iterator[str]:
    """What is shared and what is not, in lines for people."""
    yield "pairing: this session is in a box. Of the host's machine it has"
    yield f"  to write:  {', '.join(_short(one, wanted.home) for one in wanted.writable)}"
    read = (*wanted.read, *wanted.protected)
    if read:
        yield f"  to read:   {', '.join(_short(one, wanted.home) for one in read)}"
    yield "  programs:  the system's own, and what is public of /etc"
    yield f"  network:   {_NETWORK[wanted.network]}"
    yield "and nothing else. It ends, with all that runs in it, when its last shell does."


def _short(path: str, home: str) -> str:
    return one_line(shares.called(path, home), 200)


class _Linux:
    """Raises PairingError `no-box`."""

    def __init__(self, network: str) -> None:
        self._bwrap = _program("bwrap", "bubblewrap")
        self._pasta = _program("pasta", "passt") if network == "internet" else ""

    def files(self, made: Box, wanted: plan.Plan) -> Iterator[tuple[str, int, bytes]]:
        yield made.filter, 0o600, _filter()
        client = bubblewrap.client(made, wanted, self._bwrap, box.glass())
        yield made.tmux, 0o700, client.encode()
        server = bubblewrap.server(made, wanted, self._bwrap)
        if self._pasta:
            inside = f"{made.server}.inside"
            yield inside, 0o700, server.encode()
            yield made.resolv_conf, 0o600, bubblewrap.resolv_conf().encode()
            server = bubblewrap.internet(made, self._pasta, inside)
        yield made.server, 0o700, server.encode()


class _Darwin:
    """Not run on a Mac yet."""

    def files(self, made: Box, wanted: plan.Plan) -> Iterator[tuple[str, int, bytes]]:
        yield sandbox_exec.profile_path(made), 0o600, sandbox_exec.profile(made, wanted).encode()
        yield made.tmux, 0o700, sandbox_exec.client(made, wanted, box.glass()).encode()
        yield made.server, 0o700, sandbox_exec.server(made, wanted).encode()


def _program(name: str, package: str) -> str:
    if found := shutil.which(name):
        return found
    raise PairingError(
        "no-box",
        f"this machine cannot make a box: {name} is not on PATH",
        f"apt install {package}; pairctl doctor says what else a box needs",
    )


def _filter() -> bytes:
    with tempfile.TemporaryFile() as file:
        try:
            forbidden.write(file)
        except OSError as error:
            raise PairingError(
                "no-box",
                f"this machine cannot make a box: {error.strerror}",
                forbidden.INSTALL,
            ) from None
        file.seek(0)
        return file.read()


def _failed(why: str) -> PairingError:
    return PairingError(
        "box-failed",
        f"the box could not be made: {why}",
        "pairctl doctor says what a box needs; without one: leave --box out",
    )
