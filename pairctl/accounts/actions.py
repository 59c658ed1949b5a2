"""Steps that no single program does. Each can be shown, as `lines` and as data, and done."""

from __future__ import annotations

import pwd
import subprocess
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pairctl.accounts import acl, ipc, users

if TYPE_CHECKING:
    from collections.abc import Callable


class Kill(NamedTuple):
    """Send SIGKILL to every process of this user until none is left."""

    user: str

    def lines(self) -> list[str]:
        return [f"kill   every process of {self.user}"]

    def done(self, seconds: float) -> str:
        """The reason why it could not be done within `seconds`; "" if it was done."""
        return "" if users.kill(self.user, seconds) else f"{self.user}: a process does not end"


class Ipc(NamedTuple):
    """Remove every System V IPC object of this user."""

    user: str

    def lines(self) -> list[str]:
        return [f"remove every System V IPC object of {self.user}"]

    def done(self, seconds: float) -> str:
        """As `Kill.done`."""
        uid = pwd.getpwnam(self.user).pw_uid
        if left := ipc.objects(uid):
            subprocess.run(("ipcrm", *left), check=False, capture_output=True, timeout=seconds)
        return f"{self.user}: an IPC object cannot be removed" if ipc.objects(uid) else ""


class Narrow(NamedTuple):
    """Take for good what the mask of the ACL withholds, of `path` and with `whole` of all below it.
    Runs as `user`, who owns the files.
    """

    path: str
    user: str
    whole: bool = True

    def lines(self) -> list[str]:
        withheld = f"what the mask withholds in {_acls(self)} is taken from the entries"
        return [f"narrow {self.path}", f"as {self.user}: {withheld}"]

    def done(self, _: float) -> str:
        """As `Kill.done`."""
        return _changed(self, acl.narrow)


class Plain(NamedTuple):
    """Remove the ACLs that only repeat the mode, of `path` and with `whole` of all below it. Then
    also the default ACLs that name nobody but `users`, except those of the directories `kept` and
    below. Runs as `user`, who owns the files.
    """

    path: str
    user: str
    whole: bool = True
    kept: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        lines = [f"plain  {self.path}", f"as {self.user}: {_acls(self)} that repeats the mode"]
        if self.whole:
            but = f" but {' and '.join(self.users)}" if self.users else ""
            lines.append(f"and each default ACL that names nobody{but}")
            lines += [f"but not in {path}, which had one before" for path in self.kept]
        return lines

    def done(self, _: float) -> str:
        """As `Kill.done`."""
        kept = self.kept if self.whole else (self.path,)
        ids = [pwd.getpwnam(name).pw_uid for name in self.users]
        return _changed(self, partial(acl.plain, kept=kept, users=ids))


def _acls(step: Narrow | Plain) -> str:
    return f"each ACL of {'it and of all below it' if step.whole else 'it'}"


def _changed(step: Narrow | Plain, change: Callable[..., None]) -> str:
    done = users.done_as(step.user, lambda: change(step.path, whole=step.whole))
    return "" if done else f"{step.path}: its ACLs cannot be changed"
