"""The program's first moment. Nothing else is imported before signals are caught: that takes a
tenth of a second.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pairingd.process.stop_signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code, as `command_line.run` does."""
    signals = StopSignals()
    from pairingd.command_line import run

    return run(signals, argv)


if __name__ == "__main__":
    sys.exit(main())
