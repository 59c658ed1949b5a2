"""The files of /etc that a box shows: those that programs need and everybody may read.

The host's groups count in a box, too, so a file that only a group may read (a TLS key, 0640) is
left out.
"""

# ruff: noqa: PTH110, PTH118, PTH208 - pathlib takes longer to import than all else

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

_SHOWN = (
    *("passwd", "group", "nsswitch.conf", "hosts", "host.conf", "gai.conf", "resolv.conf"),
    *("services", "protocols", "localtime", "timezone", "locale.alias", "locale.conf"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "os-release", "debian_version", "alternatives"),
    *("ssl", "ca-certificates", "ca-certificates.conf", "pki", "crypto-policies", "shells"),
    *("profile", "profile.d", "bash.bashrc", "bashrc", "bash_completion", "bash_completion.d"),
    *("zsh", "zshenv", "zshrc", "zprofile", "zlogin", "fish", "inputrc", "DIR_COLORS"),
    *("terminfo", "manpath.config", "man_db.conf", "vim", "nanorc", "gitconfig", "mime.types"),
    *("magic", "magic.mime", "fonts", "lsb-release", "nix", "static", "papersize", "hostname"),
    *("perl", "groff", "texmf", "xml", "sgml", "ghc", "emacs", "java"),
    *("maven/m2.conf", "maven/logging"),  # not settings.xml, which may have passwords
)
_WITH_A_VERSION = ("java-", "python3", "ruby", "ImageMagick-")  # the start of a name


def shown(etc: str = "/etc") -> Iterator[tuple[str, str]]:
    """Yield each with its real path before it."""
    for name in (*_SHOWN, *_versions(etc)):
        path = os.path.join(etc, name)
        real = os.path.realpath(path)
        if os.path.exists(real) and _is_public(real):
            yield real, path


def _versions(etc: str) -> list[str]:
    return sorted(name for name in os.listdir(etc) if name.startswith(_WITH_A_VERSION))


def hidden(path: str) -> Iterator[str]:
    """Yield what lies below `path` and is not public."""
    for directory, directories, files in os.walk(path):
        for name in [*directories]:
            if not _is_public(entry := os.path.join(directory, name)):
                directories.remove(name)
                yield entry
        yield from (
            entry for name in files if not _is_public(entry := os.path.join(directory, name))
        )


def _is_public(path: str) -> bool:
    """Whether everybody may read it, and enter it if it is a directory. A link is public."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode):
        return True
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(status.st_mode) else 0)
    return status.st_mode & needed == needed
