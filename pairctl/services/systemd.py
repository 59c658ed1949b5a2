"""Linux: a unit of the user's own service manager. systemctl(1), systemd.unit(5)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pairctl.services.origin import template
from pairctl.services.steps import Remove, Run, Step, Until, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pairctl.services.origin import Origin
    from pairingd.core.refusal import PairingError

UNIT = "pairingd.service"
_SYSTEMCTL = ("systemctl", "--user")
# XDG_RUNTIME_DIR too: the sockets must be where the clients look, whatever the manager's is.
_PLACES = ("PAIRING_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
_NOT_LOADED = 5  # systemctl(1), EXIT STATUS
_ENVIRONMENT = re.compile(r'^Environment="([A-Z_]+)=(.*)"$', re.MULTILINE)


class Systemd:
    name = "systemd --user"
    hint = (
        f"see: systemctl --user status {UNIT}; after sudo or su there is no user manager, so "
        "log in as that user"
    )
    timeout_s = 60.0  # Type=notify: `start` waits for the daemon
    note = "It stops at your last logout; to keep it running: loginctl enable-linger"

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.file = f"{origin.config_home}/systemd/user/{UNIT}"

    def install(self) -> list[Step]:
        """Without a restart where nothing changes."""
        content = self._render()
        enable = _run("enable", UNIT)
        if self._installed() == content:
            return [enable, *self.start()]
        return [Write(self.file, content), _run("daemon-reload"), enable, *self.restart()]

    def uninstall(self) -> list[Step]:
        """`disable` has no other exit code than 1 for a unit that is not there."""
        return [
            *self.stop(),
            _run("disable", UNIT, soft=(1,)),
            Remove(self.file, directories=2),  # systemd/user, which `Write` may have made
            _run("daemon-reload"),
        ]

    def start(self) -> list[Step]:
        return [_run("start", UNIT)]

    def stop(self) -> list[Step]:
        return [_run("stop", UNIT, soft=(_NOT_LOADED,))]

    def restart(self) -> list[Step]:
        return [_run("restart", UNIT)]

    def is_loaded(self) -> Until:
        return Until((*_SYSTEMCTL, "is-active", "--quiet", UNIT), succeeds=True)

    def environment(self) -> Mapping[str, str] | None:
        """What the installed unit is given; None where none is installed."""
        unit = self._installed()
        if unit is None:
            return None
        return {name: _unquoted(value) for name, value in _ENVIRONMENT.findall(unit)}

    def explained(self, failure: PairingError) -> PairingError:
        return failure

    def last_words(self) -> str:
        """The STATUS= with which pairingd has told systemd why it ends."""
        show = (*_SYSTEMCTL, "show", "--property=StatusText", "--value", UNIT)
        try:
            told = subprocess.run(
                show, capture_output=True, check=False, errors="replace", text=True, timeout=10
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return told.strip().replace(" | hint: ", "\nhint: ")

    def _installed(self) -> str | None:
        try:
            return Path(self.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _render(self) -> str:
        words = [self._origin.python, "-P", "-m", "pairingd"]
        # `$` is expanded in command lines, not in Environment=: systemd.service(5), COMMAND LINES.
        start = " ".join(_quoted(word).replace("$", "$$") for word in words)
        given = self._origin.environment(_PLACES)
        environment = [f"Environment={_quoted(f'{name}={given[name]}')}" for name in given]
        unit = template(f"systemd/{UNIT}").decode()
        unit = unit.replace("@EXEC_START@", start)
        return unit.replace("@ENVIRONMENT@\n", "".join(f"{line}\n" for line in environment))


def _run(*words: str, soft: tuple[int, ...] = ()) -> Run:
    return Run((*_SYSTEMCTL, *words), soft)


def _quoted(text: str) -> str:
    """systemd.syntax(7), QUOTING; a `%` would begin a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + escaped.replace("\n", "\\n") + '"'


def _unquoted(text: str) -> str:
    """The inside of `_quoted`, undone."""
    plain = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
    return plain.replace("%%", "%")
