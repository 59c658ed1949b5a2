"""What a service must know of the place and the user it is installed from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pairingd.paths import Paths

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
        """XDG Base Directory Specification; where systemd looks for a user's own units."""
        named = self.environ.get("XDG_CONFIG_HOME", "")
        return named if named.startswith("/") else f"{self.home}/.config"

    def environment(self, names: Iterable[str]) -> dict[str, str]:
        """Those of `names` that decide where pairing's files lie, as `find_paths` reads them."""
        if home := self.environ.get("PAIRING_HOME"):
            return {"PAIRING_HOME": os.path.abspath(home)}  # noqa: PTH100 - as find_paths does
        values = {name: self.environ.get(name, "") for name in names}
        return {name: value for name, value in values.items() if value.startswith("/")}


def stable(python: str) -> str:
    """A path that the next upgrade leaves standing: Homebrew's kegs have their version in it."""
    lasting = _KEG.sub(r"/opt/\1/", python)
    return lasting if os.access(lasting, os.X_OK) else python


def template(name: str) -> bytes:
    """`launchd/…` or `systemd/…`: in a wheel beside this module, in a checkout at its top."""
    here = Path(__file__).parent
    packed = here / "templates" / name
    return (packed if packed.exists() else here.parent.parent / name).read_bytes()
