"""What `make coverage` needs in the environment of a program that is given one of its own."""

from __future__ import annotations

import os


def measured() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


def unmeasured() -> dict[str, str]:
    """The environment without that, for a program that must not be measured."""
    return dict(os.environ.items() - measured().items())
