"""`pairctl completion`: a shell's completion script, out of the argument parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import shtab

from pairctl import arguments

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    print(shtab.complete(arguments.parser(), args.shell))
