"""The core's exceptions. They are here because the core imports nothing outside itself."""

from __future__ import annotations


class PairingError(Exception):
    """A failure reported to a person: `code` is stable, `message` the cause, `hint` the remedy.

    Both texts are one line each. `data` carries machine-readable details for `--json`.
    """

    def __init__(self, code: str, message: str, hint: str, **data: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class Refused(PairingError):
    """A rule refused an event. Nothing has changed."""
