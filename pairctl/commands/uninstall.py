"""`pairctl uninstall`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pairctl import output, services
from pairctl.client import reach
from pairctl.commands.install import show
from pairctl.failures import NoDaemon
from pairctl.services import steps
from pairingd.paths import find_paths

if TYPE_CHECKING:
    from argparse import Namespace

    from pairctl.output import View


def run(args: Namespace) -> None:
    """The daemon ends too, whoever started it; its files and the tmux session stay."""
    service = services.manager(running=False) if args.dry_run else services.find()
    plan = [*_stop(), *(service.uninstall() if service else [])]
    if args.dry_run:
        show(plan, as_json=args.json)
        return
    steps.perform(plan, service.hint if service else "")
    told = {
        "installed": False,
        "service": service.name if service else None,
        "file": service.file if service else None,
        "kept": list(find_paths().directories),
    }
    output.result(told, _render, as_json=args.json)


def _stop() -> list[steps.Step]:
    try:
        with reach() as client:
            return [steps.Stop(client.hello["pid"])]
    except NoDaemon:
        return []


def _render(told: dict[str, Any], _: View) -> str:
    lines = ["pairingd has ended and will not start at login", "its files are kept:"]
    return "\n".join([*lines, *(f"  {place}" for place in told["kept"])])
