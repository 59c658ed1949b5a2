"""A write guest in a box has the shared directory, and nothing else of the host's.

Each attack of a guest who may write is refused in a box, and succeeds without one: so it is the box
that refuses it.
"""

from __future__ import annotations

import errno
import itertools
import os
import platform
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.boxed import ATTACKS, SECRET, Attack, Scene, played, scene, scene_in_a_box, with_boxes
from tests.guardians import guardians_of
from tests.session import attached_host
from tests.stage import until
from tests.waiting import WAIT_S, has_ended

pytestmark = with_boxes

ROOTS = {
    "a setting of the kernel's",
    "a file that is mounted",
    "what is hidden of etc",
    "a capability",
}
TYPES_INTO = (  # ioctl_tty(2), TIOCSTI: a character at a time, into the terminal that it runs in
    "perl -e 'ioctl(STDIN, 0x5412, $_) for split //, qq(touch ~/typed\\n)'"
)


@contextmanager
def attacked(*, boxed: bool) -> Iterator[Scene]:
    with scene(boxed=boxed) as made:
        attached_host(made.stage).shows("[pairing]")
        made.play(ATTACKS)
        yield made


@pytest.fixture(scope="module")
def plain() -> Iterator[Scene]:
    with attacked(boxed=False) as made:
        yield made


@pytest.fixture(scope="module")
def boxed() -> Iterator[Scene]:
    with attacked(boxed=True) as made:
        yield made


@pytest.mark.parametrize(
    "attack", played(ATTACKS, "a write guest in a box", "refused; without a box it succeeds")
)
def test_an_attack_from_a_box_is_refused(boxed: Scene, attack: Attack) -> None:
    assert not boxed.results[attack.name]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_same_attack_without_a_box_succeeds(plain: Scene, attack: Attack) -> None:
    if os.getuid() and attack.name in ROOTS:
        pytest.skip("only root can do that without a box")
    seen = (plain.project / "sees" / attack.name).read_text(errors="replace")
    assert plain.results[attack.name], seen


own_box = scene_in_a_box


@pytest.fixture(params=["box", "plain"])
def own(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A scene of the test's own."""
    with scene(boxed=request.param == "box") as made:
        yield made


@pytest.mark.attack(
    "a write guest in a box: a false tmux server that has every client run a command",
    "it runs in the client's box, where nothing of the host's is",
)
def test_a_false_server_commands_a_client_in_a_box_only_within_it(own: Scene) -> None:
    command = f"touch {own.home}/commanded"
    own.screen.types(f"clear; cd {own.project}; perl false-server.pl {own.socket} '{command}' &")
    until((own.project / "false-server").exists, "the false server listens")
    own.stage.pairctl("status", check=False)
    own.stage.terminal(sys.executable, "-m", "pairctl", "attach").ended(WAIT_S)
    assert (own.home / "commanded").exists() is not own.boxed


@pytest.mark.attack(
    "a write guest in a box: TIOCSTI from a command that the host's client runs as it leaves",
    "the host's shell gets nothing of it",
)
def test_a_command_of_a_client_types_into_no_shell_of_the_hosts_from_a_box(own: Scene) -> None:
    attach = f"{sys.executable} -m pairctl attach; PS1='ready> ' exec sh -i"
    host = own.stage.terminal("sh", "-c", attach)
    host.shows("[pairing]")
    (own.project / "types").write_text(TYPES_INTO)
    command = f"sh {own.project}/types"
    own.screen.types(f"clear; tmux -S {own.socket} detach-client -s =pairing -E '{command}'")
    host.shows("ready>")
    typed = own.home / "typed"
    if not own.boxed:
        until(typed.exists, "it was typed into the host's shell")
    host.types("echo the-host''s-own")
    host.shows("the-hosts-own")
    assert typed.exists() is not own.boxed


@pytest.mark.attack(
    "a write guest in a box: a program that runs on after the session",
    "it ends with the box",
)
def test_a_process_left_behind_ends_with_the_box(own: Scene) -> None:
    seconds = str(secrets.randbelow(10**6) + 10**6)
    own.screen.types(f"clear; setsid sleep {seconds} </dev/null >/dev/null 2>&1 &")
    left = until(lambda: left_behind(seconds), "it runs")
    own.screen.types("exit")
    until(lambda: own.stage.asks("status")["session"]["running"] is False, "the session is over")
    if own.boxed:
        until(lambda: own.box is None, "the box has ended")
        assert left_behind(seconds) is None
    else:
        assert left
        assert left.is_running()
        left.kill()


def left_behind(seconds: str) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds]:
            return process
    return None


KEEPS = r"""
my ($server, @kept) = @ARGV;
for my $fd (glob "/proc/$server/fd/*") {
  my $device = (stat $fd)[6] // 0;
  next if $device >> 8 != 136;
  open(my $terminal, "+<", $fd) or next;
  push @kept, $terminal;
}
for my $round (1 .. 999) {
  select(undef, undef, undef, 0.05) until -e "write-$round";
  my $lost = grep { !defined syswrite($_, "by-another-guest-$round") } @kept;
  open(my $result, ">", "lost-$round.new"); print $result $lost; close $result;
  rename "lost-$round.new", "lost-$round";
}
"""


