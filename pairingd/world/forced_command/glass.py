"""A pane of glass between a person's terminal and tmux.

    python -I -S glass.py MARK read|write CONFINEMENT PYTHON TMUX SOCKET SESSION
    python -I -S glass.py host TMUX WORD...
    TMUX WORD... | python -I -S glass.py pipe

The tmux client has a terminal of its own. This program holds its other end, the pane, and passes on
what tmux paints. `join.sh` becomes this program for a read guest, and for everybody whose session
is in a box (pairingd.box); the boxed tmux becomes it for the host. So nobody's terminal enters the
box, and of what a tmux in a box paints, which is a guest's, only what draws reaches it (sieve.py).

What a read guest types is written nowhere: it is searched for the key that leaves, and dropped. So
no binding, hook or lock command of the host's tmux.conf, and no version of tmux, can make their
keys count. What a write guest or the host types passes. The size of a guest's terminal reaches tmux
only within the bounds below.

SIGURG means that the guest's role has changed: this becomes `join.sh` again. The end of either side
is the end of both. Standard library only, and few modules of it: this starts with
each guest (measured: 16 ms and 4 MB, of which the interpreter itself takes 9 ms and 3 MB).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import sys
import termios
import time
import tty
from collections.abc import Callable, Mapping

TYPE_CHECKING = False  # typing itself starts slowly
if TYPE_CHECKING:
    from pairingd.world.forced_command.sieve import Sieve

# A client of 65535x65535 stops tmux for minutes, one of 5000x2000 for seconds (measured, 3.3a). One
# of a single row ends it, and with it the host's session (measured, 3.8).
MAX_COLUMNS, MAX_ROWS = 500, 200
MIN_COLUMNS, MIN_ROWS = 10, 3
MAX_PIXELS = 7680, 4320  # tmux scales images to them: 65535x65535 stops it for 10 s (3.8)
_UNKNOWN_COLUMNS, _UNKNOWN_ROWS = 80, 24  # for a terminal that reports 0, as in tmux
WELCOME = "pairing: you watch, read-only: what you type is not sent. Ctrl-C leaves."

CLIENT_ENDED, GUEST_LEFT = -1, 0  # why it ended; otherwise the number of a signal

_ROLE_CHANGE = signal.SIGURG  # role.py has the reason
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, _ROLE_CHANGE, signal.SIGWINCH)
_RESIZE_INTERVAL_S = 0.1  # at least: each costs tmux a whole repaint
_RESUME_INTERVAL_S = 0.2  # from the end of its drawing, or the last try
_FAREWELL_S = 0.5  # for tmux to restore the screen
_LAST_WORDS_S = 1.0  # for a slow terminal to take the last that it gets
_CHUNK = 1 << 16
# Ctrl-C as terminals send it: plain; with xterm's modifyOtherKeys; in the CSI u form. And what
# users of tmux try first.
_LEAVE = (b"\x03", b"\x1b[27;5;99~", b"\x1b[99;5u", b"\x02d")
_TERMINATED = b"[terminated]\r\n"  # of a tmux client that SIGTERM ends
_LINE_ERASED = b"\x1b[A\r\x1b[K"
_MAX_KEY_BYTES = max(map(len, _LEAVE))


def main(argv: list[str]) -> int:
    """The exit status of the tmux client."""
    if argv[0] == "pipe":  # to a terminal, perhaps, which is not that client's
        return _sieve(os.environ).copy(0, 1)
    if argv[0] == "host":
        _, status = _stand_between(argv[1:], "host", _sieve(os.environ))
        return status
    mark, role, confinement, python, tmux, socket, session = argv
    attach = [tmux, "-N", "-u", "-S", socket, "attach-session", "-E", "-f", "ignore-size"]
    if role == "read":
        attach.append("-r")
    sieve = None if confinement == "plain" else _sieve()
    reason, status = _stand_between([*attach, "-t", session], role, sieve)
    target = (tmux, socket, session, mark)
    if reason == GUEST_LEFT:
        _become("farewell.sh", "0", "left", *target)
    if reason == CLIENT_ENDED:
        _become("farewell.sh", str(status), "", *target)
    if reason == _ROLE_CHANGE:
        os.environ["PAIRING_VISIT"] = "goes on"
        _become("join.sh", mark, confinement, python, tmux, socket, session)
    return status


def _sieve(environ: Mapping[str, str] | None = None) -> Sieve:
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - python -I leaves it out
    import sieve  # type: ignore[import-not-found]

    return sieve.Sieve(utf8=environ is None or sieve.is_utf8(environ))  # type: ignore[no-any-return]


def _stand_between(argv: list[str], role: str, sieve: Sieve | None) -> tuple[int, int]:
    """Why it ended, and the exit status of `argv`, which has a terminal behind the pane."""
    signals, before = _signal_pipe(), termios.tcgetattr(0)
    guest = _opened_again()
    welcomes = role == "read" and "PAIRING_VISIT" not in os.environ  # not after another role
    with contextlib.suppress(OSError):
        if welcomes:
            os.write(guest, f"{WELCOME}\r\n".encode())
        # Drop what a read guest has typed by now; the others' input waits for tmux.
        tty.setraw(0, termios.TCSAFLUSH if role == "read" else termios.TCSADRAIN)
    pane = Pane(argv, fit=bytes if role == "host" else clamped, sieve=sieve)
    reason, drawn = _pass(guest, pane, signals, role)
    if reason != CLIENT_ENDED and _may_terminate(_innermost(pane.client)):
        drawn = _pass_farewell(guest, pane, drawn)
    os.close(pane.end)
    status = _ended(pane.client)
    if sieve:
        drawn += sieve.undo
    if welcomes:
        drawn += _LINE_ERASED * _rows_of(WELCOME)
    _write_all(guest, drawn, time.monotonic() + _LAST_WORDS_S)
    with contextlib.suppress(termios.error):  # the guest's terminal may be gone
        termios.tcsetattr(0, termios.TCSAFLUSH, before)  # FLUSH: drop what was typed meanwhile
    return reason, status


def _rows_of(line: str) -> int:
    """How many the terminal needs for it."""
    columns = 0
    with contextlib.suppress(OSError):  # the terminal may be gone
        columns = os.get_terminal_size(0).columns
    return -(-len(line) // (columns or _UNKNOWN_COLUMNS))


def _become(script: str, *arguments: str) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    path = f"{os.path.dirname(__file__)}/{script}"  # noqa: PTH120 - pathlib starts slowly
    os.execv("/bin/sh", ["/bin/sh", path, *arguments])  # noqa: S606 - no shell words in them


def _opened_again() -> int:
    """Standard input, opened again, so that O_NONBLOCK affects nobody else."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    try:
        return os.open(os.ttyname(0), flags)
    except OSError:  # it has no name here, as in a container that was entered from outside
        return os.open("/dev/tty", flags)


