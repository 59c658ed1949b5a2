"""launchd for one login session, as a state machine without processes, sockets or clock.

From launchd.plist(5), launchctl(1), launchd-842's core.c and field reports. What is known:

- A job that ends has its process group ended too, unless AbandonProcessGroup (core.c, job_reap).
- KeepAlive with SuccessfulExit decides whether it starts again, no sooner than ThrottleInterval
  seconds after its last start.
- `bootout` returns before the job has ended: SIGTERM, SIGKILL after ExitTimeOut, and until it is
  reaped `print` goes on to succeed.
- launchctl's exit codes: bootstrap 5 (bad file, loaded already, disabled), 37 (still ending);
  bootout 36 (still ending), 3 (not loaded); print and kickstart 113; 64 for usage; 125 where the
  user has no login at the screen.

What differs between releases, or is a user's setting, is one of the QUIRKS.
"""

from __future__ import annotations

import plistlib
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Answer = tuple[int, str]
THROTTLE_S: Final = 10.0
EXIT_TIMEOUT_S: Final = 20.0
QUIRKS: Final = {
    "no_login": False,  # nobody is at the screen: there is no domain gui/UID
    "refuses": False,  # switched off in Login Items: bootstrap answers 5 for ever
    "does_not_start": False,  # bootstrap loads the job and does not start it (macOS 26.5)
    "not_loaded": 3,  # bootout's exit code for what is not loaded; newer releases: 5
    "kickstart_of_running": 0,  # some releases: 37
}


@dataclass(frozen=True)
class Spawn:
    job: Job


@dataclass(frozen=True)
class Signal:
    pid: int
    number: signal.Signals
    group: bool = False


@dataclass(eq=False)
class Job:
    label: str
    plist: dict[str, Any]
    pid: int | None = None
    starts_at: float | None = None  # when it is to be started
    started_at: float = float("-inf")
    kill_at: float | None = None
    removed: bool = False  # by bootout; gone once it has ended
    exits: list[int] = field(default_factory=list)

    def wants_again(self, status: int) -> bool:
        keep = self.plist.get("KeepAlive")
        if isinstance(keep, dict):
            return keep.get("SuccessfulExit") is (status == 0)
        return bool(keep)

    def throttled(self, now: float) -> float:
        return max(now, self.started_at + float(self.plist.get("ThrottleInterval", THROTTLE_S)))


