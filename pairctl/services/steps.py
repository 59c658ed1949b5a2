"""The steps to install, start and stop a service, and to make an account, as data.

`--dry-run` prints the same list that `perform` carries out.
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

from pairctl.accounts.actions import Ipc, Kill, Narrow, Plain
from pairingd.box.place import remove_whole
from pairingd.core.refusal import PairingError
from pairingd.core.text import for_terminal, one_line, shell
from pairingd.home import disk, private

if TYPE_CHECKING:
    from collections.abc import Iterable

_RETRY_INTERVAL_S = 0.5  # between two tries
_FILE_HINT = "free space, fix its permissions, or move it out of the way"
_COMMAND_TIMEOUT_S = 60.0  # for one command; `systemctl start` waits for the daemon


class Directory(NamedTuple):
    """Make it if absent. An existing one keeps its mode, unless `owner` is set, as USER:GROUP: then
    it gets mode and owner, and must not be a link.
    """

    path: str
    mode: int = 0o700
    owner: str = ""


class Write(NamedTuple):
    """Replace the whole file; mode 0644, as launchd and systemd expect. The command `check` gets
    the name of the new file as its last argument; if it fails, the old file stays.
    """

    path: str
    content: str
    mode: int = 0o644
    check: tuple[str, ...] = ()


class Remove(NamedTuple):
    """Remove the file, and up to `directories` parents that are empty by then."""

    path: str
    directories: int = 0


class Rmdir(NamedTuple):
    """Remove a directory that is empty by then."""

    path: str


class Tree(NamedTuple):
    """Remove a directory with everything in it."""

    path: str


class Keep(NamedTuple):
    """Do nothing: `path` stays, and `why`."""

    path: str
    why: str


class Stop(NamedTuple):
    """Stop the running daemon by its control socket, as `pairctl stop` does."""

    pid: int


class Until(NamedTuple):
    """Test before each try: whether `argv` exits with 0, or with another code."""

    argv: tuple[str, ...]
    succeeds: bool


class Run(NamedTuple):
    """An exit code in `soft` is no failure. With `until`, run until that holds, at most `tries`
    times. `note` explains the command to people. A random password replaces the word RANDOM, and
    is never shown.
    """

    argv: tuple[str, ...]
    soft: tuple[int, ...] = ()
    until: Until | None = None
    tries: int = 1
    note: str = ""
    seconds: float = _COMMAND_TIMEOUT_S


RANDOM = "RANDOM-PASSWORD"
ANY = tuple(range(1, 256))  # for programs whose exit codes no manual page lists
_OfAccounts: TypeAlias = Kill | Ipc | Narrow | Plain
Step: TypeAlias = Directory | Write | Remove | Rmdir | Tree | Keep | Stop | _OfAccounts | Run


def shown(step: Step) -> str:
    first, *rest = ("\t".join(map(for_terminal, line.split("\t"))) for line in _lines(step))
    return "\n".join([first, *(f"       {line}".rstrip() for line in rest)])


def _lines(step: Step) -> list[str]:
    match step:
        case Directory(path, mode, owner):
            return [f"make   {path} (mode {mode:o}{owner and f', {owner}'})"]
        case Write(path, content, mode, check):
            before = [f"only if this succeeds: {shell(*check)} FILE"] if check else []
            lines = (f"| {line}" for line in content.splitlines())
            return [f"write  {path} (mode {mode:o})", *before, *lines]
        case Remove(path, directories):
            above = Path(path).parents[:directories]
            return [f"remove {path}", *(f"then, where it is empty: {place}/" for place in above)]
        case Rmdir(path):
            return [f"remove {path}{os.sep}"]
        case Tree(path):
            return [f"remove {path}{os.sep} and everything in it"]
        case Keep(path, reason):
            return [f"keep   {path}", reason]
        case Stop(pid):
            return [f"stop   pairingd (pid {pid}); the tmux session stays"]
        case Kill() | Ipc() | Narrow() | Plain():
            return step.lines()
        case Run():
            return _lines_of_run(step)


def _lines_of_run(step: Run) -> list[str]:
    lines = [f"run    {shell(*step.argv)}"]
    if step.note:
        lines.append(step.note)
    if step.soft == ANY:
        lines.append("no exit code is a failure")
    elif step.soft:
        lines.append(f"exit codes that are no failure: {', '.join(map(str, step.soft))}")
    if until := step.until:
        ends = "succeeds" if until.succeeds else "fails"
        tries = f"at most {step.tries} times, {_RETRY_INTERVAL_S} s apart"
        lines.append(f"until this {ends}: {shell(*until.argv)} ({tries})")
    return lines


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
    """Carry out `steps` in order, within `limit` seconds. The first failure raises PairingError
    `service-failed`; for a command with `hint` and its last `exit_code` (None: none in time).

    Raises `unsafe-home` rather than write into another user's directory.
    """
    deadline = time.monotonic() + limit
    for step in steps:
        try:
            _perform(step, deadline)
        except OSError as error:  # of a write(2) without a name, of an fchown(2) with a number
            named = isinstance(error.filename, str)
            place = error.filename if named else getattr(step, "path", "")
            way_out = _FILE_HINT if hasattr(step, "path") else hint
            raise PairingError("service-failed", f"{place}: {error.strerror}", way_out) from None
        except _Failed as failed:
            raise PairingError(
                "service-failed", str(failed), hint, exit_code=failed.exit_code
            ) from None


class _Failed(Exception):
    """A command failed."""

    def __init__(self, reason: str, exit_code: int | None) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def _perform(step: Step, deadline: float) -> None:
    match step:
        case Directory():
            _make(step)
        case Write(path):
            _write(Path(path), step, deadline)
        case Remove():
            _remove(step)
        case Tree(path):
            remove_whole(path)
        case Rmdir(path):
            Path(path).rmdir()
        case Keep():
            pass
        case Stop():
            _stop(deadline)
        case Kill() | Ipc() | Narrow() | Plain():
            _do(step, deadline)
        case Run():
            _run_until(step, step.until, deadline) if step.until else _run(step, deadline)


def _do(step: _OfAccounts, deadline: float) -> None:
    if reason := step.done(min(_COMMAND_TIMEOUT_S, deadline - time.monotonic())):
        raise _Failed(reason, None)


def _stop(deadline: float) -> None:
    from pairctl.control import client, shutdown

    with client.reach() as running:
        shutdown.stop(running, min(shutdown.STOP_LIMIT_S, deadline - time.monotonic()))


def _remove(step: Remove) -> None:
    Path(step.path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or not there
        for directory in Path(step.path).parents[: step.directories]:
            directory.rmdir()


def _make(step: Directory) -> None:
    """With an owner, follow no link: others who may write to the parent could make one."""
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
    try:
        partial.unlink(missing_ok=True)
        with partial.open("x", encoding="utf-8") as file:  # not through a link or into a FIFO
            file.write(step.content)
            file.flush()
            disk.sync(file.fileno())
        partial.chmod(step.mode)
        if step.check:
            _run(Run((*step.check, str(partial))), deadline)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _run_until(step: Run, until: Until, deadline: float) -> None:
    last_line, code = "", None
    for _ in range(step.tries):
        if holds(until, deadline):
            return
        code, last_line = _run(step, deadline)
        if holds(until, deadline):
            return
        if time.monotonic() + _RETRY_INTERVAL_S > deadline:
            break
        time.sleep(_RETRY_INTERVAL_S)
    ends = "succeeded" if until.succeeds else "failed"
    printed = f"; {step.argv[0]} printed: {last_line}" if last_line else ""
    raise _Failed(f"{shell(*until.argv)} has not {ends} after {shell(*step.argv)}{printed}", code)


def holds(until: Until, deadline: float = math.inf) -> bool:
    """Test once, now."""
    return (_ran(until.argv, deadline).returncode == 0) is until.succeeds


def _run(step: Run, deadline: float) -> tuple[int, str]:
    """Its exit code, and the last line it printed."""
    ran = _ran(step.argv, deadline, step.seconds)
    lines = ran.stdout.strip().splitlines()
    last_line = one_line(lines[-1], 200) if lines else ""
    code = ran.returncode
    if code and code not in step.soft:
        raise _Failed(f"{shell(*step.argv)}: exit code {code}: {last_line or 'no reason'}", code)
    return code, last_line


def _ran(
    argv: tuple[str, ...], deadline: float, seconds: float = _COMMAND_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    limit = max(0.0, min(seconds, deadline - time.monotonic()))
    try:
        return subprocess.run(
            [secrets.token_hex(32) if word == RANDOM else word for word in argv],
            cwd="/",  # find(1) as another user could not return to our directory
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # no program of another user gets our terminal
            check=False,
            errors="replace",
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"{shell(*argv)}: no answer within {limit:.0f} s", None) from None