def clamped(size: bytes) -> bytes:
    """A `struct winsize` (ioctl_tty(2)) within what a guest's terminal may be. One within it keeps
    pixels: without, tmux asks the terminal for its size, and takes rows for columns (3.8).
    """
    rows, columns, *pixels = given = struct.unpack("HHHH", size)
    rows = min(max(rows or _UNKNOWN_ROWS, MIN_ROWS), MAX_ROWS)
    columns = min(max(columns or _UNKNOWN_COLUMNS, MIN_COLUMNS), MAX_COLUMNS)
    if (rows, columns) != given[:2]:
        pixels = [0, 0]
    return struct.pack("HHHH", rows, columns, *map(min, pixels, MAX_PIXELS))


def leaves(typed: bytes) -> bool:
    """Whether the key that leaves is among what the guest typed."""
    return any(key in typed for key in _LEAVE)


def _signal_pipe() -> int:
    """A descriptor that yields each signal as a byte, its number."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    return read_end


class Pane:
    """`client` is the process of `argv`, `end` our end of its terminal, which has the size of
    standard input as `fit` makes it. With a `sieve` not all that it paints is drawn.
    """

    def __init__(self, argv: list[str], fit: Callable[[bytes], bytes], sieve: Sieve | None) -> None:
        self._fit = fit
        self._sieve = sieve
        self._resume_at: float | None = None
        self.end, inner = os.openpty()
        self.resize()
        self.client = os.fork()
        if self.client == 0:
            try:
                os.login_tty(inner)
                _close_inherited()
                os.environ["PAIRING_BEHIND_GLASS"] = "1"
                os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
            finally:
                os._exit(127)
        os.close(inner)

    def resize(self) -> None:
        with contextlib.suppress(OSError):
            size = self._fit(fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
            fcntl.ioctl(self.end, termios.TIOCSWINSZ, size)

    def drawn(self) -> bytes | None:
        """What it has painted and may be drawn; None at the end."""
        painted = _read(self.end)
        if not painted:
            return None
        if self._resume_at is None and self._echoes():
            self._resume_at = time.monotonic() + _RESUME_INTERVAL_S
        return self._sieve.take(painted) if self._sieve else painted

    def resume(self) -> float | None:
        """Continue a client that tmux's suspend-client has suspended: there is no shell to do that
        in. Return how many milliseconds remain until then, None while tmux has the terminal.

        A locked client waits for the program that has locked it, which gets the signal instead.
        """
        if self._resume_at is None or not self._echoes():
            self._resume_at = None
            return None
        now = time.monotonic()
        if now >= self._resume_at:
            with contextlib.suppress(OSError):
                os.kill(_innermost(self.client), signal.SIGCONT)
            self._resume_at = now + _RESUME_INTERVAL_S
        return 1000 * (self._resume_at - now)

    def _echoes(self) -> bool:
        """Its terminal does so before tmux takes it and once tmux has given it back."""
        with contextlib.suppress(OSError, termios.error):
            return bool(termios.tcgetattr(self.end)[3] & termios.ECHO)
        return False


def _close_inherited() -> None:
    """What the host's shell had open, also beyond its present limit; macOS may have none."""
    highest = os.sysconf("SC_OPEN_MAX")
    with contextlib.suppress(OSError):
        highest = max(map(int, os.listdir("/dev/fd")))  # noqa: PTH208 - pathlib starts slowly
    os.closerange(3, highest + 1)


