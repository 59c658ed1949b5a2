"""Steps that no program takes in one go. Each is shown, as data, and done."""

from __future__ import annotations

from typing import NamedTuple

from pairctl.accounts import acl, users


class Kill(NamedTuple):
    """Every process of this user, by SIGKILL, until there is none."""

    user: str

    def shown(self) -> str:
        return f"kill   every process of {self.user}"

    def done(self, seconds: float) -> str:
        """Why it could not be done within so many seconds; "" where it was."""
        return "" if users.kill(self.user, seconds) else f"{self.user}: a process does not end"


class Plain(NamedTuple):
    """Remove the ACLs that say no more than the mode does, as `user`, who owns the files: of
    `path`, and with `whole` of all below it.
    """

    path: str
    user: str
    whole: bool = True

    def shown(self) -> str:
        these = "it and of all below it" if self.whole else "it"
        return (
            f"plain  {self.path}\n       as {self.user}: each ACL of {these} that repeats the mode"
        )

    def done(self, _: float) -> str:
        """As of Kill."""
        done = users.done_as(self.user, lambda: acl.plain(self.path, whole=self.whole))
        return "" if done else f"{self.path}: its ACLs cannot be changed"
