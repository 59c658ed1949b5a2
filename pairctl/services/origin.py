"""The paths and the user for which a service is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pairingd.core.refusal import PairingError
from pairingd.core.text import has_controls, is_utf8, quoted
from pairingd.home.paths import config_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pairingd.home.paths import Paths

# They say where pairing's files are (pairingd.home.paths). XDG_RUNTIME_DIR too: the sockets must be
# where clients look, whatever the manager's value.
PLACES = ("PAIRING_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
_KEG = re.compile(r"/Cellar/([^/]+)/[^/]+/")


class Origin(NamedTuple):
    """All paths are absolute: neither launchd nor systemd has the user's directory or shell."""

    python: str
    uid: int
    home: str
    paths: Paths
    environ: Mapping[str, str]

    @property
    def config_home(self) -> str:
        """Where systemd looks for a user's units."""
        return config_home(self.environ, self.home)

    def environment(self, names: Iterable[str]) -> dict[str, str]:
        """Those of `names` that locate pairing's files, as `find_paths` reads them."""
        if home := self.environ.get("PAIRING_HOME"):
            return {"PAIRING_HOME": os.path.abspath(home)}  # noqa: PTH100 - as find_paths does
        values = {name: self.environ.get(name, "") for name in names}
        return {name: value for name, value in values.items() if value.startswith("/")}


def stable(python: str) -> str:
    """A path that survives the next upgrade: Homebrew's kegs have their version in it."""
    unversioned = _KEG.sub(r"/opt/\1/", python)
    return unversioned if os.access(unversioned, os.X_OK) else python


def require_writable(*values: str) -> None:
    """Raise PairingError `path-unusable` if XML or systemd could not carry one of them: both allow
    a tab and no other control character (XML 1.0 §2.2; systemd's env_value_is_valid).
    """
    for value in values:
        if has_controls(value.replace("\t", "")) or not is_utf8(value):
            raise PairingError(
                "path-unusable",
                f"a service's file cannot name this path: {quoted(value)}",
                "use one in UTF-8 without control characters, or no service: pairctl start",
            )


def template(name: str) -> bytes:
    """`launchd/…` or `systemd/…`: beside this module in a wheel, at the top of a checkout."""
    directory = Path(__file__).parent
    packed = directory / "templates" / name
    return (packed if packed.exists() else directory.parent.parent / name).read_bytes()


def installed(file: str) -> bytes | None:
    """The content of a service's file; None if there is none that can be read."""
    try:
        path = Path(file)
        return path.read_bytes() if path.is_file() else None  # opening a FIFO waits for its writer
    except OSError:
        return None
