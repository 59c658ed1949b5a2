"""Unix sockets that somebody may have removed: the server then lives, but nobody can connect.

Standard library only, and psutil if there is something to find: `pairctl` imports this.
"""

# pathlib takes longer to import than all else that `pairctl status` does.
# ruff: noqa: PTH102, PTH108, PTH110, PTH120, PTH123

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time

from pairingd.errors import WorldError

REBIND_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.01


def tmux_server(path: str) -> int | None:
    """Return the pid of our tmux server bound to `path`, whether or not a socket is there now."""
    if not _may_be_bound(path):
        return None
    import psutil

    with contextlib.suppress(OSError):
        for process in psutil.process_iter(["name", "uids"]):
            is_own = process.info["uids"] and process.info["uids"].real == os.getuid()
            if is_own and "tmux" in (process.info["name"] or ""):
                with contextlib.suppress(psutil.Error):
                    # A client is connected to it, but bound to nothing.
                    if path in {
                        str(connection.laddr) for connection in process.net_connections("unix")
                    }:
                        return int(process.pid)
    return None


def bound_by(pid: int, name: str) -> list[str]:
    """Return the sockets with that file name to which the process is bound, also removed ones."""
    import psutil

    with contextlib.suppress(psutil.Error):
        bound = {
            str(connection.laddr) for connection in psutil.Process(pid).net_connections("unix")
        }
        return sorted(path for path in bound if path.startswith("/") and path.endswith(f"/{name}"))
    return []


def may_exist(path: str) -> bool:
    """Whether something is there; also if its directory is closed to us, as a guest in a box, or
    of an account, can close that of tmux's socket.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def answers(path: str) -> bool:
    """Whether a server listens there, however busy. Does not wait."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # unix(7): its backlog is full
            return True
        except OSError:
            return False
    return True


def listen(path: str, mode: int, backlog: int) -> socket.socket:
    """Listen at `path`, in place of what is there. At no moment can anybody beyond `mode` connect.
    Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def ask_to_rebind(pid: int) -> None:
    """Send SIGUSR1: tmux(1), under -S."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)


def rebound(path: str, pid: int) -> bool:
    """Make that server create `path` again, in its directory. Whether it has done so in time."""
    with contextlib.suppress(OSError):
        os.mkdir(os.path.dirname(path), mode=0o700)
    ask_to_rebind(pid)
    deadline = time.monotonic() + REBIND_TIMEOUT_S
    while not (done := os.path.exists(path)) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL_S)
    return done


def socket_gone(path: str, pid: int) -> WorldError:
    """Return the error if `rebound` has failed."""
    return WorldError(
        "tmux-socket-gone",
        f"{path} was removed; the tmux session lives on in its server (pid {pid})",
        f"kill -USR1 {pid}: tmux then makes the socket again",
    )


def _may_be_bound(path: str) -> bool:
    """A check without a look at every process; only Linux has it: proc_net_unix(5)."""
    if sys.platform != "linux":
        return True
    try:
        with open("/proc/net/unix", "rb") as listed:
            return any(line.rstrip(b"\n").endswith(b" " + os.fsencode(path)) for line in listed)
    except OSError:
        return True
