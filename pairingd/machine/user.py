"""The name of the account that guests log in to."""

from __future__ import annotations

import os
import pwd

from pairingd.core.model import Session
from pairingd.errors import Misconfigured


def login_name(session: Session | None) -> str:
    """Return the name as which the guests of `session` log in. Raises as `user_name`."""
    return (session.account if session else "") or user_name()


def user_name() -> str:
    """Raise Misconfigured `no-account` if no account has our uid: sshd then lets nobody in."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Misconfigured(
            "no-account",
            f"no account on this machine has the user id {uid} that pairingd runs with",
            "add one, so that `id -un` prints its name, or run pairingd as another user",
        ) from None
