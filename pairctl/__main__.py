"""Arguments, one command, an exit code."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from pairctl import arguments, output
from pairctl.failures import INTERRUPTED, Interrupted, Usage, exit_code
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell
from pairingd.process.inherited import hear_of_children

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIPE_BROKEN = 141  # 128 + SIGPIPE, as shells report it


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 refused or failed, 2 usage, 3 no daemon; 128 + N for signal N."""
    argv = sys.argv[1:] if argv is None else argv
    as_json = "--json" in (argv[: argv.index("--")] if "--" in argv else argv)
    output.prepare()
    hear_of_children()
    try:
        try:
            return _run(argv)
        except KeyboardInterrupt:
            if as_json:
                interrupted = ("stopped before it was done", "pairctl status shows what holds")
                output.failure(Interrupted("interrupted", *interrupted), as_json=True)
            return INTERRUPTED
        except PairingError as failure:
            output.failure(failure, as_json=as_json)
            return exit_code(failure)
        except BrokenPipeError:
            raise
        except Exception as bug:
            if sys.flags.dev_mode:
                raise
            error = PairingError(
                "internal-error",
                f"pairctl failed: {type(bug).__name__}: {bug}",
                f"{shell(sys.executable, '-P', '-X', 'dev', '-m', 'pairctl')} shows where; "
                "please report it",
            )
            output.failure(error, as_json=as_json)
            return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        return _PIPE_BROKEN


def _run(argv: Sequence[str]) -> int:
    args = arguments.parse(argv or ["--help"])
    if args.version:
        args.command = "version"
    if not args.command:
        raise Usage("usage", "a command is missing", "pairctl --help")
    command = import_module(f"pairctl.commands.{args.command.replace('-', '_')}")
    return int(command.run(args) or 0)


if __name__ == "__main__":
    sys.exit(main())
