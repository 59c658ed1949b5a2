"""The host's PATH leads into the directory that a box shares, as with an activated `.venv`."""

from __future__ import annotations

import os

import pytest

from tests.boxed import Attack, scene_on, with_boxes
from tests.stage import PAIRCTL, Stage, until

pytestmark = with_boxes

# What a daemon or pairctl may run by its name alone.
PROGRAMS = """\
bash bwrap cat chmod env find getent git id ip mkdir notify-send pasta prlimit python3 rm setpriv sh
ssh ssh-keygen ssh-keyscan stty sudo systemctl systemd-inhibit tmux tput tty uname wl-copy xclip xsel
"""
# Notes that it runs outside the box, then is the real one.
TRAP = """\
#!/bin/sh
[ -w {home} ] && echo "{name}, by $(/usr/bin/tr '\\0' ' ' </proc/$PPID/cmdline)" >>{home}/trapped
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec {name} "$@"
"""
LAYS = "mkdir -p .venv/bin; cp traps/* .venv/bin/; chmod +x .venv/bin/*; ls .venv/bin"


@pytest.mark.attack(
    "a write guest in a box lays programs in the shared `.venv`, which the host's PATH names first",
    "neither pairingd nor pairctl runs one of them",
)
def test_pairing_runs_no_program_that_a_guest_has_laid(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stage() as stage:
        usual = os.environ["PATH"]
        leads = f"{stage.user_home}/project/.venv/bin:{usual}"
        stage.configure("[host]\nnotify = true\n")
        monkeypatch.setenv("PATH", leads)
        with scene_on(stage, boxed=True) as scene:
            monkeypatch.setenv("PATH", usual)  # for the test's own programs
            (scene.project / "traps").mkdir()
            for name in PROGRAMS.split():
                trap = TRAP.format(home=scene.home, name=name)
                (scene.project / "traps" / name).write_text(trap)
            scene.play((Attack("laid", LAYS, "notify-send"),))
            assert scene.results == {"laid": True}
            (stage.home / "host_ed25519").touch()  # so that ssh-keygen reads it again
            guest = stage.guest("mona")
            stage.run("env", f"PATH={leads}", PAIRCTL, "invite", "mona", "--no-copy")
            screen = guest.joins()
            screen.shows("[pairing]")
            host = stage.terminal("env", f"PATH={leads}", PAIRCTL, "attach")
            host.shows("[pairing]")
            stage.has_seen(2)
            stage.run("env", f"PATH={leads}", PAIRCTL, "restart")
            stage.run("env", f"PATH={leads}", PAIRCTL, "doctor", check=False)
            screen = guest.joins()
            screen.shows("[pairing]")
            stage.run("env", f"PATH={leads}", PAIRCTL, "end")
            screen.ended()
            before = scene.box
            assert before
            before.end()
            until(lambda: not before.lives, "the session is over")
            again = ("invite", "mona", "--no-copy", "--box", str(scene.project))
            stage.run("env", f"PATH={leads}", PAIRCTL, *again)
            shown = stage.run(
                str(scene.box and scene.box.tmux), "-S", scene.socket, "showenv", "-g"
            )
            assert f"PATH={leads.partition(':')[0]}:" in shown.stdout  # of the box itself
            trapped = scene.home / "trapped"
            assert not trapped.exists(), trapped.read_text()
