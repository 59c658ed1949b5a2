"""Arguments, one command, an exit code."""

from __future__ import annotations

import errno
import signal
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

from pairctl.command_line import arguments, word_order
from pairctl.failures import INTERRUPTED, Interrupted, Usage, exit_code
from pairctl.text import output
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell
from pairingd.process.inherited import (
    hear_of_children,
    leave_the_working_directory,
    open_closed_streams,
    unset_empty_home,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PIPE_BROKEN = 141  # 128 + SIGPIPE, as shells report it


def run(argv: Sequence[str], blocked_signals: Iterable[int]) -> int:
    """Exit code: 0 done, 1 refused or failed, 2 usage, 3 no daemon; 128 + N for signal N. Lets all
    signals through but `blocked_signals`: one that has waited is answered here.
    """
    as_json = "--json" in word_order.before_dashes(argv)
    open_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    hear_of_children()
    unset_empty_home()
    leave_the_working_directory()
    try:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked_signals)
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
            output.failure(_unexpected(bug), as_json=as_json)
            return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        return _PIPE_BROKEN


def _unexpected(bug: Exception) -> PairingError:
    if isinstance(bug, OSError) and bug.errno == errno.EMFILE:
        limit = "pairctl may not open as many files as it needs"
        return PairingError("too-few-descriptors", limit, "raise the limit that `ulimit -n` shows")
    return PairingError(
        "internal-error",
        f"pairctl failed: {type(bug).__name__}: {bug}",
        f"{shell(sys.executable, '-P', '-X', 'dev', '-m', 'pairctl')} shows where; "
        "please report it",
    )


def _run(argv: Sequence[str]) -> int:
    args = arguments.parse(argv or ["--help"])
    if args.version:
        args.command = "version"
    if not args.command:
        raise Usage("usage", "a command is missing", "pairctl --help")
    command = import_module(f"pairctl.commands.{args.command.replace('-', '_')}")
    return int(command.run(args) or 0)