class Keys:
    """What somebody types; `waiting` is what the pane has not taken yet, nothing for `read`."""

    def __init__(self, role: str) -> None:
        self.waiting = b""
        self._reads = role == "read"
        self._recent = b""

    def take(self, chunk: bytes) -> int | None:
        """Why it is over, or None: their terminal is gone, or they leave."""
        if not chunk:
            return signal.SIGHUP
        if self._reads:
            self._recent = self._recent[-_MAX_KEY_BYTES:] + chunk
            return GUEST_LEFT if leaves(self._recent) else None
        self.waiting += chunk
        return None


class Resizes:
    """Gives the pane the sizes of the guest's terminal, at most one in _RESIZE_INTERVAL_S."""

    def __init__(self, pane: Pane) -> None:
        self.pending = False
        self._pane = pane
        self._at = 0.0

    def make(self) -> float | None:
        """Make the pending one. If it is too soon, return how many milliseconds remain."""
        now = time.monotonic()
        if now < self._at:
            return 1000 * (self._at - now)
        self._pane.resize()
        self.pending, self._at = False, now + _RESIZE_INTERVAL_S
        return None


def _pass(guest: int, pane: Pane, signals: int, role: str) -> tuple[int, bytes]:
    """Return why it ended, CLIENT_ENDED, GUEST_LEFT or the number of a signal; and what the guest's
    terminal has not taken yet.

    Each keystroke and its echo pass here, so a turn does little while nothing is held up.
    """
    os.set_blocking(pane.end, False)
    keys, drawn, resizes = Keys(role), b"", Resizes(pane)
    ready, held_up = select.poll(), None
    ready.register(signals, select.POLLIN)  # first, so that poll reports it first
    while True:
        if held_up != (bool(keys.waiting), bool(drawn)):
            held_up = bool(keys.waiting), bool(drawn)
            _register(ready, guest, pane.end, keys.waiting, drawn)
        due = (resizes.make() if resizes.pending else None, pane.resume())
        for descriptor, event in ready.poll(min(filter(None, due), default=None)):
            if event == select.POLLOUT:
                continue
            if descriptor == guest:
                reason = keys.take(_read(guest))
            elif descriptor == pane.end:
                more = pane.drawn()
                drawn, reason = drawn + (more or b""), CLIENT_ENDED if more is None else None
            else:
                received = set(os.read(signals, _CHUNK))
                resizes.pending = resizes.pending or signal.SIGWINCH in received
                reason = min(received - {signal.SIGWINCH}, default=None)
            if reason is not None:
                return reason, drawn
        if drawn:
            drawn = drawn[_write(guest, drawn) :]
        if keys.waiting:
            keys.waiting = keys.waiting[_write(pane.end, keys.waiting) :]


