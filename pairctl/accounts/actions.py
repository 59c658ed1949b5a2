"""Steps that no single program does. Each can be shown, as `lines` and as data, and done."""

from __future__ import annotations

from typing import NamedTuple

from pairctl.accounts import acl, users


class Kill(NamedTuple):
    """Send SIGKILL to every process of this user until none is left."""

    user: str

    def lines(self) -> list[str]:
        return [f"kill   every process of {self.user}"]

    def done(self, seconds: float) -> str:
        """The reason why it could not be done within `seconds`; "" if it was done."""
        return "" if users.kill(self.user, seconds) else f"{self.user}: a process does not end"


class Narrow(NamedTuple):
    """Take for good what the mask of the ACL withholds, of `path` and with `whole` of all below it.
    Runs as `user`, who owns the files.
    """

    path: str
    user: str
    whole: bool = True

    def lines(self) -> list[str]:
        scope = "it and of all below it" if self.whole else "it"
        withheld = f"what the mask withholds in each ACL of {scope} is taken from the entries"
        return [f"narrow {self.path}", f"as {self.user}: {withheld}"]

    def done(self, _: float) -> str:
        """As `Kill.done`."""
        done = users.done_as(self.user, lambda: acl.narrow(self.path, whole=self.whole))
        return "" if done else f"{self.path}: its ACLs cannot be changed"


class Plain(NamedTuple):
    """Remove the ACLs that only repeat the mode, of `path` and with `whole` of all below it. Runs
    as `user`, who owns the files.
    """

    path: str
    user: str
    whole: bool = True

    def lines(self) -> list[str]:
        scope = "it and of all below it" if self.whole else "it"
        return [f"plain  {self.path}", f"as {self.user}: each ACL of {scope} that repeats the mode"]

    def done(self, _: float) -> str:
        """As `Kill.done`."""
        done = users.done_as(self.user, lambda: acl.plain(self.path, whole=self.whole))
        return "" if done else f"{self.path}: its ACLs cannot be changed"
