"""`replace` for `msgspec.Struct`, the base of all values of pairing: a dataclass to readers and to
mypy, but its definition takes microseconds. That of a frozen dataclass takes most of a millisecond,
some 200 times at each start (docs/decisions.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace  # the same call; mypy checks each field of it
else:
    from msgspec.structs import replace

__all__ = ["replace"]
