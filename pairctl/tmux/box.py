"""Makes a box, from the user's own terminal; pairingd.box describes boxes."""

# ruff: noqa: PTH102 - pathlib starts slowly

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from pairctl.tmux import confined
from pairctl.tmux.birth import First
from pairingd import box
from pairingd.box import bubblewrap, plan, sandbox_exec, scope, shares
from pairingd.box import filter as forbidden
from pairingd.box.place import Box, Shares
from pairingd.box.scripts import exported
from pairingd.box.surroundings import keep_out
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line, quoted
from pairingd.home.paths import find_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairingd.protocol.confinement import BoxSettings

_TRIAL_LIMIT_S = 2.0  # a trial takes milliseconds
_NETWORK = {
    "none": "none",
    "internet": "the internet and the local network, but not 127.0.0.1 of this machine",
    "full": "the host's own, with the services that are for this machine alone",
}


def make(
    directory: str | None, tmux: str, settings: BoxSettings
) -> tuple[Box, First, list[PairingError]]:
    """Make a box that shares `directory`, or with None the current one, with a server of `tmux` in
    it. Return it, its session's first program, and warnings. Raises PairingError `no-box` if this
    machine can make none, `not-shareable`, `box-failed`.
    """
    paths = find_paths()
    ours = (paths.directories, plan.our_programs())
    box_plan = plan.make(directory or ".", tmux, settings, *ours, os.environ)
    keep_out(box_plan.writable)
    machine = _Darwin() if sys.platform == "darwin" else _Linux(box_plan.network)
    _make_missing(box_plan.protected)
    place = Box(paths.boxes, os.urandom(4).hex())
    scoped = sys.platform == "linux" and box_plan.network == "full" and scope.is_available()
    before = scope.restrict if scoped else None
    shown = Shares(box_plan.directory, box_plan.network, 0, box_plan.writable)
    try:
        confined.make(place, machine.files(place, box_plan), shown, before)
    except confined.NotStartedError as failed:
        raise _failed(str(failed)) from None
    begins_in = shares.here((box_plan.directory,)) or box_plan.directory
    first = First(begins_in, _first_argv(box_plan))
    return place, first, [*_warnings(box_plan)]


def _warnings(box_plan: plan.Plan) -> Iterator[PairingError]:
    if box_plan.unprotected:
        links = ", ".join(_short(path, box_plan.home) for path in box_plan.unprotected)
        yield PairingError(
            "git-unprotected",
            f"a link cannot be protected: {links}; a guest can change what git runs there",
            "put the file itself in its place, or look there before you run git after the session",
        )
    if sys.platform == "darwin":
        yield PairingError(
            "box-untried", "boxes have not been tried on macOS yet", "do not rely on this one"
        )


def can_be_made(network: str) -> bool:
    """Try whether this machine can make a box with that network. False on macOS, where no box was
    tried yet.
    """
    if sys.platform == "darwin":
        return False
    null = subprocess.DEVNULL
    with contextlib.suppress(PairingError, OSError, subprocess.TimeoutExpired):
        trial = _Linux(network).trial()
        _filter()
        tried = subprocess.run(
            trial, check=False, stdin=null, stdout=null, stderr=null, timeout=_TRIAL_LIMIT_S
        )
        return not tried.returncode
    return False


def _make_missing(directories: tuple[str, ...]) -> None:
    """Make them now, because a guest could make them later."""
    for path in directories:
        try:
            os.mkdir(path)
        except FileExistsError:
            continue
        except OSError as error:
            raise PairingError(
                "box-failed",
                f"{quoted(path)} cannot be made: {error.strerror}",
                "make that directory, empty, so that no guest can",
            ) from None


def _first_argv(box_plan: plan.Plan) -> tuple[str, ...]:
    """Print what is shared, then start the shell."""
    script = 'printf "%s\\n\\n" "$1"; exec "$2"'
    return "/bin/sh", "-c", script, "pairing", "\n".join(summary(box_plan)), box_plan.shell


def summary(box_plan: plan.Plan) -> Iterator[str]:
    """What is shared and what is not, in lines for people."""
    yield "pairing: this session is in a box. Of the host's machine it has"
    yield f"  to write:  {', '.join(_short(path, box_plan.home) for path in box_plan.writable)}"
    read = (*box_plan.read, *box_plan.protected)
    if read:
        yield f"  to read:   {', '.join(_short(path, box_plan.home) for path in read)}"
    yield "  programs:  the system's own, and what is public of /etc"
    yield f"  network:   {_NETWORK[box_plan.network]}"
    yield "and nothing else. It ends, with all that runs in it, when its last shell does."


def _short(path: str, home: str) -> str:
    return one_line(shares.called(path, home), 200)


class _Linux:
    """Raises PairingError `no-box`."""

    def __init__(self, network: str) -> None:
        self._bwrap = _program("bwrap", "bubblewrap")
        self._pasta = _program("pasta", "passt") if network == "internet" else ""

    def trial(self) -> tuple[str, ...]:
        return bubblewrap.trial(self._bwrap)

    def files(self, place: Box, box_plan: plan.Plan) -> Iterator[tuple[str, int, bytes]]:
        yield place.filter, 0o600, _filter()
        yield place.client_filter, 0o600, _filter(client=True)
        yield place.environment, 0o600, os.fsencode(exported(box_plan.environment))
        client = bubblewrap.client(place, box_plan, self._bwrap, box.glass())
        yield place.tmux, 0o700, os.fsencode(client)
        server = bubblewrap.server(place, box_plan, self._bwrap)
        if self._pasta:
            inside = f"{place.server}.inside"
            yield inside, 0o700, os.fsencode(server)
            yield place.resolv_conf, 0o600, bubblewrap.resolv_conf().encode()
            server = bubblewrap.internet(place, self._pasta, inside)
        yield place.server, 0o700, os.fsencode(server)


class _Darwin:
    """Not run on a Mac yet."""

    def files(self, place: Box, box_plan: plan.Plan) -> Iterator[tuple[str, int, bytes]]:
        yield (
            sandbox_exec.profile_path(place),
            0o600,
            sandbox_exec.profile(place, box_plan).encode(),
        )
        environment = sandbox_exec.environment(place, box_plan)
        yield place.environment, 0o600, os.fsencode(exported(environment))
        yield place.tmux, 0o700, sandbox_exec.client(place, box_plan, box.glass()).encode()
        yield place.server, 0o700, sandbox_exec.server(place, box_plan).encode()


def _program(name: str, package: str) -> str:
    if path := shutil.which(name):
        return path
    raise PairingError(
        "no-box",
        f"this machine cannot make a box: {name} is not on PATH",
        f"apt install {package}; pairctl doctor says what else a box needs",
    )


def _filter(*, client: bool = False) -> bytes:
    with tempfile.TemporaryFile() as file:
        try:
            forbidden.write(file, client=client)
        except OSError as error:
            raise PairingError(
                "no-box",
                f"this machine cannot make a box: {error.strerror}",
                forbidden.INSTALL,
            ) from None
        file.seek(0)
        return file.read()


def _failed(reason: str) -> PairingError:
    return PairingError(
        "box-failed",
        f"the box could not be made: {reason}",
        "pairctl doctor says what a box needs; without one: leave --box out",
    )
