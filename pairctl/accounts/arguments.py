"""The arguments of `pairctl account`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

# sudo does not search ~/.local/bin, where pipx and uv put pairctl.
ROOT = 'create and remove need root: sudo "$(command -v pairctl)" account create\n'
EXAMPLES = ("account create --dry-run", "account show", "account remove --dry-run")

# What completes a directory in each shell; shtab.DIRECTORY, without importing it.
DIRECTORIES = {
    "bash": "_shtab_compgen_dirs",
    "zsh": "_files -/",
    "fish": "(__fish_complete_directories)",
}


def add(account: ArgumentParser) -> None:
    account.add_argument(
        "action", choices=("create", "remove", "show"), metavar="create|remove|show"
    )
    account.add_argument("name", nargs="?", default="pair", metavar="NAME", help="default pair")
    shared = account.add_argument(
        "--dir",
        action="append",
        default=[],
        dest="directories",
        metavar="DIR",
        help="share this directory with it, or with remove: take that back alone",
    )
    shared.complete = DIRECTORIES  # type: ignore[attr-defined] # where shtab looks for it
    account.add_argument(
        "--dry-run", action="store_true", help="print what would be run, written and removed"
    )
