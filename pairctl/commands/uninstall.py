"""`pairctl uninstall`."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from pairctl import removal, services
from pairctl.commands.install import show
from pairctl.control.client import reach
from pairctl.failures import NoDaemon, Silent
from pairctl.services import steps
from pairctl.text import output
from pairingd.core.refusal import PairingError
from pairingd.home.paths import find_paths

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.services.steps import Step
    from pairctl.text.output import View


def run(args: Namespace, stop_limit: float = math.inf) -> None:
    """Stop the daemon, however it was started, then remove its files. The session stays."""
    paths = find_paths()
    service = services.find()
    service_paths = services.home_of(service) if service else None
    another = service_paths is not None and service_paths.lock != paths.lock
    stop = _stop()
    answers: list[Step] = []
    unload: list[Step] = []
    stays: list[Step] = []
    if service and not another:
        answers = service.answers() if os.path.lexists(service.file) else []
        unload = service.uninstall()
    elif service:
        stays.append(steps.Keep(service.file, "the service of another PAIRING_HOME"))
    if args.keep_state:
        places = filter(os.path.isdir, paths.directories)
        stays += [steps.Keep(place, "--keep-state") for place in places]
    if args.dry_run:
        files = () if args.keep_state else removal.plan(paths, daemon_runs=bool(stop))
        show([*answers, *stop, *unload, *files, *stays], as_json=args.json)
        return
    hint = service.hint if service else ""
    steps.perform(answers, hint)
    steps.perform(stop, "", stop_limit)
    try:
        steps.perform(unload, hint)
    except PairingError:
        # No error if no service is installed: after su(1) there is no manager to call.
        if service and os.path.lexists(service.file):
            raise
    done = [*(() if args.keep_state else removal.remove(paths)), *stays]
    result = {
        "installed": another,
        "service": service.name if service else None,
        "file": service.file if service else None,
        "removed": [s.path for s in done if not isinstance(s, steps.Keep)],
        "kept": [step.path for step in done if isinstance(step, steps.Keep)],
        "reasons": {step.path: step.why for step in done if isinstance(step, steps.Keep)},
    }
    output.result(result, _render, as_json=args.json)


def _stop() -> list[steps.Stop]:
    try:
        with reach() as client:
            return [steps.Stop(client.hello["pid"])]
    except NoDaemon:
        return []
    except Silent as silent:
        if silent.code != "daemon-unreachable":
            raise
        return []  # `removal` finds the lock held, and removes nothing


def _render(result: dict[str, Any], _: View) -> str:
    at_login = "" if result["installed"] else " and does not start at login"
    lines = [f"pairingd is not running{at_login}"]
    if result["removed"]:
        lines += ["removed:", *(f"  {path}" for path in result["removed"])]
    else:
        lines.append("nothing was removed")
    if result["kept"]:
        lines.append("kept:")
        lines += [f"  {path}\n    {result['reasons'][path]}" for path in result["kept"]]
    return "\n".join(lines)
