"""Finds the tmux to run, from the user's own terminal."""

from __future__ import annotations

from pairingd.core.refusal import PairingError
from pairingd.core.text import has_controls
from pairingd.home import private
from pairingd.home.paths import find_paths
from pairingd.machine import which
from pairingd.process import foreign

TMUX_TIMEOUT_S = 10.0


def find(daemon_program: str) -> list[str]:
    """All tmux programs, the preferred one first: the daemon's if pairctl finds it too, so that
    both run the same; else the first found here, which the daemon may not find. Raises
    PairingError `no-tmux`.
    """
    programs = which.tmuxes(_configured())
    if not programs:
        raise which.no_tmux()
    return sorted(programs, key=lambda program: program != daemon_program)


def usable(programs: list[str]) -> str:
    """The first that prints a version that is new enough. Raises PairingError `tmux-too-old` or
    `tmux-failed`, which names the first.
    """
    problems = []
    for program in programs:
        problem = _problem(program)
        if problem is None:
            return program
        problems.append(problem)
    raise problems[0]


def _problem(program: str) -> PairingError | None:
    try:
        version = foreign.run((program, "-V"), TMUX_TIMEOUT_S)
    except TimeoutError:
        version = ""
    except OSError as error:
        return PairingError(
            "tmux-failed",
            f"{program}: {error.strerror}",
            which.ANOTHER_TMUX,
        )
    return which.unusable(program, version)


def _configured() -> str:
    """`[tmux] command` of config.toml; the daemon has checked the rest of the file."""
    path = find_paths().config
    content = private.read_config(path)
    if content is None:
        return ""
    import tomllib

    try:
        command = tomllib.loads(content.decode("utf-8-sig")).get("tmux", {}).get("command", "")
        usable = not command or (command.startswith("/") and not has_controls(command))
    except (AttributeError, ValueError, RecursionError):
        usable = False
    if not usable:
        raise PairingError(
            "bad-config",
            f"{path}: [tmux] command cannot be read",
            "pairctl doctor prints the error",
        )
    return str(command)
