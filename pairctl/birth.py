"""How the shared session comes into being, whatever the user's tmux.conf does to new sessions."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from pairctl.first_shell import KEEP_ENVIRONMENT
from pairingd import shared_session
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line
from pairingd.core.text import shell as shell_words
from pairingd.process import foreign, listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SAY_AFTER_S = 1.0
_START_LIMIT_S = 300.0  # a plugin manager clones its plugins at the first start
_MEANT = {"126": "cannot be executed", "127": "command not found"}  # POSIX sh, EXIT STATUS
_LIVES_AFTER_S, _SILENT_LIVES_AFTER_S = 0.3, 1.0  # the first program: one that has printed, or not
PANE = "\t".join(  # of display-message -p
    (
        *("#{pane_dead}", "#{pane_dead_status}", "#{pane_dead_signal}"),
        "#{cursor_x}#{cursor_y}#{history_size}",
        *("#{pane_tty}", "#{pane_in_mode}"),
        *("#{default-command}", "#{default-shell}", "#{config_files}"),
    )
)


class First(NamedTuple):
    """Where the first program of a session starts, and its words; for a session in a box."""

    directory: str
    words: tuple[str, ...]


def commands(name: str, first: First | None = None) -> tuple[str, ...]:
    """For tmux: new-session, and what must hold before its first program can end or its first
    client leave (tmux runs them without looking at either in between).

    The pane stays when its program ends, so that `Pane` can tell why; until `released`. The session
    stays while nobody is attached, as it is until the host comes: its server has no other purpose.
    """
    here = f"={name}:"
    directory, words = first or First(_directory(), ())
    # A server that stays in the foreground, as in a box, would outlive its last session.
    ends = (";", "set-option", "-s", "exit-empty", "on") if first else ()
    return (
        *KEEP_ENVIRONMENT,
        *("new-session", "-d", "-s", name, "-c", directory, *_size(), *words),
        *(";", "set-option", "-t", here, shared_session.MARK, name),
        *(";", "set-option", "-w", "-t", here, "remain-on-exit", "on"),
        *(";", "set-option", "-t", here, "destroy-unattached", "off"),
        *(";", "set-option", "-s", "exit-unattached", "off"),
        *ends,
    )


def released(session: str) -> tuple[str, ...]:
    """For tmux: what becomes of the pane is the user's own matter again."""
    return "set-option", "-w", "-u", "-t", f"{session}:", "remain-on-exit"


def run(
    command: list[str], socket: str, environ: Mapping[str, str], waiting: Callable[[str], None]
) -> tuple[int, str]:
    """The exit status of `command`, which starts a server, and the last line that it printed.

    tmux first runs what tmux.conf has it run. Raises PairingError `tmux-failed`.
    """
    deadline = time.monotonic() + _START_LIMIT_S
    said_what = False
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
            "set [tmux] command in config.toml to a working tmux",
        ) from None
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, said = process.communicate(timeout=_SAY_AFTER_S)
                return process.returncode, _last_line(said)
            cause = f"tmux has not started yet: {_what_runs(socket)}"
            if time.monotonic() > deadline:
                break
            if not said_what:
                waiting(cause)
            said_what = True
    finally:
        foreign.kill(process)
    raise PairingError("tmux-failed", cause, "run that by hand, or take it out of tmux.conf")


def end_watchers(socket: str) -> None:
    """A server that ends waits, for ever, for a client in control mode that it could not tell all,
    as one whose daemon was killed (measured, tmux 3.3a and 3.8). No other server is at `socket`.
    """
    import psutil

    from pairctl.accounts import users

    watch = [*shared_session.watching(socket)]
    for process in users.processes(os.getuid()):
        words = process.info["cmdline"] or []
        if any(words[at : at + len(watch)] == watch for at in range(1, len(words))):
            with contextlib.suppress(psutil.Error):
                process.kill()


class Pane(NamedTuple):
    """The session's first pane, as tmux tells of it in the form PANE."""

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
    def read(cls, said: str) -> Pane | None:
        """None where there is no such pane."""
        words = said.rstrip("\n").split("\t", 8)
        if len(words) < 9:
            return None
        dead, status, signal, place, terminal, mode, command, shell, files = words
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
        """Whether tmux knows how its program ended, which it can hear after the terminal's end."""
        return bool(self.status or self.signal)

    def lives(self, seconds: float, *, confined: bool) -> bool:
        """Whether its program can be taken to have started, `seconds` after it was. A shell that
        has printed and edits a line is at its prompt. Of one that is `confined` only time tells:
        its terminal's name is of other terminals than ours.
        """
        if not self.printed:
            return seconds >= _SILENT_LIVES_AFTER_S
        return seconds >= _LIVES_AFTER_S or (not confined and _edits_a_line(self.terminal))

    def errors(self) -> PairingError | None:
        """Those in tmux.conf, where tmux shows them in the pane (3.3a does, 3.8 to who attaches).

        Whoever types would type to that list, and not to the program.
        """
        if not self.in_mode:
            return None
        files = self.files or ("~/.tmux.conf",)
        return PairingError(
            "tmux-conf",
            f"tmux found errors in {' and '.join(files)}",
            f"to see them: {'; '.join(shell_words('tmux', 'source-file', file) for file in files)}",
        )

    def failure(self, screen: str) -> PairingError:
        """What is to be said of a program that ended at once; `screen` is all that it printed."""
        lines = [line for line in screen.splitlines() if line.strip()]
        # tmux's own last line, "Pane is dead (status 127, …)".
        printed = next((line for line in lines if not line.startswith("Pane is dead")), "")
        words = one_line(printed, 120)
        meant = _MEANT.get(self.status, "")
        status = f" (status {self.status}{meant and f', {meant}'})" if self.status else ""
        if self.signal:
            status = f" (signal {self.signal})"
        where = " and ".join(self.files) or "tmux.conf"
        what = f"default-shell ({self.shell}) and its start-up files"
        if has_command := not self._is_shell():
            what = f"default-command ({one_line(self.command, 80)})"
        return PairingError(
            "shell-ended",
            f"the first program in the tmux session ended at once{status}{words and f': {words}'}",
            f"fix {what} in {where}" if has_command else f"see {what}, and {where}",
        )

    def _is_shell(self) -> bool:
        """Whether tmux.conf names no command: then `first_shell` has made it the shell itself."""
        with contextlib.suppress(ValueError):  # an open quote, so a command of the user's
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
    """The commands of tmux.conf for which its server waits, such as run-shell's."""
    import psutil

    running: list[str] = []
    with contextlib.suppress(psutil.Error):
        if server := listeners.tmux_server(socket):
            for child in psutil.Process(server).children():
                words = child.cmdline()
                running.append(words[2] if words[1:2] == ["-c"] and words[2:] else " ".join(words))
    told = ", ".join(one_line(command, 80) for command in running if command)
    return f"tmux.conf has it run: {told}" if told else "it still reads tmux.conf"


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string is what tmux takes
    except FileNotFoundError:
        return os.path.expanduser("~")  # noqa: PTH111 - likewise


def _size() -> list[str]:
    """The terminal's, so that nothing is redrawn when the host attaches."""
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
