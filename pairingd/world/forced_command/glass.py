"""A pane of glass between a read guest and tmux: what tmux paints passes, what they type does not.

    python -I -S glass.py PYTHON TMUX SOCKET SESSION MARK

`join.sh` becomes this program for a read guest. The guest's terminal is standard input; the tmux
client has a terminal of its own, whose other end, the pane, is held here. Nothing read from the
guest is written anywhere: it is searched for the key that leaves, and dropped. So no binding, hook
or lock command of the host's tmux.conf, and no version of tmux, can make their keys count. The size
of their terminal reaches tmux only within the bounds below.

SIGUSR1 makes the guest a write guest: this becomes `join.sh` again. The end of either side is the
end of both. Standard library only, and few modules of it: this starts with each read guest
(measured: 16 ms and 4 MB, of which the interpreter itself takes 9 ms and 3 MB).
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

# A client of 65535x65535 stops tmux for minutes, one of 5000x2000 for seconds (measured, 3.3a). One
# of a single row ends it, and with it the host's session (measured, 3.8).
MAX_COLUMNS, MAX_ROWS = 500, 200
MIN_COLUMNS, MIN_ROWS = 10, 3
_UNKNOWN_COLUMNS, _UNKNOWN_ROWS = 80, 24  # for a terminal that says 0, as tmux has it
WELCOME = "pairing: you watch this session, read-only: what you type is not sent. Ctrl-C leaves."

CLIENT_ENDED, GUEST_LEFT = -1, 0  # why the glass is taken down; otherwise the number of a signal

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_RESIZES_APART_MS = 100  # each costs tmux a whole repaint
_FAREWELL_MS = 500  # for tmux to restore the screen
_CHUNK = 1 << 16
# Ctrl-C as terminals send it: plain; with xterm's modifyOtherKeys; in the CSI u form. And what
# users of tmux try first.
_LEAVE = (b"\x03", b"\x1b[27;5;99~", b"\x1b[99;5u", b"\x02d")
_LONGEST_KEY = max(map(len, _LEAVE))


def main(words: list[str]) -> int:
    """The exit status of the tmux client."""
    python, tmux, socket, session, mark = words
    signals = _hear_signals()
    before = termios.tcgetattr(0)
    # A description of its own, so that not blocking is nobody else's matter.
    guest = os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    with contextlib.suppress(OSError):
        os.write(guest, f"{WELCOME}\r\n".encode())
        _set_raw()
    attach = ("-N", "-u", "-S", socket, "attach-session", "-E", "-r", "-f", "ignore-size")
    client, pane = _start([tmux, *attach, "-t", session])
    reason = _pass_output(guest, pane, signals)
    if reason != CLIENT_ENDED:
        os.kill(client, signal.SIGTERM)
        _pass_farewell(guest, pane)
    os.close(pane)
    status = _ended(client)
    with contextlib.suppress(termios.error):  # the guest's terminal may be gone
        termios.tcsetattr(0, termios.TCSAFLUSH, before)  # FLUSH: drop what was typed meanwhile
    target = (tmux, socket, session, mark)
    if reason == GUEST_LEFT:
        _become("farewell.sh", "0", "left", *target)
    if reason == CLIENT_ENDED:
        _become("farewell.sh", str(status), "", *target)
    if reason == signal.SIGUSR1:
        _become("join.sh", python, *target)
    return status


def _become(script: str, *words: str) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    path = f"{os.path.dirname(__file__)}/{script}"  # noqa: PTH120 - pathlib starts slowly
    os.execv("/bin/sh", ["/bin/sh", path, *words])  # noqa: S606 - no shell words in them


def clamped(size: bytes) -> bytes:
    """A `struct winsize` (ioctl_tty(2)) within what a guest's terminal may be."""
    rows, columns, _, _ = struct.unpack("HHHH", size)
    rows = min(max(rows or _UNKNOWN_ROWS, MIN_ROWS), MAX_ROWS)
    columns = min(max(columns or _UNKNOWN_COLUMNS, MIN_COLUMNS), MAX_COLUMNS)
    return struct.pack("HHHH", rows, columns, 0, 0)


def leaves(typed: bytes) -> bool:
    """Whether the key that leaves is among what the guest typed."""
    return any(key in typed for key in _LEAVE)


def _hear_signals() -> int:
    """A descriptor from which each signal is read as a byte, its number."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    return heard


def _set_raw() -> None:
    """cfmakeraw(3), for standard input."""
    mode = termios.tcgetattr(0)
    mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    mode[1] &= ~termios.OPOST
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(0, termios.TCSAFLUSH, mode)


def _start(argv: list[str]) -> tuple[int, int]:
    """The process of `argv` and our end of its terminal, which has the guest's size, clamped."""
    pane, inner = os.openpty()
    _resize(pane)
    client = os.fork()
    if client == 0:
        try:
            os.login_tty(inner)
            os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)
    os.close(inner)
    return client, pane


def _resize(pane: int) -> None:
    with contextlib.suppress(OSError):
        size = clamped(fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
        fcntl.ioctl(pane, termios.TIOCSWINSZ, size)


def _pass_output(guest: int, pane: int, signals: int) -> int:
    """Return why it ended: CLIENT_ENDED, GUEST_LEFT, or the number of a signal."""
    typed, painted, resized = b"", b"", False
    while True:
        ready = select.poll()
        ready.register(signals, select.POLLIN)
        ready.register(guest, select.POLLIN | (select.POLLOUT if painted else 0))
        if not painted:  # a guest who reads slowly slows their own client
            ready.register(pane, select.POLLIN)
        events = dict(ready.poll(_RESIZES_APART_MS if resized else None))
        if signals in events:
            heard = set(os.read(signals, _CHUNK))
            resized = resized or signal.SIGWINCH in heard
            # SIGUSR2 would make a read guest of them.
            if reasons := heard - {signal.SIGWINCH, signal.SIGUSR2}:
                return min(reasons)
        elif resized:
            _resize(pane)
            resized = False
        if events.get(guest, 0) & ~select.POLLOUT:
            typed = typed[-_LONGEST_KEY:] + (chunk := _read(guest))
            if not chunk or leaves(typed):
                return GUEST_LEFT if chunk else signal.SIGHUP
        if pane in events and not (painted := _read(pane)):
            return CLIENT_ENDED
        painted = painted[_write(guest, painted) :]


def _pass_farewell(guest: int, pane: int) -> None:
    """What the client says last, but for the word that it was terminated."""
    ready = select.poll()
    ready.register(pane, select.POLLIN)
    while ready.poll(_FAREWELL_MS) and (painted := _read(pane)):
        _write(guest, painted.replace(b"[terminated]\r\n", b""))


def _read(descriptor: int) -> bytes:
    """b"" at the end; Linux says EIO where the other end of a terminal is gone."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _write(guest: int, data: bytes) -> int:
    """How much of it the guest's terminal took; one that is gone is seen by reading from it."""
    try:
        return os.write(guest, data) if data else 0
    except OSError:
        return 0


def _ended(client: int) -> int:
    """Its exit status. Its terminal is gone, so it ends by itself, or is ended."""
    for _ in range(50):
        pid, status = os.waitpid(client, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) & 0xFF
        select.poll().poll(10)
    os.kill(client, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(client, 0)[1]) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
