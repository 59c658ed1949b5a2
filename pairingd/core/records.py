"""What pairing's values are made of: `msgspec.Struct`, which is a dataclass to readers and to mypy,
but takes microseconds to define where a frozen dataclass takes most of a millisecond, some 200
times at each start (docs/decisions.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace  # the same call, of which mypy checks each field
else:
    from msgspec.structs import replace

__all__ = ["replace"]