@pytest.mark.attack(
    "a write guest in a box: a tmux server that does not end with its last session, and a program",
    "the box ends with the session, and the next one is made",
)
def test_a_server_that_stays_after_the_session_ends_with_the_box(own_box: Scene) -> None:
    seconds = str(secrets.randbelow(10**6) + 10**6)
    keeps = f"tmux set -s exit-empty off; setsid sleep {seconds} </dev/null >/dev/null 2>&1 &"
    own_box.screen.types(f"clear; {keeps}")
    until(lambda: left_behind(seconds), "it runs")
    own_box.screen.types("exit")
    until(lambda: own_box.box is None, "the box has ended")
    assert left_behind(seconds) is None
    again = ("--box", str(own_box.project))
    assert "error" not in own_box.stage.asks("invite", "octocat", "--no-copy", *again)


@pytest.mark.attack(
    "a write guest in a box: the same after the last guest has left, when nobody looks",
    "the next invitation ends it and makes another box",
)
def test_a_box_without_a_session_is_ended_by_the_next_invitation(own_box: Scene) -> None:
    box = own_box.box
    assert box
    own_box.stage.pairctl("end")
    own_box.screen.ended()
    tmux = (box.tmux, "-S", box.socket)
    own_box.stage.run(
        *tmux, "set", "-s", "exit-empty", "off", ";", "kill-session", "-t", "=pairing"
    )
    again = ("--box", str(own_box.project))
    hour_ago = time.time() - 3600  # it is not being made just now
    os.utime(box.path, (hour_ago, hour_ago))
    assert "error" not in own_box.stage.asks("invite", "octocat", "--no-copy", *again)
    assert own_box.box
    assert own_box.box.id != box.id


@pytest.mark.attack(
    "a write guest in a box: control of the first process of their client's box, by ptrace(2)",
    "refused; the client's box ends with the guest",
)
def test_the_client_s_box_lets_no_process_control_another(own_box: Scene) -> None:
    box = own_box.box
    assert box
    for path, allowed in ((box.client_filter, False), (box.filter, True)):
        bwrap = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--seccomp", "9")
        script = f"exec 9<{path}; exec {shlex.join((*bwrap, sys.executable, '-c', TRACES))}"
        done = own_box.stage.run("sh", "-c", script, check=False)
        assert (done.stdout.strip() == "traced") is allowed, done


# prctl(2) with PR_SET_PDEATHSIG and 0, in the first process of the box: x86-64's registers.
CLEARS = r"""
sub trace { syscall(101, $_[0], 1, 0, $_[1]) == 0 or die "ptrace: $!" }
trace(16, 0); waitpid(1, 0x40000000);
my $registers = "\0" x 216; trace(12, $registers);
my @before = unpack("Q27", $registers); my @call = @before;
@call[10, 13, 14, 15, 16] = (157, 0, 1, ~0, $before[16] - 2);
my $changed = pack("Q27", @call); trace(13, $changed); trace(9, 0); waitpid(1, 0x40000000);
@before[10, 15, 16] = ($before[15], ~0, $before[16] - 2);
$changed = pack("Q27", @before); trace(13, $changed); trace(17, 0);
print "cleared\n";
"""


