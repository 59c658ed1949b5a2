"""What installing, starting and stopping a service takes, as data.

`--dry-run` shows the very list that `perform` goes through.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pairingd import private
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal, one_line, shell

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAUSE = 0.5  # seconds between two tries
_LIMIT = 60.0  # seconds for one command; `systemctl start` waits for the daemon


class Directory(NamedTuple):
    """Made with mode 0700 where it is absent."""

    path: str


class Write(NamedTuple):
    """Replaces the file whole; mode 0644, as launchd and systemd expect their files."""

    path: str
    content: str


class Remove(NamedTuple):
    """With as many `directories` above it as are empty by then."""

    path: str
    directories: int = 0


class Rmdir(NamedTuple):
    """Of a directory that is empty by then."""

    path: str


class Keep(NamedTuple):
    """Nothing is done: what stays, and why."""

    path: str
    why: str


class Stop(NamedTuple):
    """The daemon that runs now, by its control socket, as `pairctl stop` does."""

    pid: int


class Until(NamedTuple):
    """Asked before each try: whether `argv` ends with exit code 0, or with another one."""

    argv: tuple[str, ...]
    succeeds: bool


class Run(NamedTuple):
    """An exit code in `soft` is no failure. With `until`: only until that holds, `tries` times."""

    argv: tuple[str, ...]
    soft: tuple[int, ...] = ()
    until: Until | None = None
    tries: int = 1


Step: TypeAlias = Directory | Write | Remove | Rmdir | Keep | Stop | Run


def shown(step: Step) -> str:
    match step:
        case Directory(path):
            return f"make   {path} (mode 700)"
        case Write(path, content):
            lines = "".join(f"\n       | {line}".rstrip() for line in content.splitlines())
            return f"write  {path} (mode 644){lines}"
        case Remove(path, directories):
            above = Path(path).parents[:directories]
            empty = f"\n       then, where it is empty: {{}}{os.sep}"
            return f"remove {path}{''.join(map(empty.format, above))}"
        case Rmdir(path):
            return f"remove {path}{os.sep}"
        case Keep(path, why):
            return f"keep   {path}\n       {for_terminal(why)}"
        case Stop(pid):
            return f"stop   pairingd (pid {pid}); the tmux session stays"
        case Run(argv, soft, until, tries):
            told = f"run    {shell(*argv)}"
            if soft:
                told += f"\n       exit codes that are no failure: {', '.join(map(str, soft))}"
            if until:
                ends = "succeeds" if until.succeeds else "fails"
                told += f"\n       until this {ends}: {shell(*until.argv)}"
                told += f" (at most {tries} times, {_PAUSE} s apart)"
            return told


def as_json(step: Step) -> dict[str, Any]:
    kind = type(step).__name__.lower()
    fields = step._asdict()
    if isinstance(step, Run) and step.until:
        fields["until"] = step.until._asdict()
    return {"step": kind, **fields}


def perform(steps: Iterable[Step], hint: str, limit: float = math.inf) -> None:
    """In order, within `limit` seconds. The first that fails is a PairingError `service-failed`,
    with `hint` as remedy and, of a command, its last `exit_code` (None: it gave none in time).

    `unsafe-home` where something would be made in a place of another user's.
    """
    deadline = time.monotonic() + limit
    for step in steps:
        try:
            _perform(step, deadline)
        except OSError as error:
            raise PairingError(
                "service-failed", f"{error.filename}: {error.strerror}", hint
            ) from None
        except _Failed as failed:
            raise PairingError(
                "service-failed", str(failed), hint, exit_code=failed.exit_code
            ) from None


class _Failed(Exception):
    """A command did not do what it was run for."""

    def __init__(self, why: str, exit_code: int | None) -> None:
        super().__init__(why)
        self.exit_code = exit_code


def _perform(step: Step, deadline: float) -> None:
    match step:
        case Directory(path):
            private.find(path)
            Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        case Write(path, content):
            _write(Path(path), content)
        case Remove(path, directories):
            Path(path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty, or not there
                for directory in Path(path).parents[:directories]:
                    directory.rmdir()
        case Rmdir(path):
            Path(path).rmdir()
        case Keep():
            pass
        case Stop():
            from pairctl import client, shutdown

            with client.reach() as running:
                shutdown.stop(running, min(shutdown.STOP_LIMIT_S, deadline - time.monotonic()))
        case Run(until=until):
            if until:
                _run_until(step, until, deadline)
            else:
                _run(step, deadline)


def _write(path: Path, content: str) -> None:
    private.find(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, encoding="utf-8")
    partial.chmod(0o644)
    partial.replace(path)


def _run_until(step: Run, until: Until, deadline: float) -> None:
    said, code = "", None
    for _ in range(step.tries):
        if holds(until, deadline):
            return
        code, said = _run(step, deadline)
        if holds(until, deadline):
            return
        if time.monotonic() + _PAUSE > deadline:
            break
        time.sleep(_PAUSE)
    ends = "succeeded" if until.succeeds else "failed"
    told = f"; {step.argv[0]} printed: {said}" if said else ""
    raise _Failed(f"{shell(*until.argv)} has not {ends} after {shell(*step.argv)}{told}", code)


def holds(until: Until, deadline: float = math.inf) -> bool:
    """Looked at now, once."""
    return (_ran(until.argv, deadline).returncode == 0) is until.succeeds


def _run(step: Run, deadline: float) -> tuple[int, str]:
    """Its exit code, and the last line it said."""
    ran = _ran(step.argv, deadline)
    lines = ran.stdout.strip().splitlines()
    said = one_line(lines[-1], 200) if lines else ""
    code = ran.returncode
    if code and code not in step.soft:
        raise _Failed(f"{shell(*step.argv)}: exit code {code}: {said or 'no reason'}", code)
    return code, said


def _ran(argv: tuple[str, ...], deadline: float) -> subprocess.CompletedProcess[str]:
    limit = max(0.0, min(_LIMIT, deadline - time.monotonic()))
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            errors="replace",
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"{shell(*argv)}: no answer within {limit:.0f} s", None) from None
