"""The command line of pairingd. It runs in the foreground by default, as launchd and systemd
require.

`pairingd.wiring` has the server. With `--detach` the first process does not import it, because
`pairctl invite` waits for that process.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import pairingd
from pairingd.core.refusal import PairingError
from pairingd.process import openssl
from pairingd.process.detach import Launch, detach
from pairingd.process.inherited import (
    leave_the_working_directory,
    open_closed_streams,
    silence,
    unset_empty_home,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pairingd.process.stop_signals import StopSignals

ALREADY_RUNNING = 4  # exit code if another daemon runs; the unit in systemd/ and pairctl know it


def run(signals: StopSignals, argv: Sequence[str] | None = None) -> int:
    """Return 0 if stopped as asked or fit to start, 1 on failure, 2 on usage; a second daemon:
    `_exit_code`.
    """
    open_closed_streams()
    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    unset_empty_home()
    leave_the_working_directory()
    launch = Launch()
    if arguments.detach and not launch.detached:
        signals.release()
        return detach()

    gc.disable()  # importing leaves no garbage, and collecting takes 8 of its 101 ms
    with openssl.left_out():
        from pairingd import wiring
        from pairingd.process import logs
        from pairingd.process.notify import notify

    gc.freeze()  # modules stay, so no later collection needs to look at them
    gc.enable()
    own_log = launch.detached or arguments.launchd
    if arguments.launchd:
        logs.bound_stderr()
    try:
        if arguments.test:
            wiring.test()
        else:
            wiring.run(launch, signals, log_format=arguments.log_format, own_log=own_log)
    except PairingError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        notify(f"STATUS=error: {error.message} | hint: {error.hint}")
        code = _exit_code(error, arguments)
        launch.report(code)
        return code
    except KeyboardInterrupt:  # once the loop is closed; so is all else
        pass
    return 0


def _exit_code(error: PairingError, arguments: argparse.Namespace) -> int:
    """Return the exit code. A service manager must distinguish a second daemon from a failure."""
    if error.code != "already-running":
        return 1
    if arguments.launchd:
        return 0
    started = arguments.detach or "NOTIFY_SOCKET" in os.environ
    return ALREADY_RUNNING if started else 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\nhint: pairingd --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = file or sys.stderr
        try:
            print(message, end="", file=stream, flush=True)
        except OSError as error:
            silence(stream)
            if stream is sys.stdout:
                cause = f"the result could not be written: {error.strerror}"
                self.exit(1, f"error: {cause}\nhint: write it to another place\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pairingd",
        allow_abbrev=False,
        description="The daemon behind pairctl: it owns the door, the keys, "
        "the connections and the router's mapping.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--detach", action="store_true", help="run in the background once it accepts requests"
    )
    mode.add_argument(
        "--launchd",
        action="store_true",
        help="for launchd: log to a file, and exit with 0 if another daemon is running",
    )
    mode.add_argument(
        "--test",
        action="store_true",
        help="start nothing: exit with 0 if configuration, directories and stored state would let "
        "it start, or print why not",
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--version", action="version", version=f"pairingd {pairingd.__version__}")
    return parser
