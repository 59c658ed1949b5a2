"""`pairctl --help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairctl.text import output

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    if args.json:
        output.document({"help": args.help})
    else:
        output.write(args.help)
