"""`pairctl man`: the manual pages, which man(1) does not find after uv or an older pipx."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pairctl.command_line.arguments import MANUALS
from pairctl.text import output
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    page = str(_path(args.page))
    if args.json:
        output.document({"page": page})
        return
    man = shutil.which("man")
    if man is None:
        raise PairingError(
            "no-man",
            "the program man is not installed",
            f"to read its source: {shell('cat', page)}",
        )
    os.execv(man, [man, page])  # noqa: S606 - no shell is wanted; a name with a slash is a file


def _path(name: str) -> Path:
    """The page in the checkout, or else where the installer has put it: not below sys.prefix with
    `pip install --user`.
    """
    file = f"{name}.{MANUALS[name]}"
    page = Path(__file__).parent.parent.parent / "docs" / "man" / file
    if page.exists():
        return page
    from importlib import metadata

    for installed in metadata.files("pairctl") or ():
        if installed.name == file:
            return Path(str(installed.locate())).resolve()
    return page
