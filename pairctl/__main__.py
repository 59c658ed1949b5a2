"""The program's first moment. Ctrl-C waits until it can be answered: to import the rest takes some
hundredths of a second.
"""

from __future__ import annotations

import sys
from signal import SIG_BLOCK, SIGINT, pthread_sigmask
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code, as `command_line.run` does."""
    launchers = pthread_sigmask(SIG_BLOCK, {SIGINT})
    from pairctl.command_line.run import run

    return run(sys.argv[1:] if argv is None else argv, launchers)


if __name__ == "__main__":
    sys.exit(main())
