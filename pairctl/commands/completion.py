"""`pairctl completion`: a shell's completion script, which `make docs` generates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pairctl.text import output

if TYPE_CHECKING:
    from argparse import Namespace


def script_path(shell: str) -> Path:
    return Path(__file__).parent.parent / "completions" / f"pairctl.{shell}"


def run(args: Namespace) -> None:
    script = script_path(args.shell).read_text(encoding="utf-8")
    if args.json:
        output.document({"shell": args.shell, "script": script})
    else:
        output.write(script)
