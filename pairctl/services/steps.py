"""What installing, starting and stopping a service takes, and making an account, as data.

`--dry-run` shows the very list that `perform` goes through.
"""

from __future__ import annotations

import contextlib
import grp
import math
import os
import pwd
import secrets
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pairctl.accounts.actions import Kill, Plain
from pairingd import private
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal, one_line, shell

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAUSE = 0.5  # seconds between two tries
_LIMIT = 60.0  # seconds for one command; `systemctl start` waits for the daemon


class Directory(NamedTuple):
    """Made where it is absent. One that is there keeps its mode, unless an `owner` is named, as
    USER:GROUP: then it gets both, and must be no link.
    """

    path: str
    mode: int = 0o700
    owner: str = ""


class Write(NamedTuple):
    """Replaces the file whole; mode 0644, as launchd and systemd expect their files. The command
    `check` gets the name of the new file as its last word; where it fails, the old file stays.
    """

    path: str
    content: str
    mode: int = 0o644
    check: tuple[str, ...] = ()


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
    """An exit code in `soft` is no failure. With `until`: only until that holds, `tries` times.
    `note` is for people: what the command means to them. The word RANDOM is replaced by a random
    password, which is never shown.
    """

    argv: tuple[str, ...]
    soft: tuple[int, ...] = ()
    until: Until | None = None
    tries: int = 1
    note: str = ""
    seconds: float = _LIMIT


RANDOM = "RANDOM-PASSWORD"
ANY = tuple(range(1, 256))  # for programs whose exit codes no manual page lists
Step: TypeAlias = Directory | Write | Remove | Rmdir | Keep | Stop | Kill | Plain | Run


def shown(step: Step) -> str:
    match step:
        case Directory(path, mode, owner):
            return f"make   {path} (mode {mode:o}{owner and f', {owner}'})"
        case Write(path, content, mode, check):
            lines = "".join(f"\n       | {line}".rstrip() for line in content.splitlines())
            before = f"\n       only if this succeeds: {shell(*check)} FILE" if check else ""
            return f"write  {path} (mode {mode:o}){before}{lines}"
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
        case Kill() | Plain():
            return step.shown()
        case Run():
            return _shown_run(step)


def _shown_run(step: Run) -> str:
    told = f"run    {shell(*step.argv)}"
    if step.note:
        told += f"\n       {for_terminal(step.note)}"
    if step.soft == ANY:
        told += "\n       no exit code is a failure"
    elif step.soft:
        told += f"\n       exit codes that are no failure: {', '.join(map(str, step.soft))}"
    if until := step.until:
        ends = "succeeds" if until.succeeds else "fails"
        told += f"\n       until this {ends}: {shell(*until.argv)}"
        told += f" (at most {step.tries} times, {_PAUSE} s apart)"
    return told


def as_json(step: Step) -> dict[str, Any]:
    kind = type(step).__name__.lower()
    fields = step._asdict()
    match step:
        case Run(until=until):
            del fields["seconds"]
            fields["until"] = until and until._asdict()
        case Directory(mode=mode) | Write(mode=mode):
            fields["mode"] = f"{mode:04o}"
        case _:
            pass
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
        case Directory():
            _make(step)
        case Write(path):
            _write(Path(path), step, deadline)
        case Remove():
            _remove(step)
        case Rmdir(path):
            Path(path).rmdir()
        case Keep():
            pass
        case Stop():
            _stop(deadline)
        case Kill() | Plain():
            if why := step.done(min(_LIMIT, deadline - time.monotonic())):
                raise _Failed(why, None)
        case Run():
            _run_until(step, step.until, deadline) if step.until else _run(step, deadline)


def _stop(deadline: float) -> None:
    from pairctl import client, shutdown

    with client.reach() as running:
        shutdown.stop(running, min(shutdown.STOP_LIMIT_S, deadline - time.monotonic()))


def _remove(step: Remove) -> None:
    Path(step.path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or not there
        for directory in Path(step.path).parents[: step.directories]:
            directory.rmdir()


def _make(step: Directory) -> None:
    """Whoever else may write beside one with an owner can put a link there; it is not followed."""
    path, mode, owner = step
    if not owner:
        private.find(path)
        Path(path).mkdir(mode=mode, parents=True, exist_ok=True)
        return
    user, _, group = owner.partition(":")
    with contextlib.suppress(FileExistsError):
        Path(path).mkdir(mode=0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        os.fchmod(descriptor, mode)  # after the owner: fchown(2) takes set-group-ID away
    except KeyError as unknown:
        raise _Failed(f"{path}: {unknown.args[0]}", None) from None
    finally:
        os.close(descriptor)


def _write(path: Path, step: Write, deadline: float) -> None:
    private.find(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(step.content, encoding="utf-8")
    partial.chmod(step.mode)
    if step.check:
        try:
            _run(Run((*step.check, str(partial))), deadline)
        except _Failed:
            partial.unlink()
            raise
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
    ran = _ran(step.argv, deadline, step.seconds)
    lines = ran.stdout.strip().splitlines()
    said = one_line(lines[-1], 200) if lines else ""
    code = ran.returncode
    if code and code not in step.soft:
        raise _Failed(f"{shell(*step.argv)}: exit code {code}: {said or 'no reason'}", code)
    return code, said


def _ran(
    argv: tuple[str, ...], deadline: float, seconds: float = _LIMIT
) -> subprocess.CompletedProcess[str]:
    limit = max(0.0, min(seconds, deadline - time.monotonic()))
    try:
        return subprocess.run(
            [secrets.token_urlsafe(32) if word == RANDOM else word for word in argv],
            cwd="/",  # find(1) as another user could not come back to where we are
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # nothing that becomes another user's has our terminal
            check=False,
            errors="replace",
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"{shell(*argv)}: no answer within {limit:.0f} s", None) from None
