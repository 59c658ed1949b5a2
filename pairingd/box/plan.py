"""What one box shows and allows, decided from the directory, the configuration and the user."""

# ruff: noqa: PTH110, PTH115, PTH118, PTH119, PTH120 - pathlib takes longer to import than all else

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from pairingd.box import git, shares, venv
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pairingd.protocol.confinement import BoxSettings

# The system's programs and libraries; and where package managers put theirs.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
PACKAGES = ("/nix/store", "/home/linuxbrew/.linuxbrew", "/opt/homebrew", "/opt/local")
_READ_ONLY = ("/dev", "/etc", "/proc")
_OWN = ("/run", "/tmp", "/var/run", "/var/tmp")  # noqa: S108 - empty ones of the box
_USUAL_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_PASSED_VARIABLES = ("LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "COLORTERM")


class Plan(NamedTuple):
    """Paths are resolved; `links`, with their targets, lead to them by the names the host has used.
    `protected` are in `directory`, and read-only in the box; missing ones must be made, as
    directories. `unprotected` should be, too, and cannot.
    """

    directory: str
    home: str
    tmux: str
    environment: dict[str, str]
    read: tuple[str, ...]
    write: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    protected: tuple[str, ...]
    unprotected: tuple[str, ...]
    network: str
    memory: int
    processes: int

    @property
    def writable(self) -> tuple[str, ...]:
        return (self.directory, *self.write)

    @property
    def around_tmux(self) -> tuple[str, ...]:
        """The shared paths to show so that tmux runs, besides the system's."""
        shown = (*self.read, *self.writable)
        return tuple(path for path in shown if shares.holds(path, self.tmux))

    @property
    def shell(self) -> str:
        return self.environment["SHELL"]

    @property
    def start_up_file(self) -> str:
        """An empty one to make, for a shell that otherwise begins with a questionnaire; or ""."""
        path = os.path.join(self.home, ".zshrc")
        is_there = path in self.read or path in dict(self.links)
        return path if os.path.basename(self.shell) == "zsh" and not is_there else ""


def make(
    directory: str,
    tmux: str,
    settings: BoxSettings,
    own_directories: Iterable[str],
    programs: Iterable[str],
    environ: Mapping[str, str],
) -> Plan:
    """Nobody may read in `own_directories`, our own, or write to `programs`, our own too. Raises
    PairingError `not-shareable`.
    """
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
    own_directories = tuple(own_directories)
    writable, read = judged((directory,), settings, own_directories, programs, home)
    shared, write = writable[0], writable[1:]
    program = shares.resolved(tmux)
    if not _within(program, (*SYSTEM, *PACKAGES, *read, *write, shared)):
        read = (*read, program)
    pythons = dict(_pythons(shared, home, own_directories, (*SYSTEM, *PACKAGES, *read, *writable)))
    read = tuple(dict.fromkeys((*read, *itertools.chain(*pythons.values()))))
    visible = (*SYSTEM, *PACKAGES, *read, *writable)
    named = (home, directory, *settings["write"], *settings["read"], *pythons, *own_directories)
    return Plan(
        directory=shared,
        home=shares.resolved(home),
        tmux=program,
        environment=_environment(environ, home, visible, settings["env"]),
        read=read,
        write=write,
        links=tuple(_links(named, visible)),
        protected=tuple(git.protected(shared)),
        unprotected=tuple(git.unprotected(shared)),
        network=settings["network"],
        memory=settings["memory"],
        processes=settings["processes"],
    )


def judged(
    directories: tuple[str, ...],
    settings: BoxSettings,
    own_directories: Iterable[str],
    programs: Iterable[str],
    home: str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Resolve what can be written, `directories` first, and what can be read. As `make`."""
    own_directories = tuple(own_directories)
    write = (*map(shares.resolved, directories), *_existing(settings["write"]))
    for path in write:
        shares.require_shareable(path, home, (*own_directories, *programs))
    for path in (*directories, *settings["write"], *settings["read"]):
        shares.require_own_way(path, write)
    for path in map(shares.resolved, settings["read"]):
        shares.require_readable(path, home, own_directories)
    return write, _existing(settings["read"])


def our_programs() -> tuple[str, ...]:
    """Where Python and both of our packages are."""
    package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    client = os.path.join(os.path.dirname(package), "pairctl")
    return sys.prefix, sys.base_prefix, package, client


def _existing(paths: Iterable[str]) -> tuple[str, ...]:
    """Resolve those that exist: a missing dotfile is no mistake."""
    resolved = map(shares.resolved, paths)
    return tuple(path for path in resolved if os.path.exists(path))


def _pythons(
    directory: str, home: str, own_directories: Iterable[str], visible: Iterable[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the interpreters of virtual environments in `directory`, with the directories to show
    so that they run.
    """
    visible = tuple(visible)
    for interpreter in venv.interpreters(directory):
        needed = venv.installation(interpreter)
        with contextlib.suppress(PairingError):
            for path in needed:
                shares.require_readable(path, home, own_directories)
            yield interpreter, tuple(path for path in needed if not _within(path, visible))


def _links(paths: Iterable[str], visible: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the links on the ways to those of `paths` that exist, unless they are visible already
    or the box has a directory in their place.
    """
    mounted = (*filter(os.path.exists, visible), *_READ_ONLY)
    existing = filter(os.path.exists, map(os.path.expanduser, paths))
    for link in dict.fromkeys(itertools.chain.from_iterable(map(shares.links, existing))):
        has_mounts = any(shares.holds(link, path) for path in (*mounted, *_OWN))
        if not has_mounts and not _within(link, mounted):
            yield link, os.readlink(link)


def _environment(
    environ: Mapping[str, str], home: str, visible: Iterable[str], extra: Iterable[str]
) -> dict[str, str]:
    """Filter by an allow-list: tmux passes its environment to everybody in the session."""
    visible = tuple(visible)
    places = [
        place for path in environ.get("PATH", "").split(":") if (place := _shown(path, visible))
    ]
    shell = _shown(environ.get("SHELL", ""), visible)
    names = (*_PASSED_VARIABLES, *extra, *(name for name in environ if name.startswith("LC_")))
    return {
        **{name: environ[name] for name in names if name in environ and _is_name(name)},
        "HOME": home,
        "PATH": ":".join(dict.fromkeys((*places, *_USUAL_PATH))),
        "SHELL": shell if os.path.exists(shell) else "/bin/sh",
    }


def _is_name(text: str) -> bool:
    """Whether a shell can have a variable of that name: POSIX XBD §3.216."""
    return text.isascii() and text.isidentifier()


def _shown(path: str, visible: Iterable[str]) -> str:
    """Return what `path` is called in the box, "" if it is not there."""
    real = os.path.realpath(path) if path.startswith("/") else ""
    if not _within(real, visible):
        return ""
    return path if _within(path, visible) else real


def _within(path: str, outer: Iterable[str]) -> bool:
    return any(shares.holds(directory, path) for directory in outer)
