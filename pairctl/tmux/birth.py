"""How the shared session is made, whatever the user's tmux.conf does to new sessions."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from pairctl.tmux.first_shell import KEEP_ENVIRONMENT
from pairingd.core import shared_session
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line
from pairingd.core.text import shell as shell_words
from pairingd.core.tmux_words import argument, literal
from pairingd.machine import which
from pairingd.process import foreign, listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOTICE_DELAY_S = 1.0
_RELEASE_S = 10  # a program that lives as long has not ended at once
_START_TIMEOUT_S = 300.0  # a plugin manager clones its plugins at the first start
_STATUSES = {"126": "cannot be executed", "127": "command not found"}  # POSIX sh, EXIT STATUS
_LIVES_AFTER_S, _SILENT_LIVES_AFTER_S = 0.3, 1.0  # if the first program has printed, or not
PANE = "\t".join(  # of display-message -p
    (
        *("#{pane_dead}", "#{pane_dead_status}", "#{pane_dead_signal}"),
        "#{cursor_x}#{cursor_y}#{history_size}",
        *("#{pane_tty}", "#{pane_in_mode}"),
        *("#{default-command}", "#{default-shell}", "#{config_files}"),
    )
)


class First(NamedTuple):
    """The directory and the argv of a session's first program; for a session in a box."""

    directory: str
    argv: tuple[str, ...]


def commands(name: str, first: First | None = None) -> tuple[str, ...]:
    """Tmux commands: new-session, and the options to set before its first program can end or its
    first client leave (tmux checks neither between commands).

    Until `released`, or for _RELEASE_S where pairctl fails or dies, the pane stays when its program
    ends, so that `Pane` can report why. The session stays while nobody is attached, as before the
    host comes: its server serves it alone.
    """
    target = f"={name}:"
    release = " ".join(("set-option", "-q", *_released(target)))
    directory, argv = first or First(_directory(), ())
    # Without it a server in the foreground, as in a box, would outlive its last session.
    ends = (";", "set-option", "-s", "exit-empty", "on") if first else ()
    return (
        *KEEP_ENVIRONMENT,
        *("new-session", "-d", "-s", name, "-c", argument(literal(directory)), *_size()),
        *map(argument, argv),
        *(";", "set-option", "-t", target, shared_session.MARK, name),
        *(";", "set-option", "-w", "-t", target, "remain-on-exit", "on"),
        *(";", "run-shell", "-b", "-d", str(_RELEASE_S), "-C", release),
        *(";", "set-option", "-t", target, "destroy-unattached", "off"),
        *(";", "set-option", "-s", "exit-unattached", "off"),
        *ends,
    )


def released(session: str) -> tuple[str, ...]:
    """Tmux command: give remain-on-exit back to the user's own options."""
    return "set-option", *_released(f"{session}:")


def _released(target: str) -> tuple[str, ...]:
    return "-w", "-u", "-t", target, "remain-on-exit"