@pytest.mark.attack(
    "a write guest in a box: the first process of the box kept from ending with its parent",
    "it ends with the session, and by the hint's command; so do all others in the box",
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attack is x86-64's")
@pytest.mark.parametrize("ends", ["the session", "the hint"])
def test_what_is_left_in_a_box_ends_whatever_its_first_process_was_made_to_do(
    own_box: Scene, ends: str
) -> None:
    box, seconds = own_box.box, str(secrets.randbelow(10**6) + 10**6)
    assert box
    (own_box.project / "clears.pl").write_text(CLEARS)
    leaves = f"setsid sleep {seconds} </dev/null >/dev/null 2>&1 &"
    own_box.screen.types(f"clear; {leaves} perl {own_box.project}/clears.pl")
    own_box.screen.shows("cleared")
    left = until(lambda: left_behind(seconds), "it runs")
    assert left
    if ends == "the hint":
        own_box.stage.run("sh", "-c", box.ended_by.partition("in it: ")[2])
    else:
        own_box.screen.types("exit")
    try:
        until(lambda: own_box.box is None, "the box has ended")
        until(lambda: has_ended(left), "so has what was left")
    finally:
        with suppress(psutil.Error):
            left.kill()


TRACES = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    signal.pause()
print("traced" if libc.ptrace(0x4206, child, 0, 0) == 0 else os.strerror(ctypes.get_errno()))
os.kill(child, signal.SIGKILL)
"""


@pytest.mark.attack(
    "a write guest in a box: keeping another guest's terminal for after they have left",
    "it is gone with their connection, and the next one's is another",
)
def test_a_terminal_kept_in_a_box_is_of_no_use_once_its_guest_has_left(own_box: Scene) -> None:
    project, stage = own_box.project, own_box.stage

    def written(number: int) -> int:
        (project / f"write-{number}").touch()
        result = project / f"lost-{number}"
        until(result.exists, "it was written to each terminal")
        return int(result.read_text())

    mona = stage.guest("mona")
    assert "error" not in stage.asks("invite", "mona", "--no-copy")
    first = mona.joins()
    first.shows("[pairing]")
    (project / "keeps.pl").write_text(KEEPS)
    own_box.screen.types(f"clear; cd {project}; perl keeps.pl $(tmux display -p '#{{pid}}') &")
    rounds = itertools.count(1)

    def is_painted() -> bool:
        number = next(rounds)
        assert written(number) == 0
        return f"by-another-guest-{number}" in first.screen()

    until(is_painted, "it is painted, and not over")
    first.types("\x02d")
    first.ended()
    again = mona.joins()
    again.shows("[pairing]")
    until(lambda: written(next(rounds)) == 1, "their terminal is gone")
    again.types("clear; echo painted a''gain")
    again.shows("painted again")
    assert "by-another-guest" not in again.screen()


@pytest.mark.attack(
    "a write guest in a box: opening for writing what a program in the box has open",
    "nothing of pairing's is open there",
)
def test_nothing_of_ours_is_open_in_a_box(boxed: Scene) -> None:
    """What is open to read can be opened to write: proc_pid_fd(5)."""
    keeper = boxed.box and boxed.box.keeper
    inside = psutil.Process(keeper).children(recursive=True)
    assert inside
    opened = [
        str(link.readlink())
        for process in inside
        for link in Path(f"/proc/{process.pid}/fd").glob("*")
    ]
    assert [path for path in opened if path.startswith(str(boxed.stage.home))] == []


@pytest.mark.attack(
    "a write guest in a box: using up all watches of epoll(7), which the kernel counts for each user",
    "pairing has none: the host revokes them as ever",
)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts them")
def test_pairing_waits_by_nothing_that_a_guest_in_a_box_can_use_up(boxed: Scene) -> None:
    daemon = psutil.Process(boxed.stage.asks("status")["daemon"]["pid"])
    ours = [daemon, *guardians_of(daemon.pid)]
    descriptors = [link for one in ours for link in Path(f"/proc/{one.pid}/fd").glob("*")]
    assert [link for link in descriptors if "eventpoll" in str(link.readlink())] == []


@pytest.mark.attack(
    "a write guest in a box: using up all memory, also by files in the box's own directories",
    "the kernel ends the box before any other program (oom_score_adj)",
)
def test_the_kernel_ends_a_box_first_when_memory_runs_out(boxed: Scene) -> None:
    box = boxed.box
    assert box
    assert box.keeper
    inside = {one.pid for one in psutil.Process(box.keeper).children(recursive=True)}
    clients = {*running_with(box.socket)} - inside - {*running_with("glass.py")}
    daemon = boxed.stage.asks("status")["daemon"]["pid"]
    assert [{*map(killed_first, some)} for some in (inside, clients)] == [{1000}, {900}]
    assert killed_first(daemon) < 900


def killed_first(process: int) -> int:
    """The more, the sooner when memory runs out: proc(5)."""
    return int(Path(f"/proc/{process}/oom_score_adj").read_text())


@pytest.mark.attack(
    "a write guest in a box: a socket that belongs to no network namespace (AF_VSOCK), io_uring",
    "refused",
)
def test_no_socket_of_another_kind_is_made_in_a_box(own_box: Scene) -> None:
    kinds = "perl -MSocket -e 'for (1, 2, 40, 31, 99) { print socket(S, $_, 1, 0) ? $_ : 0, q( ) }'"
    # io_uring_setup(2), whose number is the same on every architecture.
    ring = "perl -e '$b = pack q(x120); print syscall(425, 1, $b), q( ), $! + 0'"
    own_box.play((Attack("kinds", kinds, "1 2 0 0 0"), Attack("ring", ring, f"-1 {errno.ENOSYS}")))
    assert own_box.results == {"kinds": True, "ring": True}


@pytest.mark.attack(
    "a write guest in a box: a program that their client runs as it leaves, and that never ends",
    "it and the client end with the guest",
)
def test_what_a_client_runs_as_it_leaves_ends_with_the_guest(own_box: Scene) -> None:
    loop = 'trap "" TERM HUP; while :; do echo going-on; sleep 0.05; done'
    (own_box.project / "loop").write_text(
        f"tmux -S {own_box.socket} detach-client -s =pairing -E '{loop}'\n"
    )
    own_box.screen.types(f"clear; sh {own_box.project}/loop")
    own_box.screen.shows("going-on")
    own_box.stage.pairctl("revoke", "octocat")
    own_box.screen.ended()
    mark = str(own_box.stage.home / "live")
    until(lambda: not running_with(mark), "nothing of the guest's runs")
    until(lambda: not running_with("going-on"), "nor what the client ran")


def running_with(word: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(word in one for one in process.info["cmdline"] or ())
    ]


def test_secrets_are_in_no_file_of_the_box(boxed: Scene) -> None:
    assert boxed.box
    found = subprocess.run(
        ["grep", "-r", SECRET, boxed.box.path], check=False, capture_output=True, text=True
    )
    assert found.stdout == ""
