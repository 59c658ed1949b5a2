"""The recording: a whole session, from the invitation to the end.

What is done and seen is real; for how long each frame is shown is not. The deadline is moved to a
few seconds ahead while nothing is recorded.
"""

from __future__ import annotations

from tests.pictures.recording import Frame, film
from tests.pictures.scenes import HOST_KEY, IN, INVITE, time_is_up
from tests.pictures.studio import GUEST, HOST, PROMPT, Person, Studio
from tests.stage import EXTERNAL_HOST, in_another_second, until

ABOUT = "A whole session: the host invites octocat, both type, and the time is up."
_KEYS = 3  # a frame
_KEY_S = 0.06
_READ_S = 2.5


class Recorder:
    def __init__(self, *people: Person) -> None:
        self.caption = ""
        self.frames: list[Frame] = []
        self._people = people

    def shoots(self, seconds: float) -> None:
        """What all see now, to be shown for so long."""
        shot = tuple(one.sees() for one in self._people)
        self.frames.append(Frame(shot, seconds, self.caption))

    def types(self, person: Person, line: str, then: str) -> None:
        """`line` key by key, and Enter; the frame after it is the caller's."""
        for end in range(_KEYS, len(line) + _KEYS, _KEYS):
            person.terminal.writes(line[end - _KEYS : end])
            person.terminal.shows(f"{PROMPT} {line[:end].rstrip()}")
            self.shoots(_KEYS * _KEY_S)
        person.terminal.presses("Enter")
        person.terminal.shows(then)

    def pastes(self, person: Person, line: str, then: str) -> None:
        person.terminal.writes(line)
        person.terminal.shows(line)
        self.shoots(0.8)
        person.terminal.presses("Enter")
        person.terminal.shows(then)


def recording(studio: Studio) -> str:
    octocat = studio.guest(GUEST)
    host, guest = studio.host(), studio.someone(octocat)
    camera = Recorder(host, guest)

    camera.caption = "The host invites a GitHub account, for two hours."
    camera.shoots(0.8)
    camera.types(host, INVITE, f"@{EXTERNAL_HOST}")
    camera.shoots(_READ_S)

    camera.caption = "The guest runs the command that was sent to them. They need only ssh."
    camera.pastes(guest, studio.command(), HOST_KEY)
    camera.shoots(1.2)
    camera.pastes(guest, "yes", IN)
    camera.types(host, "pairctl attach", IN)
    until(lambda: f" {GUEST} rw" in host.terminal.screen(), "the guest is in")
    camera.shoots(_READ_S)

    in_another_second()  # than that of the start, which tmux takes for activity
    camera.caption = "One tmux session; the status line shows who is in and who typed last."
    camera.types(guest, f"# hi {HOST}, shall I start?", f"start?\n{PROMPT}")
    for person in (host, guest):
        person.terminal.shows(f"*{GUEST}")
    camera.shoots(1.2)
    camera.types(host, "# yes, run the tests", f"tests\n{PROMPT}")
    camera.shoots(_READ_S)

    still = len(camera.frames) - 1

    camera.caption = "When the time is up, the guest is out and the port is closed."
    time_is_up(studio, host, guest)
    until(lambda: not studio.mappings(), "the router forwards no more")
    camera.shoots(_READ_S)
    camera.types(host, "pairctl receipt", "Refused")
    camera.shoots(2 * _READ_S)
    return film(ABOUT, (host.window, guest.window), camera.frames, still)
