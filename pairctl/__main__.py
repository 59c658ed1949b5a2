"""Arguments, one command, an exit code."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from pairctl import arguments, output
from pairctl.failures import INTERRUPTED, Usage, exit_code
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIPE_BROKEN = 141  # 128 and SIGPIPE's number, as a shell counts it


def main(words: Sequence[str] | None = None) -> int:
    """0 done, 1 refused or failed, 2 usage, 3 no daemon; as a shell counts it for a signal."""
    words = sys.argv[1:] if words is None else words
    as_json = "--json" in words
    output.prepare()
    try:
        try:
            return _run(words)
        except PairingError as failure:
            output.failure(failure, as_json=as_json)
            return exit_code(failure)
        except BrokenPipeError:
            raise
        except Exception as bug:
            if sys.flags.dev_mode:
                raise
            told = PairingError(
                "internal-error",
                f"pairctl failed: {type(bug).__name__}: {bug}",
                f"{shell(sys.executable, '-P', '-X', 'dev', '-m', 'pairctl')} shows where; "
                "please report it",
            )
            output.failure(told, as_json=as_json)
            return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has had enough
        return _PIPE_BROKEN


def _run(words: Sequence[str]) -> int:
    args = arguments.parse(words or ["--help"])
    if args.version:
        args.command = "version"
    if not args.command:
        raise Usage("usage", "a command is missing", "pairctl --help")
    command = import_module(f"pairctl.commands.{args.command.replace('-', '_')}")
    return int(command.run(args) or 0)


if __name__ == "__main__":
    sys.exit(main())