def run(
    command: list[str], socket: str, environ: Mapping[str, str], waiting: Callable[[str], None]
) -> tuple[int, str]:
    """The exit status of `command`, which starts a server, and the last line that it printed.

    Tmux first runs the commands of tmux.conf. Raises PairingError `tmux-failed`.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    notified = False
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environ,
            errors="replace",
            text=True,
        )
    except OSError as error:
        raise PairingError(
            "tmux-failed",
            f"{command[0]}: {error.strerror}",
            which.ANOTHER_TMUX,
        ) from None
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, stderr = process.communicate(timeout=_NOTICE_DELAY_S)
                return process.returncode, _last_line(stderr)
            cause = f"tmux has not started yet: {_what_runs(socket)}"
            if time.monotonic() > deadline:
                break
            if not notified:
                waiting(cause)
            notified = True
    finally:
        foreign.kill(process)
    raise PairingError("tmux-failed", cause, "run that by hand, or take it out of tmux.conf")


def end_watchers(socket: str) -> None:
    """Kill clients in control mode. A server that exits waits forever for such a client with unread
    output, as after its daemon was killed (measured, tmux 3.3a and 3.8). No other server is at
    `socket`.
    """
    import psutil

    from pairctl.accounts import users

    watch = [*shared_session.watching(socket)]
    for process in users.processes(os.getuid()):
        argv = process.info["cmdline"] or []
        if any(argv[start : start + len(watch)] == watch for start in range(1, len(argv))):
            with contextlib.suppress(psutil.Error):
                process.kill()


class Pane(NamedTuple):
    """The session's first pane, as tmux prints it in the format PANE."""

    dead: bool
    status: str
    signal: str
    printed: bool
    terminal: str
    in_mode: bool
    command: str
    shell: str
    files: tuple[str, ...]

    @classmethod
    def read(cls, output: str) -> Pane | None:
        """None if there is no such pane."""
        fields = output.rstrip("\n").split("\t", 8)
        if len(fields) < 9:
            return None
        dead, status, signal, place, terminal, mode, command, shell, files = fields
        return cls(
            dead == "1",
            status,
            signal,
            place.strip("0") != "",
            terminal,
            mode == "1",
            command,
            shell,
            tuple(name for name in files.split(",") if os.path.exists(name)),  # noqa: PTH110
        )

    @property
    def explained(self) -> bool:
        """Whether tmux knows how its program ended. It may learn that after the terminal's end."""
        return bool(self.status or self.signal)

    def lives(self, seconds: float, *, confined: bool) -> bool:
        """Whether its program counts as started, `seconds` after its start. A shell that has
        printed and edits a line is at its prompt. For a `confined` one only time counts: the name
        of its terminal means another one here.
        """
        if not self.printed:
            return seconds >= _SILENT_LIVES_AFTER_S
        return seconds >= _LIVES_AFTER_S or (not confined and _edits_a_line(self.terminal))

    def errors(self, *tmux: str) -> PairingError | None:
        """Errors in tmux.conf, if tmux shows them in the pane (3.3a does; 3.8 to a client that
        attaches). Keys would go to that list and not to the program. `tmux` is the command of the
        session's own server: the user may have no other.
        """
        if not self.in_mode:
            return None
        files = self.files or ("~/.tmux.conf",)
        return PairingError(
            "tmux-conf",
            f"tmux found errors in {' and '.join(files)}",
            f"to see them: {'; '.join(shell_words(*tmux, 'source-file', file) for file in files)}",
        )

    def failure(self, screen: str) -> PairingError:
        """The error for a program that ended at once; `screen` is all that it printed."""
        lines = [line for line in screen.splitlines() if line.strip()]
        # tmux's own last line, "Pane is dead (status 127, …)".
        printed = next((line for line in lines if not line.startswith("Pane is dead")), "")
        error = one_line(printed, 120)
        meaning = _STATUSES.get(self.status, "")
        status = f" (status {self.status}{meaning and f', {meaning}'})" if self.status else ""
        if self.signal:
            status = f" (signal {self.signal})"
        files = " and ".join(self.files) or "tmux.conf"
        setting = f"default-shell ({self.shell}) and its start-up files"
        if has_command := not self._is_shell():
            setting = f"default-command ({one_line(self.command, 80)})"
        return PairingError(
            "shell-ended",
            f"the first program in the tmux session ended at once{status}{error and f': {error}'}",
            f"fix {setting} in {files}" if has_command else f"see {setting}, and {files}",
        )

    def _is_shell(self) -> bool:
        """Whether tmux.conf sets no default-command: `first_shell` has then set it to the shell."""
        with contextlib.suppress(ValueError):  # an unclosed quote, so a command of the user's
            return shlex.split(self.command) in ([], [self.shell])
        return False


def _edits_a_line(terminal: str) -> bool:
    """Whether a program reads `terminal` key by key, as line editors do: termios(3), ICANON."""
    import termios

    try:
        reader = os.open(terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return not termios.tcgetattr(reader)[3] & termios.ICANON
    except termios.error:
        return False
    finally:
        os.close(reader)


def _what_runs(socket: str) -> str:
    """The commands of tmux.conf that its server waits for, such as those of run-shell."""
    import psutil

    running: list[str] = []
    with contextlib.suppress(psutil.Error):
        if server := listeners.tmux_server(socket):
            for child in psutil.Process(server).children():
                argv = child.cmdline()
                running.append(argv[2] if argv[1:2] == ["-c"] and argv[2:] else " ".join(argv))
    listed = ", ".join(one_line(command, 80) for command in running if command)
    return f"tmux.conf has it run: {listed}" if listed else "it still reads tmux.conf"


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - tmux takes a string
    except FileNotFoundError:
        return os.path.expanduser("~")  # noqa: PTH111 - likewise


def _size() -> list[str]:
    """The terminal's size, so that nothing is redrawn when the host attaches."""
    for descriptor in (0, 1, 2):
        try:
            columns, lines = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if columns > 0 and lines > 0:
            return ["-x", str(columns), "-y", str(lines)]
    return []


def _last_line(text: str) -> str:
    return one_line((text.strip().splitlines() or ["no reason given"])[-1], 200)
