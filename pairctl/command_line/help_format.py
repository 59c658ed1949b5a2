"""The columns of `--help`."""

from __future__ import annotations

import argparse


class Help(argparse.RawDescriptionHelpFormatter):
    """With a fixed width: argparse makes one for each argument, and a terminal query is slow."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)

    def add_argument(self, action: argparse.Action) -> None:
        """Count the indent of commands, too, which argparse leaves out of the longest one."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - it has no other name
            self._action_max_length += self._indent_increment
