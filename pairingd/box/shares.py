"""Which directories may be shared: none that holds, or lies in, what a guest must not have."""

# ruff: noqa: PTH112, PTH114, PTH115, PTH118, PTH120 - pathlib takes longer to import than all else of `pairctl`

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pairingd.account.place import ROOT as ACCOUNTS
from pairingd.core.refusal import PairingError
from pairingd.core.text import is_utf8, quoted
from pairingd.home.paths import from_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Of the home directory: keys, tokens, and files that the user's programs run by themselves.
_SECRET = (
    *(".ssh", ".gnupg", ".pki", ".password-store", ".aws", ".azure", ".kube", ".docker"),
    *(".config/gcloud", ".config/gh", ".config/systemd", ".config/autostart", ".mozilla"),
    *(".config/google-chrome", ".config/chromium", ".local/share/keyrings", "Library"),
)
# Also of the home directory: tokens in files whose directories have other things, too, which may be
# shared while there is no such file.
_TOKENS = (
    *(".netrc", ".git-credentials", ".config/git/credentials", ".npmrc", ".pypirc", ".pgpass"),
    *(".cargo/credentials.toml", ".cargo/credentials", ".gem/credentials", ".m2/settings.xml"),
    *(".gradle/gradle.properties", ".my.cnf", ".vault-token", ".terraform.d", ".config/rclone"),
    *(".config/op", ".config/hub", ".config/sops", ".local/share/kwalletd", ".thunderbird"),
)
# Where the user's programs are, which a guest may read and must not write.
_PROGRAMS = ("bin", ".local/bin", ".local/share/pipx", ".cargo/bin", "Applications")
_PROGRAMS_OF_ALL = ("/Applications", "/opt/homebrew", "/opt/local", "/home/linuxbrew")
# Of the system: sockets and devices, or what the box has of its own.
_SYSTEM = (
    *("/boot", "/dev", "/etc", "/proc", "/root/.ssh", "/run", "/sys", "/usr", "/bin", "/lib"),
    *("/lib64", "/sbin", "/var/run", "/System", "/Library", "/private/etc", "/private/var/run"),
    ACCOUNTS,
)
_BOX = "--box DIR, or [box] write in config.toml"
_MAX_LINKS = 40  # as Linux follows; a loop ends with it
_COMMON = ("/tmp", "/var/tmp", "/dev/shm", "/private/tmp")  # noqa: S108 - everybody's sockets


def resolved(path: str) -> str:
    """Return `path` without links; `~` is the user's home directory, and "" no directory.

    Raises PairingError `no-directory` as `from_here`, and `not-shareable` if a link on the way may
    not be read, as another user's in /proc.
    """
    absolute = from_here(path) if path else ""
    try:
        return absolute and os.path.realpath(absolute)
    except OSError as error:
        reason = f"cannot be followed: {error.strerror}"
        raise _refused(path, reason, f"name another directory: {_BOX}") from None


def here(places: Iterable[str]) -> str:
    """Return the current directory if it is, or lies in, one of `places`; else "", also if it was
    removed.
    """
    try:
        directory = resolved(".")
    except PairingError:
        return ""
    return directory if any(holds(place, directory) for place in places) else ""


def require_shareable(
    path: str, home: str, own_directories: Iterable[str], named_by: str = _BOX
) -> None:
    """Raise PairingError `not-shareable` if `path`, resolved, may not be shared to write.

    `home` is the user's, `own_directories` are ours, `named_by` is for the hint. Compares in both
    directions: neither may contain the other.
    """
    if not os.path.isdir(path):
        hint = f"name the project's directory: {named_by}"
        raise _refused(path, "is not a directory", hint)
    hint = f"share a directory with nothing else in it: {named_by}"
    for whole in (home, *_COMMON):
        if contains(path, resolved(whole)):
            raise _has(path, whole, home, hint)
    programs = [os.path.join(home, name) for name in _PROGRAMS]
    _require_apart(path, home, (*programs, *_PROGRAMS_OF_ALL, *own_directories), hint)


