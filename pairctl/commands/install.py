"""`pairctl install`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairctl import services
from pairctl.control import daemon
from pairctl.control.client import reach
from pairctl.failures import NoDaemon, Unwritable
from pairctl.services import steps
from pairctl.text import output

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.text.output import View


def run(args: Namespace) -> None:
    service = services.manager(running=not args.dry_run)
    plan = service.install()
    stop = _stop(service, plan)
    if stop:
        plan.insert(_start_of(service, plan), stop)
    if args.dry_run:
        show(plan, as_json=args.json)
        return
    daemon.require_startable()
    try:
        with daemon.through(service, plan) as client:
            hello = client.hello
    except NoDaemon as failure:
        if stop and daemon.was_started_by_hand():
            failure.message += "; pairingd was started by hand"
        raise
    result = {
        "installed": True,
        "service": service.name,
        "file": service.file,
        "version": hello["version"],
        "pid": hello["pid"],
        "note": service.note,
    }
    output.result(result, _render, as_json=args.json)


def show(plan: list[steps.Step], *, as_json: bool) -> None:
    """`--dry-run`."""
    try:
        if as_json:
            output.document({"steps": [steps.as_json(step) for step in plan]})
        else:
            output.write("\n".join(map(steps.shown, plan)) or "nothing to do")
    except Unwritable as failure:
        failure.hint = "nothing was carried out; write the plan to another place"
        raise


def _start_of(service: services.Manager, plan: list[steps.Step]) -> int:
    """Where the plan begins to start the service: what fails before that stops no daemon."""
    starts = (*service.restart(), *service.start())
    return next((at for at, step in enumerate(plan) if step in starts), len(plan))


def _stop(service: services.Manager, plan: list[steps.Step]) -> steps.Stop | None:
    """Stops the daemon that runs now, because the service's would find its lock taken. None if the
    service runs it already and nothing changes.
    """
    unchanged = not any(isinstance(step, steps.Write) for step in plan)
    if unchanged and steps.holds(service.is_loaded()):
        return None
    try:
        with reach() as client:
            return steps.Stop(client.hello["pid"])
    except NoDaemon:
        return None


def _render(result: dict[str, Any], _: View) -> str:
    lines = [
        f"pairingd {result['version']} is running (pid {result['pid']}) and starts at every login,",
        f"by {result['service']} from {result['file']}",
        result["note"],
    ]
    return "\n".join(lines).rstrip()
