"""asyncio and hashlib import OpenSSL, which takes 7 MiB. Both do without: asyncio then has no TLS,
which httpx does not ask it for, and hashlib has Python's own hashes.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec

_HASHES = ("_md5", "_sha1", "_sha3")  # hashlib complains of each that neither has
_SHA2 = (("_sha2",), ("_sha256", "_sha512"))  # since Python 3.12, and before


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """Import asyncio and hashlib in this block for the first time. Where Python has no hashes of
    its own, as in some distributions, only TLS is left out.
    """
    has_hashes = _are_there(_HASHES) and any(map(_are_there, _SHA2))
    names = ("ssl", "_hashlib") if has_hashes else ("ssl",)
    hidden = [name for name in names if name not in sys.modules]
    # None is for what cannot be imported: Python's reference, 5.3.1, The module cache.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _are_there(modules: tuple[str, ...]) -> bool:
    return all(map(find_spec, modules))