def require_readable(path: str, home: str, own_directories: Iterable[str]) -> None:
    """Raise PairingError `not-shareable` if `path`, resolved, may not be shown."""
    hint = "name something with nothing else in it: [box] read in config.toml"
    if contains(path, resolved(home)):
        raise _has(path, home, home, hint)
    _require_apart(path, home, own_directories, hint)


def require_own_way(path: str, writable: Iterable[str]) -> None:
    """Raise PairingError `not-shareable` if a guest of an earlier session could have chosen what
    `path` leads to: it passes through a directory of `writable`, resolved, and ends outside it.
    """
    end = resolved(path)
    for directory, _ in _way(path):
        for outer in writable:
            if contains(outer, directory) and not contains(outer, end):
                raise _refused(
                    path,
                    f"leads out of {outer}, by a link that a guest may have made",
                    f"name the place itself, if you mean it: {end}",
                )


def leads_into(path: str, writable: Iterable[str]) -> bool:
    """Whether `path` is, lies in or passes through a directory of `writable`, resolved."""
    places = {resolved(path), *(directory for directory, _ in _way(path))}
    return any(contains(outer, place) for outer in writable for place in places)


def links(path: str) -> Iterator[str]:
    """Yield the links on the way to `path`, and `path` if it is one; none twice."""
    yield from dict.fromkeys(entry for _, entry in _way(path) if os.path.islink(entry))


def _way(path: str) -> Iterator[tuple[str, str]]:
    """Yield each part of `path`, after the directory that has it: path_resolution(7)."""
    parts = from_here(path).split("/")
    at, followed = "/", 0
    while parts:
        part = parts.pop(0)
        if part in {"", "."}:
            continue
        following = os.path.dirname(at) if part == ".." else os.path.join(at, part)
        yield at, following
        if os.path.islink(following) and followed < _MAX_LINKS:
            followed += 1
            target = os.readlink(following)
            parts[:0] = target.split("/")
            at = "/" if target.startswith("/") else at
        else:
            at = following


def _require_apart(path: str, home: str, others: Iterable[str], hint: str) -> None:
    """Refuse `path` if it is, holds or lies in a secret or one of `others`."""
    if not is_utf8(path):
        raise _refused(path, "is not named in UTF-8", hint)
    secrets = [os.path.join(home, name) for name in _SECRET]
    tokens = filter(os.path.lexists, (os.path.join(home, name) for name in _TOKENS))
    for secret in (*secrets, *tokens, *_SYSTEM, *others):
        real = resolved(secret)
        if contains(path, real):  # even if it does not exist: a guest could make it
            raise _has(path, secret, home, hint)
        if contains(real, path):
            raise _refused(path, f"lies in {called(secret, home)}", hint)


def _has(path: str, secret: str, home: str, hint: str) -> PairingError:
    name = called(secret, home)
    return _refused(path, f"is {name}" if path == resolved(secret) else f"has {name} in it", hint)


def holds(outer: str, inner: str) -> bool:
    """Whether `inner`, resolved, is or lies in `outer`, by their names."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def contains(outer: str, inner: str) -> bool:
    """As `holds`, also where a directory has several names: macOS ignores case and the form of an
    accent, and a mount may show it elsewhere.
    """
    if holds(outer, inner):
        return True
    try:
        sought = os.stat(outer)  # noqa: PTH116
    except OSError:
        return False
    return any(os.path.samestat(sought, place) for place in _on_the_way(inner))


def _on_the_way(path: str) -> Iterator[os.stat_result]:
    """Yield `path` and the directories that it lies in, as far as they exist."""
    while True:
        with contextlib.suppress(OSError):
            yield os.stat(path)  # noqa: PTH116
        if path == (path := os.path.dirname(path)):
            return


def called(path: str, home: str) -> str:
    """Return `path` for messages, with `~` for `home`."""
    return "~" + path[len(home) :] if holds(home, path) else path


def _refused(path: str, reason: str, hint: str) -> PairingError:
    return PairingError("not-shareable", f"{quoted(path)} cannot be shared: it {reason}", hint)
