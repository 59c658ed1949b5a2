"""Runs the daemon: config, lock, signals, tasks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pairingd
from pairingd import verbs
from pairingd.assembly import assemble
from pairingd.errors import Misconfigured, WorldError, remedy
from pairingd.home import config
from pairingd.home.files import (
    check_directories,
    check_directory,
    check_file,
    private_directories,
    private_file,
)
from pairingd.home.paths import Paths, find_paths
from pairingd.machine.clock import Clock
from pairingd.process import event_loop, logs
from pairingd.process.children import watch_without_threads
from pairingd.process.detach import Launch
from pairingd.process.inherited import reset_signals
from pairingd.process.lock import Taken, clear, take, watch
from pairingd.process.notify import notify
from pairingd.process.stop_signals import StopSignals
from pairingd.server.asks import Asks
from pairingd.server.control_socket import ControlSocket
from pairingd.server.control_socket import tmux_socket as find_tmux_socket
from pairingd.server.server import ControlServer
from pairingd.signals import Signals
from pairingd.state.schema import require_known
from pairingd.state.store import Store
from pairingd.world.door.listener import raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


log = logging.getLogger("pairingd")

_ASIDE_LIMIT_S = 2.0  # at the end; the test of an sshd that hangs takes 10
FAREWELL_S = 6.0  # seconds for the router at the end; launchd and systemd wait longer


def run(launch: Launch, stop_signals: StopSignals, *, log_format: logs.Form, own_log: bool) -> None:
    """Serve until a stop is requested. Raises PairingError if it cannot serve.

    `own_log`: log to a file, because nobody keeps standard error.
    """
    reset_signals()
    raise_descriptor_limit()
    paths = find_paths()
    with _usable():
        _require_own_files(paths)
        private_directories(_directories(paths))
        for file in paths.private_files:
            private_file(Path(file))
        for file in (
            *(paths.lock, paths.state_db),
            *([paths.log] if own_log else []),
            *([paths.stderr] if launch.detached else []),
        ):
            check_file(Path(file))
        launch.print_to(paths.stderr)
        settings = config.load(Path(paths.config))
        # Until the loop runs. Not SIG_IGN, because children would inherit that (exec(3)).
        signal.signal(signal.SIGUSR1, lambda *_: None)
        lock = _lock(paths.lock)
        earlier = clear(lock)  # at once: a client that finds it held sends a signal to that pid
        logs.set_up(log_format, paths.log if own_log else None)
        tmux = find_tmux_socket(paths, earlier.tmux_socket)
        control = ControlSocket(paths, lock, tmux)
        if stop_signals.caught is not None:
            return
        listener = control.bind()
    watch_without_threads()
    serve = partial(_serve, paths, settings, control, listener, Path(tmux), launch)
    event_loop.run(_served(serve, control, stop_signals))


def test() -> None:
    """Raise the PairingError for which `run` would not start, as far as that shows while another
    daemon runs. Changes nothing.
    """
    raise_descriptor_limit()
    paths = find_paths()
    with _usable():
        _require_own_files(paths)
        check_directories(_directories(paths))
        for file in (paths.lock, paths.state_db, paths.log, paths.stderr):
            check_file(Path(file))
        if all(map(os.path.isdir, paths.control_sockets)):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), paths.control_socket)
        config.load(Path(paths.config))
    require_known(Path(paths.state_db))


def _require_own_files(paths: Paths) -> None:
    """Refuse files of our names in a home where no daemon has run: they are not ours (~/.ssh, say).

    Raises Misconfigured `unsafe-home`.
    """
    if any(os.path.lexists(mark) for mark in (paths.lock, paths.state_db)):
        return
    for file in (paths.authorized_keys, paths.sshd_config, paths.host_key):
        if os.path.lexists(file):
            raise Misconfigured(
                "unsafe-home",
                f"{file} already exists, and pairingd did not create it",
                "set PAIRING_HOME to a directory of its own",
            )


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    """Raise Misconfigured `unusable-home` for any other OSError, such as a full disk."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise Misconfigured(
            "unusable-home",
            f"{place}{error.strerror}",
            remedy(error, "free space, or set PAIRING_HOME to a directory you can write"),
        ) from None


