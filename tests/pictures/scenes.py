"""The still pictures: each plays one moment of a session, and draws both screens."""

from __future__ import annotations

from collections.abc import Callable

from tests.pictures.drawing import picture
from tests.pictures.studio import GUEST, HOST, Person, Studio
from tests.stage import EXTERNAL_HOST, until

INVITE = f"pairctl invite {GUEST} --ttl 2h"
HOST_KEY = "Are you sure"  # ssh's question at the first connection
IN = "[pairing]"  # of tmux's status line


def invitation(studio: Studio) -> str:
    octocat = studio.guest(GUEST)
    host = studio.host()
    host.types(INVITE, f"@{EXTERNAL_HOST}")
    guest = studio.someone(octocat)
    guest.types(studio.command(), HOST_KEY)
    return _both("The host invites octocat, who runs the printed command.", host, guest)


def together(studio: Studio) -> str:
    host, guest = session(studio)
    guest.types(f"# hi {HOST}, shall I start?", "start?")
    for person in (host, guest):  # the guest's greeting is in its place at first
        person.terminal.shows(f"*{GUEST}")
    return _both("Two guests in the session; the status line shows who typed last.", host, guest)


def approval(studio: Studio) -> str:
    guest = studio.guest(GUEST)
    studio.pairctl("invite", GUEST, "--ttl", "2h", "--ask", "--no-copy")
    host = studio.host()
    host.types("pairctl attach", IN)
    person = studio.someone(guest)
    enter(person, studio.command(), "waiting for the host")
    host.terminal.shows("Ctrl-Y lets them in")
    return _both("The host decides in a popup; the guest waits.", host, person)


def end(studio: Studio) -> str:
    host, guest = session(studio)
    host.types("# the work stays", "stays")
    time_is_up(studio, host, guest)
    return _both("The time is up: the guest is out, the session stays.", host, guest)


SCENES: dict[str, Callable[[Studio], str]] = {
    "invitation": invitation,
    "together": together,
    "approval": approval,
    "end": end,
}


def session(studio: Studio) -> tuple[Person, Person]:
    """The host and octocat in the session, with ann, who watches."""
    guest, ann = studio.guest(GUEST), studio.guest("ann")
    studio.pairctl("invite", GUEST, "--ttl", "2h", "--no-copy")
    studio.pairctl("invite", ann.name, "--ttl", "1h", "--read-only", "--no-copy")
    host, person = studio.host(), studio.someone(guest)
    host.types("pairctl attach", IN)
    enter(person, studio.command(), IN)
    ann.joins()
    until(lambda: " ann ro" in host.terminal.screen(), "ann is in")
    return host, person


def enter(guest: Person, command: str, then: str) -> None:
    guest.types(command, HOST_KEY)
    guest.types("yes", then)


def time_is_up(studio: Studio, host: Person, guest: Person) -> None:
    studio.expires_soon(GUEST)
    guest.terminal.shows("your time is up")
    news = host.terminal.screen  # that of the moved deadline is older, and goes first
    until(
        lambda: f"{GUEST}: the time is up" in news() and "may stay" not in news(),
        "the guest is out",
    )


def _both(about: str, *people: Person) -> str:
    return picture(about, [(one.window, one.sees()) for one in people])
