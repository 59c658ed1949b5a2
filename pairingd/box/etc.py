"""What of /etc is shown in a box: what programs need, and of that what everybody may read.

The host's groups count in a box, too: what only a group may read (a TLS key, 0640) is left out.
"""

# ruff: noqa: PTH110, PTH118 - pathlib takes longer to import than all else

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
    *("magic", "magic.mime", "fonts", "lsb-release", "nix", "static", "papersize"),
)


def shown(etc: str = "/etc") -> Iterator[tuple[str, str]]:
    """Each with the file that it really is."""
    for name in _SHOWN:
        path = os.path.join(etc, name)
        real = os.path.realpath(path)
        if os.path.exists(real) and _is_public(real):
            yield real, path


def hidden(path: str) -> Iterator[str]:
    """What lies below it and is not for everybody."""
    for here, directories, files in os.walk(path):
        for name in [*directories]:
            if not _is_public(below := os.path.join(here, name)):
                directories.remove(name)
                yield below
        yield from (below for name in files if not _is_public(below := os.path.join(here, name)))


def _is_public(path: str) -> bool:
    """Whether everybody may read it, and enter it. A link is no more than its target."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode):
        return True
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else 0)
    return found.st_mode & needed == needed
