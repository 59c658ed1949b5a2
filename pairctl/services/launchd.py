"""macOS: a LaunchAgent. launchd.plist(5), launchctl(1).

Exit codes of launchctl are errno values and a few of its own: 3 and 113 not loaded, 36 and 37 in
progress, 112 and 125 no such domain, and 5 for nearly everything else, also for not loaded. So only
the exit code of a later `launchctl print` counts, as in Homebrew's services. Its text is no
interface.
"""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError

from pairctl.services.origin import installed, require_writable, template
from pairctl.services.steps import Directory, Remove, Run, Step, Until, Write
from pairingd.core.refusal import PairingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pairctl.services.origin import Origin

_REFUSED = 5
_NO_DOMAIN = frozenset({112, 125})  # as after ssh to a Mac: there is no gui/UID
LABEL = "io.github.pairing.pairingd"
# launchd's own PATH lacks Homebrew (of both processors) and MacPorts, which have tmux.
_PATH = "/opt/homebrew/bin:/usr/local/bin:/opt/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_HOME_VARIABLES = ("PAIRING_HOME",)


class Launchd:
    name = "launchd"
    hint = "allow pairingd in System Settings, General, Login Items, then run: pairctl restart"
    note = ""
    timeout_s = 3.0

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._domain = f"gui/{origin.uid}"
        self._target = f"{self._domain}/{LABEL}"
        self.file = f"{origin.home}/Library/LaunchAgents/{LABEL}.plist"
        self._stderr = Path(origin.paths.stderr)
        self._earlier_bytes = self._stderr.stat().st_size if self._stderr.exists() else 0

    def install(self) -> list[Step]:
        """If nothing changes, there is no `bootout` and so no interruption."""
        content = self._render()
        logs = Directory(str(self._stderr.parent))
        if installed(self.file) == content.encode():
            return [logs, *self.start()]
        return [logs, self._bootout(), Write(self.file, content), *self.start()]

    def answers(self) -> list[Step]:
        """Where launchd has no domain for us it runs no agent, and nothing needs it."""
        return []

    def uninstall(self) -> list[Step]:
        """Without `disable`, which would outlast the file."""
        return [self._bootout(), Remove(self.file)]

    def start(self) -> list[Step]:
        return [
            Run(("launchctl", "enable", self._target)),
            Run(
                ("launchctl", "bootstrap", self._domain, self.file),
                soft=(5, 37),
                until=self.is_loaded(),
                tries=10,
            ),
            # A loaded agent may not run: it exited cleanly before, or a RunAtLoad was missed
            # (seen on macOS 26.5). Without -k, kickstart does not touch a running one.
            Run(("launchctl", "kickstart", self._target), soft=(37,)),
        ]

    def stop(self) -> list[Step]:
        return [self._bootout()]

    def restart(self) -> list[Step]:
        """Not `kickstart -k`, which does not reread a changed file or wait for a clean exit."""
        return [self._bootout(), *self.start()]

    def is_loaded(self) -> Until:
        return Until(("launchctl", "print", self._target), succeeds=True)

    def environment(self) -> Mapping[str, str] | None:
        """The variables that the installed agent sets; None if none is installed."""
        try:
            agent = plistlib.loads(installed(self.file) or b"")
            variables = agent["EnvironmentVariables"]
            return {name: variables[name] for name in _HOME_VARIABLES if name in variables}
        except (ExpatError, ValueError, KeyError, TypeError):
            return None

    def explained(self, failure: PairingError) -> PairingError:
        code = failure.data.get("exit_code")
        cause, remedy = failure.message, failure.hint
        if code in _NO_DOMAIN:
            cause = "nobody is logged in at this Mac's own screen, so launchd runs no agents"
            remedy = "pairctl start starts pairingd by hand; to have the agent, log in there first"
        elif code == _REFUSED:
            cause = f"launchd refuses to load the agent (launchctl: exit code {code})"
        return PairingError(failure.code, cause, remedy)

    def last_words(self) -> str:
        """What pairingd has printed on stderr since this object was made."""
        try:
            printed = self._stderr.read_bytes()
        except OSError:
            return ""
        start = self._earlier_bytes if len(printed) >= self._earlier_bytes else 0
        return printed[start:].decode(errors="replace")

    def _bootout(self) -> Run:
        return Run(
            ("launchctl", "bootout", self._target),
            soft=(3, 5, 36, 37, 113),
            until=Until(("launchctl", "print", self._target), succeeds=False),
            tries=40,
        )

    def _render(self) -> str:
        origin = self._origin
        stderr = str(self._stderr)
        variables = origin.environment(_HOME_VARIABLES)
        require_writable(origin.python, stderr, *variables.values())
        agent = {
            "Label": LABEL,
            "ProgramArguments": [origin.python, "-P", "-m", "pairingd", "--launchd"],
            **plistlib.loads(template(f"launchd/{LABEL}.plist")),
            "EnvironmentVariables": {"PATH": _PATH, **variables},
            # For what Python prints in a crash; the log has its own file.
            "StandardOutPath": stderr,
            "StandardErrorPath": stderr,
        }
        return plistlib.dumps(agent, sort_keys=False).decode()
