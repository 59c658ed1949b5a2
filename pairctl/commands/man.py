"""`pairctl man`: the manual pages, which man(1) does not find after uv or an older pipx."""

from __future__ import annotations

import os
import shutil
import sys
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
    """The page in the environment, or else in the checkout."""
    file = f"{name}.{MANUALS[name]}"
    installed = Path(sys.prefix, "share", "man", f"man{MANUALS[name]}", file)
    source = Path(__file__).parent.parent.parent / "docs" / "man" / file
    return installed if installed.exists() else source
