"""What several parsers promise. Each raises AssertionError where it does not hold."""

from __future__ import annotations

from collections.abc import Collection

from pairingd.errors import PairingError


def refusal(error: PairingError, codes: Collection[str]) -> str:
    """Its code, one of `codes`; cause and remedy are a printable line each, of a bounded length."""
    assert error.code in codes
    words(error.message)
    words(error.hint)
    return error.code


def words(text: str, most: int = 1000) -> None:
    assert text.isprintable()
    assert len(text) < most


def number(value: int, low: int, high: int) -> None:
    """Both ends are allowed."""
    assert low <= value <= high