class Launchd:
    """`command`, `ended` and `due` are told the time; what is to be done is what `due` returns."""

    def __init__(self, uid: int) -> None:
        self.domain = f"gui/{uid}"
        self.jobs: dict[str, Job] = {}
        self.overrides: dict[str, bool] = {}  # label: disabled; outlives the job and its file
        self.quirks = dict(QUIRKS)
        self._actions: list[Spawn | Signal] = []

    def command(self, argv: list[str], now: float) -> Answer:
        match argv:
            case [("enable" | "disable") as verb, target] if "/" in target:
                return self._in_domain(verb, target) or self._override(target, verb == "disable")
            case ["print-disabled", domain]:
                return self._in_domain("print-disabled", domain) or (0, self._overrides())
            case ["print", target]:
                return self._print(target)
            case ["bootstrap", domain, file]:
                return self._in_domain("bootstrap", domain) or self._bootstrap(file, now)
            case ["bootout", target]:
                return self._in_domain("bootout", target) or self._bootout(target, now)
            case ["kickstart", target]:
                return self._in_domain("kickstart", target) or self._kickstart(target, now)
        return 64, "Usage: launchctl <subcommand> ... [args]"

    def ended(self, pid: int, status: int, now: float) -> None:
        job = next(job for job in self.jobs.values() if job.pid == pid)
        job.pid, job.kill_at = None, None
        job.exits.append(status)
        if not job.plist.get("AbandonProcessGroup"):
            self._actions.append(Signal(pid, signal.SIGTERM, group=True))
        if job.removed:
            del self.jobs[job.label]
        elif job.wants_again(status):
            job.starts_at = job.throttled(now)

    def due(self, now: float) -> list[Spawn | Signal]:
        """What is to be done by `now`. The caller puts the pid of a started job into it."""
        actions, self._actions = self._actions, []
        for job in self.jobs.values():
            if job.starts_at is not None and job.starts_at <= now:
                job.starts_at, job.started_at = None, now
                actions.append(Spawn(job))
            if job.pid is not None and job.kill_at is not None and job.kill_at <= now:
                job.kill_at = None
                actions.append(Signal(job.pid, signal.SIGKILL))
        return actions

    def _in_domain(self, verb: str, target: str) -> Answer | None:
        """The refusal where there is no such domain, or None."""
        if self.quirks["no_login"] or not f"{target}/".startswith(f"{self.domain}/"):
            return 125, f"{verb}: Domain does not support specified action"
        return None

    def _override(self, target: str, disabled: bool) -> Answer:
        self.overrides[_label(target)] = disabled
        return 0, ""

    def _overrides(self) -> str:
        rows = (
            f'\t\t"{label}" => {"disabled" if disabled else "enabled"}'
            for label, disabled in self.overrides.items()
        )
        return "\n".join(("\tdisabled services = {", *rows, "\t}"))

    def _print(self, target: str) -> Answer:
        job = self.jobs.get(_label(target))
        if self._in_domain("print", target) or job is None:
            where = f"user gui: {self.domain.removeprefix('gui/')}"
            why = f'Could not find service "{_label(target)}" in domain for {where}'
            return 113, f"Bad request.\n{why}"
        state = "running" if job.pid else "not running"
        return 0, f"{target} = {{\n\tstate = {state}\n\truns = {len(job.exits)}\n}}"

    def _bootstrap(self, file: str, now: float) -> Answer:
        refused = (5, "Bootstrap failed: 5: Input/output error")
        try:
            plist = plistlib.loads(Path(file).read_bytes())
            label = str(plist["Label"])
            writable_by_others = Path(file).stat().st_mode & 0o022
        except (OSError, ValueError, KeyError, TypeError, plistlib.InvalidFileException):
            return refused
        if label in self.jobs and self.jobs[label].removed:
            return 37, "Bootstrap failed: 37: Operation already in progress"
        if (
            self.quirks["refuses"]
            or writable_by_others
            or label in self.jobs
            or self.overrides.get(label)
        ):
            return refused
        job = self.jobs[label] = Job(label, plist)
        starts = plist.get("RunAtLoad") or "KeepAlive" in plist
        if starts and not self.quirks["does_not_start"]:
            job.starts_at = now
        return 0, ""

    def _bootout(self, target: str, now: float) -> Answer:
        job = self.jobs.get(_label(target))
        if job is None:
            code = int(self.quirks["not_loaded"])
            return code, f"Boot-out failed: {code}: {_STRERROR[code]}"
        if job.removed:
            return 36, "Boot-out failed: 36: Operation now in progress"
        if job.pid is None:
            del self.jobs[job.label]
            return 0, ""
        job.removed, job.starts_at = True, None
        job.kill_at = now + job.plist.get("ExitTimeOut", EXIT_TIMEOUT_S)
        self._actions.append(Signal(job.pid, signal.SIGTERM))
        return 36, "Boot-out failed: 36: Operation now in progress"

    def _kickstart(self, target: str, now: float) -> Answer:
        job = self.jobs.get(_label(target))
        if job is None:
            return 113, f'Could not find service "{_label(target)}" in domain for {self.domain}'
        if job.pid is not None:
            return int(self.quirks["kickstart_of_running"]), ""
        job.starts_at = job.throttled(now)
        return 0, ""


_STRERROR: Final = {3: "No such process", 5: "Input/output error"}


def _label(target: str) -> str:
    return target.rpartition("/")[2]
