"""argparse, which refuses in our words, and the columns of `--help`."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from pairctl.command_line import guesses
from pairctl.failures import Usage
from pairingd.core.text import quoted


class Help(argparse.RawDescriptionHelpFormatter):
    """With a fixed width: argparse makes one for each argument, and a terminal query is slow."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)

    def add_argument(self, action: argparse.Action) -> None:
        """Count the indent of commands, too, which argparse leaves out of the longest one."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - it has no other name
            self._action_max_length += self._indent_increment


class Missing(Usage):
    """argparse has missed an operand."""


class HelpWanted(Exception):
    """argparse has come to --help."""

    def __init__(self, of: argparse.ArgumentParser) -> None:
        super().__init__()
        self.of = of


class Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=Help, allow_abbrev=False)
        # No option begins with a digit: -5m is a duration, and is rejected as one.
        self._negative_number_matcher = re.compile(r"-\d")

    def print_help(self, _: Any = None) -> NoReturn:
        raise HelpWanted(self)

    def error(self, message: str) -> NoReturn:
        message = message.replace(": ignored explicit argument", " takes no value:")
        failure = Missing if "required" in message else Usage
        raise failure("usage", message, f"{self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does, in our words, and without listing all commands."""
        if action.dest == "command" and value not in (known := list(action.choices or ())):
            raise Usage("usage", f"unknown command {quoted(value)}", guesses.command(value, known))
        if action.dest == "access":  # checked together with the guest: they may be swapped
            return
        if action.choices is not None and value not in action.choices:
            *others, last = action.choices
            close = guesses.nearest(value, action.choices, cutoff=0.6)
            hint = f"{self.prog} {close or '--help'}"
            cause = f"not {', '.join(others)} or {last}: {quoted(value)}"
            raise Usage("usage", cause, f"did you mean: {hint}" if close else hint)
