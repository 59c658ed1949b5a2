"""Runs short programs to their end, and ends long ones. Argument lists only, no shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping

from msgspec import Struct

from pairingd.core.text import printable

_MAX_OUTPUT_BYTES = 1 << 20  # kept of each stream
_EXIT_POLL_S = 0.005
_DRAIN_TIMEOUT_S = 0.5  # its children may hold its output open after its end


class Finished(Struct, frozen=True):
    """The result of a program: exit status, standard output and standard error, as text."""

    status: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line of stderr, or else of stdout, for a message."""
        return last_words(self.stderr or self.stdout) or "no reason given"


def last_words(output: str | bytes) -> str:
    """For a message: the last line that is not blank, printable and at most 200 characters long."""
    text = output if isinstance(output, str) else output.decode(errors="replace")
    lines = (line.strip() for line in reversed(text.splitlines()))
    return printable(next(filter(None, lines), "")[:200])


class Unended:
    """Processes that we started and may not end: by sudo they are an account's, and a guest there
    can stop them. Each takes one of our descriptors, so only so many of one program may be left.
    """

    _MAX_RUNNING = 8

    def __init__(self) -> None:
        self._running: dict[str, list[Callable[[], bool]]] = {}

    def add(self, program: str, is_over: Callable[[], bool]) -> None:
        """`is_over` says whether the process has ended."""
        self._running.setdefault(program, []).append(is_over)

    def are_many(self, program: str) -> bool:
        """Whether so many are left that no other one of that program should be started."""
        left = [is_over for is_over in self._running.pop(program, ()) if not is_over()]
        if left:
            self._running[program] = left
        return len(left) >= self._MAX_RUNNING


UNENDED = Unended()


async def end(process: asyncio.subprocess.Process, seconds: float = 0.0) -> bool:
    """Send SIGTERM, and SIGKILL if it still runs after `seconds`, or if this is cancelled; return
    when it has ended, also if this is cancelled again. False if we may not signal it, and it has
    not ended by then.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await _exited(process)
    except TimeoutError:
        return await _killed(process)
    except asyncio.CancelledError:
        await _killed(process)
        raise
    return True


async def _killed(process: asyncio.subprocess.Process) -> bool:
    try:
        process.kill()
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    try:
        await _exited(process)
    except asyncio.CancelledError:
        if process.returncode is None:  # it is about to end
            await _killed(process)
        raise
    return True


async def _exited(process: asyncio.subprocess.Process) -> None:
    """As `process.wait()`, which also waits for the end of its pipes (Python 3.11), but not long
    for that: none comes while nobody reads what it has printed, or another process holds them.
    """
    while process.returncode is None:  # noqa: ASYNC110 - it has no other event
        await asyncio.sleep(_EXIT_POLL_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            await process.wait()


class TookTooLong(TimeoutError):
    """`so_far` is what the program has printed; it was killed."""

    def __init__(self, so_far: Finished) -> None:
        super().__init__()
        self.so_far = so_far


class _Program(asyncio.SubprocessProtocol):
    """Keeps the end of its standard output and of its standard error."""

    def __init__(self) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.drained = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output[fd] += data
        del self.output[fd][:-_MAX_OUTPUT_BYTES]

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.drained.set()

    def finished(self, status: int) -> Finished:
        stdout, stderr = (bytes(self.output[fd]).decode(errors="replace") for fd in (1, 2))
        return Finished(status, stdout, stderr)


async def run(
    *argv: str,
    seconds: float | None,
    given: bytes = b"",
    environ: Mapping[str, str] | None = None,
    with_children: bool = False,
) -> Finished:
    """Raises OSError if it cannot be started, TookTooLong if it does not end in time; None for
    `seconds` waits without limit. TimeoutError: too many of them may not be ended and still run.

    `given` is its whole standard input, at most what a pipe holds. `environ` is ours with LC_ALL=C
    by default.

    It is killed if this raises or is cancelled; `with_children`: and what it has started, too.
    Nothing here waits for its pipes: a tmux client hands them to its server, and a server that is
    stopped keeps them.
    """
    if UNENDED.are_many(argv[0]):
        raise TimeoutError
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            _Program,
            *argv,
            stdin=subprocess.PIPE if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"} if environ is None else environ,
            start_new_session=with_children,
        )
    )
    try:
        # A start that is cancelled would wait for whoever holds the pipes.
        transport, program = await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _leave(argv[0], *await starting, with_children=with_children)
        raise
    try:
        if given:
            stdin = transport.get_pipe_transport(0)
            assert isinstance(stdin, asyncio.WriteTransport)  # noqa: S101 - it is a pipe
            stdin.write(given)
            stdin.write_eof()
        async with asyncio.timeout(seconds):
            await program.exited.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_TIMEOUT_S):
                await program.drained.wait()
    except TimeoutError:
        raise TookTooLong(program.finished(0)) from None
    finally:
        await _leave(argv[0], transport, program, with_children=with_children)
    return program.finished(transport.get_returncode() or 0)


async def _leave(
    name: str,
    transport: asyncio.SubprocessTransport,
    program: _Program,
    *,
    with_children: bool,
) -> None:
    """Kill what still runs, and wait for its end, but not for long: it may have become another
    user's.
    """
    if with_children and not program.exited.is_set():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
    with contextlib.suppress(PermissionError):
        transport.close()  # which kills the program
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            await program.exited.wait()
    if not program.exited.is_set():
        UNENDED.add(name, program.exited.is_set)