def _lock(path: str) -> int:
    """Take the lock until the process ends. Raises Misconfigured `already-running`."""
    try:
        return take(path, os.O_CREAT)
    except Taken as taken:
        raise Misconfigured(
            "already-running",
            f"pairingd is running already (pid {taken.pid})",
            "see: pairctl status",
        ) from None


def _directories(paths: Paths) -> list[Path]:
    """Return all but a runtime directory that cannot be made, as after the last logout: the control
    socket then lies beside the state.
    """
    runtime = Path(paths.control_socket).parent
    needed = [Path(path) for path in paths.directories]
    if runtime != Path(paths.lock).parent:
        needed.remove(runtime)
        try:
            check_directory(runtime)
        except Misconfigured as failure:
            if failure.code != "unusable-home":
                raise
    return needed


async def _served(
    serve: Callable[[asyncio.Event], Awaitable[None]],
    control: ControlSocket,
    stop_signals: StopSignals,
) -> None:
    """Serve, and leave no control socket, whether that succeeds or fails."""
    stopping = asyncio.Event()
    stop_signals.hand_over(asyncio.get_running_loop(), stopping.set)
    try:
        await serve(stopping)
    finally:
        control.remove()


async def _serve(
    paths: Paths,
    settings: config.Settings,
    control: ControlSocket,
    listener: socket.socket,
    tmux: Path,
    launch: Launch,
    stopping: asyncio.Event,
) -> None:
    """Serve until `stopping` is set, by a signal or a client's `stop`, then close everything.
    SIGUSR1 makes a control socket again that was removed.
    """
    clock = Clock()
    store = Store.open(Path(paths.state_db), clock())
    signals = Signals()
    parts = assemble(
        paths,
        settings,
        store,
        clock,
        stopping.set,
        tmux_socket=tmux,
        control_socket=lambda: control.path,
        signals=signals,
    )
    call = partial(verbs.call, parts)
    server = ControlServer(call, parts.intent)
    asks = Asks(parts, call)
    signals.door_changed.connect(asks.follow)

    async def rebind() -> None:
        if stopping.is_set() or control.is_bound():
            return
        try:
            await server.start(control.bind())
            parts.access.poke()  # the keys of guests who ask name the socket
        except (Misconfigured, OSError):
            log.exception("the control socket was removed and cannot be bound again")

    def require_home() -> None:
        """Stop if no command finds this daemon any more: nobody could revoke a guest."""
        if not stopping.is_set() and not control.is_at_home():
            parts.intent.troubled(
                WorldError(
                    "unusable-home",
                    f"{paths.lock} was removed or replaced: pairingd closes everything and ends",
                    "pairctl start; then pairctl status shows who is invited",
                )
            )
            parts.access.stop()
            stopping.set()

    parts.access.passing.connect(require_home)
    # An idle daemon has no passes. By default SIGURG is ignored, so none does harm at the end.
    asyncio.get_running_loop().add_signal_handler(signal.SIGURG, require_home)
    watch(paths.lock, signal.SIGURG)
    parts.access.roster.recover()
    # Access is settled before the first reply. The other lanes start later, so that a mapping of
    # an earlier daemon is not closed only because the door is not open yet.
    first, *others = parts.lanes
    lanes = [asyncio.create_task(first.run())]
    await parts.access.settle()
    lanes += [asyncio.create_task(lane.run()) for lane in others]
    await server.start(listener)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: parts.aside.run(rebind()))
    log.info("pairingd %s is ready", pairingd.__version__)
    notify("READY=1", "STATUS=")
    launch.report(0)
    await stopping.wait()
    log.info("stopping")
    notify("STOPPING=1")
    parts.access.stop()
    await parts.access.settle()
    await asyncio.gather(*(lane.finish(FAREWELL_S) for lane in others))
    await server.close()
    asks.close()
    for lane in lanes:
        lane.cancel()
    await asyncio.wait(lanes, timeout=_ASIDE_LIMIT_S)  # before the store that they write to closes
    await parts.access.rest()
    await parts.providers.aclose()
    await parts.aside.rest(_ASIDE_LIMIT_S)
    store.close()
