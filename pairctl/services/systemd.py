"""Linux: a unit of the user's service manager. systemctl(1), systemd.unit(5)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pairctl.services.origin import PLACES, installed, require_writable, template
from pairctl.services.steps import Remove, Run, Step, Until, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pairctl.services.origin import Origin
    from pairingd.core.refusal import PairingError

UNIT = "pairingd.service"
_SYSTEMCTL = ("systemctl", "--user")
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
        """Without a restart if nothing changes. Writes nothing where no manager answers."""
        content = self._render()
        enable = _run("enable", UNIT)
        if installed(self.file) == content.encode() and not self._was_interrupted():
            return [enable, *self.start()]
        write = Write(self.file, content)
        return [*self.answers(), write, _run("daemon-reload"), enable, *self.restart()]

    def answers(self) -> list[Step]:
        return [_run("show-environment")]

    def uninstall(self) -> list[Step]:
        """`disable` exits with 1, and no special code, for a unit that does not exist."""
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
        """The variables that the installed unit sets; None if none is installed."""
        unit = installed(self.file)
        if unit is None:
            return None
        variables = _ENVIRONMENT.findall(unit.decode(errors="replace"))
        return {name: _unquoted(value) for name, value in variables}

    def explained(self, failure: PairingError) -> PairingError:
        return failure

    def last_words(self) -> str:
        """The STATUS= in which pairingd reports to systemd why it exits."""
        show = (*_SYSTEMCTL, "show", "--property=StatusText", "--value", UNIT)
        try:
            status_text = subprocess.run(
                show, capture_output=True, check=False, errors="replace", text=True, timeout=10
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return status_text.strip().replace(" | hint: ", "\nhint: ")

    def _was_interrupted(self) -> bool:
        """Whether the last daemon signed its lock before the unit was written: an install has not
        come to its restart, and what runs may be of an earlier unit.
        """
        try:
            lock, unit = (Path(file).stat() for file in (self._origin.paths.lock, self.file))
        except OSError:
            return False
        return lock.st_mtime_ns < unit.st_mtime_ns

    def _render(self) -> str:
        argv = [self._origin.python, "-P", "-m", "pairingd"]
        # `$` is expanded in command lines, not in Environment=: systemd.service(5), COMMAND LINES.
        start = " ".join(_quoted(word).replace("$", "$$") for word in argv)
        variables = self._origin.environment(PLACES)
        require_writable(*argv, *variables.values())
        environment = [f"Environment={_quoted(f'{name}={variables[name]}')}" for name in variables]
        unit = template(f"systemd/{UNIT}").decode()
        unit = unit.replace("@EXEC_START@", start)
        return unit.replace("@ENVIRONMENT@\n", "".join(f"{line}\n" for line in environment))


def _run(*arguments: str, soft: tuple[int, ...] = ()) -> Run:
    return Run((*_SYSTEMCTL, *arguments), soft)


def _quoted(text: str) -> str:
    """systemd.syntax(7), QUOTING; a `%` would begin a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    """Undo `_quoted`, without the outer quotes."""
    return re.sub(r"\\(.)", r"\1", text).replace("%%", "%")
