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
from pairingd.doctor import (
    account,
    box,
    daemon,
    door,
    home,
    machine,
    network,
    outside,
    programs,
    router,
)
from pairingd.doctor.finding import Check, Finding, Subject, tilde
from pairingd.errors import PairingError
from pairingd.paths import Paths, find_paths
from pairingd.process import lock

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
    Check("box", box.check),
    Check("account", account.check),
    Check("door", door.check),
    Check("relay", programs.relay),
    Check("remote-login", machine.remote_login),
    Check("firewall", machine.firewall),
    Check("sleep", machine.sleep),
    Check("forge", network.forges, 15.0),
    Check("clock", network.clock, 15.0),
    Check("local-network", network.local_network),
    Check("gateway", router.check, 60.0),
    Check("outside", outside.check, outside.LIMIT_S),
)

_Said = asyncio.Queue[Finding | None]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pairingd.doctor")
    for option in ("--router", "--fix", "--verbose"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--outside", default="")
    given = parser.parse_args(argv)
    os.umask(0o077)
    try:
        asyncio.run(_examine(given))
    except asyncio.CancelledError:
        return 1
    return 0


async def _examine(given: argparse.Namespace) -> None:
    """Cancelled by SIGTERM and SIGINT, so that every check tidies up after itself."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    paths, places, settings = _situation(fix=given.fix)
    told = daemon.Daemon()
    if paths:
        told = await daemon.ask(lock.listens_at(lock.read(paths.lock), paths))
    subject = Subject(paths, settings, told, places, **vars(given))
    async with asyncio.TaskGroup() as group:
        said: list[_Said] = [asyncio.Queue() for _ in CHECKS]
        for check, findings in zip(CHECKS, said, strict=True):
            group.create_task(_run(check, subject, findings))
        for findings in said:
            while finding := await findings.get():
                _print(finding)
    # Not by return: a thread that still waits for a dead disk would be waited for.
    os._exit(0)


def _situation(*, fix: bool) -> tuple[Paths | None, list[Finding], config.Settings]:
    """Where the configuration cannot be read, the defaults are examined."""
    defaults = config.Settings(config.Config(), "")
    try:
        paths = find_paths()
    except PairingError as error:
        _print(Finding.of("home", error))
        return None, [], defaults
    places = home.places(paths, fix=fix)
    try:
        settings = config.load(Path(paths.config))
    except PairingError as error:
        _print(Finding.of("config", error))
        return paths, places, defaults
    told = tilde(paths.config) if Path(paths.config).exists() else "all defaults: there is no file"
    _print(Finding.ok("config", told))
    return paths, places, settings


async def _run(check: Check, subject: Subject, said: _Said) -> None:
    """Puts its findings, then None."""
    try:
        async with asyncio.timeout(check.seconds):
            async for finding in check.call(subject):
                said.put_nowait(finding)
    except TimeoutError:
        what = f"it took more than {check.seconds:g} s"
        said.put_nowait(Finding.fail(check.name, what, "try again; something hangs"))
    except PairingError as error:
        said.put_nowait(Finding.of(check.name, error))
    except Exception as bug:  # noqa: BLE001 - one broken check must not hide what others found
        what = f"the check itself failed: {type(bug).__name__}: {bug}"
        said.put_nowait(Finding.fail(check.name, what, "please report it"))
    finally:
        said.put_nowait(None)


def _print(finding: Finding) -> None:
    print(json.dumps(finding.as_json()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
