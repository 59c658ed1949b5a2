"""Every check at once, each within its time; what they find, in a fixed order."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pairingd import config
from pairingd.doctor import daemon, home, machine, network, programs, router
from pairingd.doctor.finding import Check, Finding, Subject
from pairingd.errors import Misconfigured, PairingError
from pairingd.paths import Paths, find_paths

# The quick ones first: the slow ones have begun meanwhile.
CHECKS = (
    Check("daemon", home.daemon),
    Check("service", machine.service),
    Check("home", home.directories),
    Check("disk", home.disk),
    Check("user", machine.user),
    Check("tmux", programs.tmux),
    Check("ssh", programs.ssh),
    Check("sshd", programs.sshd, 30.0),
    Check("remote-login", machine.remote_login),
    Check("firewall", machine.firewall),
    Check("sleep", machine.sleep),
    Check("forge", network.forges, 15.0),
    Check("clock", network.clock, 15.0),
    Check("local-network", network.local_network),
    Check("gateway", router.gateway, 30.0),
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pairingd.doctor")
    for option in ("--router", "--fix", "--verbose"):
        parser.add_argument(option, action="store_true")
    given = parser.parse_args(argv)
    os.umask(0o077)
    return asyncio.run(_examine(router=given.router, fix=given.fix, verbose=given.verbose))


async def _examine(*, router: bool, fix: bool, verbose: bool) -> int:
    """Cancelled by SIGTERM and SIGINT, so that every check tidies up after itself."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    paths, settings, first = _situation()
    for finding in first:
        _print(finding)
    told = await daemon.ask(paths.control_socket) if paths else daemon.Daemon()
    subject = Subject(paths, settings, told, fix, verbose)
    checks = (*CHECKS, *(ROUTER_CHECKS if router else ()))
    async with asyncio.TaskGroup() as group:
        for running in [group.create_task(_run(check, subject)) for check in checks]:
            for finding in await running:
                _print(finding)
    return 0


def _situation() -> tuple[Paths | None, config.Settings, list[Finding]]:
    try:
        paths = find_paths()
    except PairingError as error:
        return None, config.Settings(config.Config(), ""), [Finding.of("home", error)]
    try:
        settings = config.load(Path(paths.config))
    except Misconfigured as error:
        return paths, config.Settings(config.Config(), ""), [Finding.of("config", error)]
    ...


async def _run(check: Check, subject: Subject) -> list[Finding]:
    try:
        async with asyncio.timeout(check.seconds):
            return await check.call(subject)
    except TimeoutError:
        what = f"no answer within {check.seconds:g} s"
        return [Finding.fail(check.name, what, "try again; python -m pairingd.doctor tells more")]
    except PairingError as error:
        return [Finding.of(check.name, error)]
    except Exception as bug:  # noqa: BLE001 - one broken check must not hide what others found
        what = f"the check itself failed: {type(bug).__name__}: {bug}"
        return [Finding.fail(check.name, what, "please report it")]


def _print(finding: Finding) -> None:
    print(json.dumps(finding.as_json()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
