"""A line of sshd's log that is lost must not end a guest: macOS drops what a socket does not hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.stage import Stage, until

SSHD = """#!{python}
import os, sys
lost = {lost!r}.encode()
if "-i" in sys.argv:
    ours, sshds = os.pipe()
    if os.fork() == 0:
        for end in (0, 1, sshds):
            os.close(end)
        with os.fdopen(ours, "rb") as log:
            for line in log:
                if lost not in line:
                    os.write(2, line)
        os._exit(0)
    os.dup2(sshds, 2)
    os.close(ours)
    os.close(sshds)
os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", *sys.argv[1:]])
"""


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Its sshd loses the lines that hold this."""
    with Stage() as stage:
        sshd = stage.path / "sshd"
        sshd.write_text(SSHD.format(python=sys.executable, lost=request.param))
        sshd.chmod(0o755)
        stage.configure(f'[sshd]\ncommand = "{sshd}"\n')
        yield stage


@pytest.mark.parametrize(
    ("stage", "role"),
    [("Accepted publickey", ()), ("", ("--read-only",))],
    ids=["that line-write", "every line-read"],
    indirect=["stage"],
)
def test_a_guest_gets_in_even_if_sshds_log_of_the_login_is_lost(
    stage: Stage, role: tuple[str, ...]
) -> None:
    guest = stage.guest("octocat")
    stage.pairctl("invite", "octocat", "--no-copy", *role)
    screen = guest.joins()
    screen.shows("[pairing]")
    [invitation] = stage.asks("status")["invitations"]

    def connections() -> list[dict[str, object]]:
        [invitation] = stage.asks("status")["invitations"]
        found: list[dict[str, object]] = invitation["connections"]
        return found

    assert len(until(connections, "the guest is known to be in")) == 1
    [visit] = until(lambda: stage.asks("receipt")["visits"], "the receipt has them")
    assert (visit["guest"], visit["until"]) == ("github:octocat", None)
    assert visit["fingerprint"] == invitation["keys"][0]["fingerprint"]
    # And so known that they are out when they shall be.
    stage.pairctl("revoke", "octocat")
    screen.ended()
    visit = until(
        lambda: [one for one in stage.asks("receipt")["visits"] if one["until"]], "they are out"
    )[0]
    assert visit["why"] == "revoked"
