"""Runs all checks at once, each with a time limit. Prints their findings in a fixed order."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pairingd.box.surroundings import keep_out_of_boxes
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
from pairingd.doctor.finding import Check, Finding, Subject, exists, tilde
from pairingd.errors import PairingError
from pairingd.home import config
from pairingd.home.paths import Paths, find_paths
from pairingd.process import event_loop, lock
from pairingd.process.inherited import leave_the_working_directory, unset_empty_home

# The quick ones first: the slow ones run meanwhile.
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
    Check("forge", network.forges, 15.0, as_configured=True),
    Check("clock", network.clock, 15.0, as_configured=True),
    Check("local-network", network.local_network, as_configured=True),
    Check("gateway", router.check, 60.0, as_configured=True),
    Check("outside", outside.check, outside.LIMIT_S),
)

_Findings = asyncio.Queue[Finding | None]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pairingd.doctor")
    for option in ("--router", "--fix", "--verbose"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--outside", default="")
    given = parser.parse_args(argv)
    os.umask(0o077)
    unset_empty_home()
    leave_the_working_directory()
    try:
        event_loop.run(_examine(given))
    except asyncio.CancelledError:
        return 1
    return 0


async def _examine(given: argparse.Namespace) -> None:
    """SIGTERM and SIGINT cancel it, so that every check cleans up."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    paths, places, settings = _situation(fix=given.fix)
    daemon_state = daemon.Daemon()
    if paths:
        daemon_state = await daemon.ask(lock.listens_at(lock.read(paths.lock), paths))
    known = settings or config.Settings(config.Config(), "")
    subject = Subject(paths, known, daemon_state, places, **vars(given))
    checks = [check for check in CHECKS if settings or not check.as_configured]
    async with asyncio.TaskGroup() as group:
        queues: list[_Findings] = [asyncio.Queue() for _ in checks]
        for check, queue in zip(checks, queues, strict=True):
            group.create_task(_run(check, subject, queue))
        for queue in queues:
            while finding := await queue.get():
                _print(finding)
    # Not by return, which would wait for a thread that hangs on a dead disk.
    os._exit(0)


def _situation(*, fix: bool) -> tuple[Paths | None, list[Finding], config.Settings | None]:
    """Paths, findings and settings; no settings if config.toml cannot be read."""
    try:
        paths = find_paths()
    except PairingError as error:
        _print(_unconfigured("home", error))
        return None, [], None
    keep_out_of_boxes(paths.boxes)
    places = home.places(paths, fix=fix)
    try:
        settings = config.load(Path(paths.config))
    except PairingError as error:
        _print(_unconfigured("config", error))
        return paths, places, None
    source = tilde(paths.config) if exists(paths.config) else "all defaults: there is no file"
    _print(Finding.ok("config", source))
    return paths, places, settings


def _unconfigured(name: str, error: PairingError) -> Finding:
    """The finding that nobody knows the machines that config.toml names: none of them is asked."""
    skipped = ", ".join(check.name for check in CHECKS if check.as_configured)
    details = [f"not checked until then: {skipped}"] if skipped else []
    return Finding.fail(name, error.message, error.hint, *details)


async def _run(check: Check, subject: Subject, queue: _Findings) -> None:
    """Put its findings into `queue`, then None."""
    try:
        async with asyncio.timeout(check.seconds):
            async for finding in check.call(subject):
                queue.put_nowait(finding)
    except TimeoutError:
        problem = f"it took more than {check.seconds:g} s"
        queue.put_nowait(Finding.fail(check.name, problem, "try again; something hangs"))
    except PairingError as error:
        queue.put_nowait(Finding.of(check.name, error))
    except OSError as error:
        cause = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
        problem = f"not checked: {cause or error}"
        queue.put_nowait(Finding.fail(check.name, problem, "fix that, and try again"))
    except Exception as bug:  # noqa: BLE001 - one broken check must not hide what others found
        problem = f"the check itself failed: {type(bug).__name__}: {bug}"
        queue.put_nowait(Finding.fail(check.name, problem, "please report it"))
    finally:
        queue.put_nowait(None)


def _print(finding: Finding) -> None:
    print(json.dumps(finding.as_json()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