def _register(ready: select.poll, guest: int, pane: int, keys: bytes, drawn: bytes) -> None:
    """What can go on: `keys` and what is `drawn` wait to be taken, and hold up what follows."""
    ready.register(guest, (0 if keys else select.POLLIN) | (select.POLLOUT if drawn else 0))
    ready.register(pane, 0 if drawn else select.POLLIN | (select.POLLOUT if keys else 0))
    if drawn:  # a slow reader slows only their own client, and its end waits until all is drawn
        ready.unregister(pane)


def _innermost(client: int) -> int:
    """Tmux's own process, so that it restores the screen: in a box it is a child's child."""
    with contextlib.suppress(OSError, IndexError):
        while True:
            with open(f"/proc/{client}/task/{client}/children", "rb") as children:  # noqa: PTH123
                client = int(children.read().split()[-1])
    return client


def _may_terminate(client: int) -> bool:
    """Send it SIGTERM. False for an account's client: the end of its terminal must do."""
    try:
        os.kill(client, signal.SIGTERM)
    except OSError as error:  # or it has ended by itself
        return not isinstance(error, PermissionError)
    return True


def _pass_farewell(guest: int, pane: Pane, drawn: bytes) -> bytes:
    """Pass on what was `drawn`, and what the client prints last except that it was terminated, for
    _FAREWELL_S at most, whatever paints there. Return what the terminal has not taken.
    """
    ready = select.poll()
    ready.register(pane.end, select.POLLIN)
    until = time.monotonic() + _FAREWELL_S
    pending = _write_all(guest, drawn, until)
    while (left := until - time.monotonic()) > 0 and ready.poll(left * 1000):
        more = pane.drawn()
        if more is None:
            break
        pending = (pending + more).replace(_TERMINATED, b"")
        kept = next(n for n in range(len(_TERMINATED), -1, -1) if pending.endswith(_TERMINATED[:n]))
        at = len(pending) - kept
        pending = _write_all(guest, pending[:at], until) + pending[at:]
    return pending


def _read(descriptor: int) -> bytes:
    """b"" at the end; Linux returns EIO if the other end of a terminal is gone."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _write(terminal: int, data: bytes) -> int:
    """How much of it the terminal took; reading shows whether it is gone."""
    try:
        return os.write(terminal, data) if data else 0
    except OSError:
        return 0


def _write_all(terminal: int, data: bytes, until: float) -> bytes:
    """Return what a slow terminal has not taken `until` then. A sequence must not be cut."""
    room = select.poll()
    room.register(terminal, select.POLLOUT)
    while data:
        left = max(until - time.monotonic(), 0)
        if room.poll(left * 1000) != [(terminal, select.POLLOUT)]:  # too late, or it is gone
            break
        data = data[_write(terminal, data) :]
    return data


def _ended(client: int) -> int:
    """Its exit status. Its terminal is gone, so it ends by itself, or is killed."""
    for _ in range(50):
        pid, status = os.waitpid(client, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) & 0xFF
        select.poll().poll(10)
    try:
        os.kill(client, signal.SIGKILL)
    except PermissionError:  # an account's, which its guests can have stopped
        return 1
    return os.waitstatus_to_exitcode(os.waitpid(client, 0)[1]) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
