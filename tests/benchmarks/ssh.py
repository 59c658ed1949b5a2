"""What a guest feels: first paint and keystroke echo, through our door and a plain sshd.

Both lead to `tmux attach` of the same session, over loopback, with no router in between. The
plain one listens itself, with our own sshd_config.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice

from tests.benchmarks.figure import Figure, interleaved, of_samples
from tests.benchmarks.terminal import ALTERNATE_SCREEN, Terminal
from tests.newest import CannotBeFetchedError, newest
from tests.stage import Guest, Stage, free_port, is_open, until

PAINTS = 7
ROUNDS = 12  # of echo, each with connections of its own
LINES = 2
KEYS = 30  # a line, of each of the two: they share it
GAP = 0.002  # seconds between one echo and the next key
LETTERS = b"qxyz"  # that end no escape sequence of tmux, and are in no status line here
FORGET = b"\x15"  # Ctrl-U
PLAIN = "sshd + tmux attach"


def measure(stage: Stage, guest: Guest) -> list[Figure]:
    """With `guest` invited and the session running."""
    door = stage.asks("status")["door"]["port"]
    _tmux(stage, "set-option", "-g", "status", "off")
    with plain_sshd(stage, [guest]) as (_, plain):
        both = (guest.ssh(port=door), guest.ssh(port=plain))
        figures = first_paints(both, stage.environment, "", lambda: wait_until_out(stage))
        ours, theirs = _echoes(stage, *both)
    with_line, without = _echoes_with_the_line(stage, guest.ssh(port=door))
    off = "the same, tmux's status line off"
    return [
        *figures,
        of_samples("keystroke echo", ours, PLAIN, theirs, most_ratio=1.02),
        of_samples("keystroke echo, status line on", with_line, off, without, most_ratio=1.02),
    ]


def first_paints(
    both: Sequence[tuple[str, ...]],
    environment: Mapping[str, str],
    where: str,
    out: Callable[[], None],
    rounds: int = PAINTS,
) -> list[Figure]:
    """By this machine's client and by the newest one. `both` are the commands, ours and the plain
    sshd's, and `out` waits until no guest is in.
    """
    what = f"ssh start to first paint{where}"
    clients = {"": "ssh"}
    failed = []
    try:
        program = str(newest("ssh"))
        clients[f", {_version(program)}"] = program
    except CannotBeFetchedError as error:
        failed.append(Figure(f"{what}, newest client", None, "", why_not=str(error)))
    paints = [
        _painting([program if word == "ssh" else word for word in argv], environment, out)
        for program in clients.values()
        for argv in both
    ]
    for warm_up in paints:  # what is imported late is imported now
        warm_up()
    samples = interleaved(rounds, *paints)
    return [
        *(
            of_samples(f"{what}{client}", ours, PLAIN, theirs, most_ratio=1.0)
            for client, ours, theirs in zip(clients, samples[::2], samples[1::2], strict=True)
        ),
        *failed,
    ]


def _version(ssh: str) -> str:
    """Such as `OpenSSH_10.6p1`; ssh -V prints it on standard error."""
    done = subprocess.run([ssh, "-V"], capture_output=True, text=True, check=True)
    return re.split(r"[ ,]", done.stderr)[0]


def _painting(
    argv: Sequence[str], environment: Mapping[str, str], out: Callable[[], None]
) -> Callable[[], float]:
    def sample() -> float:
        with Terminal(argv, environment) as terminal:
            painted = terminal.sees(ALTERNATE_SCREEN) - terminal.began
            terminal.rests()
        out()
        return painted

    return sample


def _echoes(stage: Stage, *both: tuple[str, ...]) -> list[list[float]]:
    """Key by key in turn, through connections that are open at the same time.

    tmux paints its clients in the order they came in, so that order changes with each round.
    """
    samples: list[list[float]] = [[] for _ in both]
    for number in range(ROUNDS):
        order = [0, 1] if number % 2 == 0 else [1, 0]
        with ExitStack() as stack:
            terminals: dict[int, Terminal] = {}
            for index in order:
                opened = stack.enter_context(Terminal(both[index], stage.environment))
                opened.sees(ALTERNATE_SCREEN)
                terminals[index] = opened
            for _ in range(LINES):
                for one in terminals.values():
                    one.rests(0.05)
                letters = ([byte] for byte in cycle(LETTERS))
                for key in islice(letters, KEYS):
                    for index in order:
                        other = terminals[1 - index]
                        samples[index].append(_echo(terminals[index], other, bytes(key)))
                terminals[0].write(FORGET)
        wait_until_out(stage)
    return samples


def _echoes_with_the_line(stage: Stage, argv: tuple[str, ...]) -> list[list[float]]:
    """With tmux's status line, which pairingd keeps up to date meanwhile, and without it."""
    _tmux(stage, "set-option", "-g", "status-right", "")
    samples: list[list[float]] = [[], []]
    for number in range(ROUNDS):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            _tmux(stage, "set-option", "-g", "status", ("on", "off")[index])
            with Terminal(argv, stage.environment) as terminal:
                terminal.sees(ALTERNATE_SCREEN)
                for _ in range(LINES):
                    terminal.rests(0.05)
                    for byte in islice(cycle(LETTERS), KEYS):
                        samples[index].append(_echo(terminal, terminal, bytes([byte])))
                    terminal.write(FORGET)
            wait_until_out(stage)
    _tmux(stage, "set-option", "-g", "status", "off")
    return samples


def _echo(terminal: Terminal, other: Terminal, key: bytes) -> float:
    time.sleep(GAP)
    pressed = time.monotonic()
    terminal.write(key)
    seen = terminal.sees(key)
    if other is not terminal:
        other.sees(key)
    return seen - pressed


def wait_until_out(stage: Stage) -> None:
    """The daemon's own observer stays."""
    terminals = ("list-clients", "-F", "#{?client_control_mode,,terminal}")
    until(lambda: "terminal" not in _tmux(stage, *terminals), "nobody is in the session")


@contextmanager
def plain_sshd(
    stage: Stage, guests: Sequence[Guest], first: str = ""
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """One that lets `guests` into the session, and its port. `first` goes before our sshd_config."""
    port = free_port()
    tmux = f"{shutil.which('tmux')} -N -u -S {stage.home}/tmux.sock"
    keys = stage.path / "plain_keys"
    attach = f'restrict,pty,command="{tmux} attach-session -E -f ignore-size -t =pairing" '
    keys.write_text("".join(attach + guest.key.with_suffix(".pub").read_text() for guest in guests))
    config = stage.path / "plain_config"
    ours = (stage.home / "sshd_config").read_text()
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\n{first}"
        + ours.replace(f'"{stage.home}/authorized_keys"', f'"{keys}"')
    )
    process = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: is_open(port) or process.poll() is not None, "a plain sshd")
        yield process, port
    finally:
        process.terminate()
        process.wait(10)


def _tmux(stage: Stage, *words: str) -> str:
    return stage.run("tmux", "-S", str(stage.home / "tmux.sock"), *words).stdout
