"""The box as Linux makes it: bubblewrap (bwrap(1)), and pasta(1) for a network of its own.

Two scripts, so that everybody can read what a box is: `server` is the box with tmux's server in it,
`tmux` is a client in another one, which shows less. Both start with an empty environment, because
the box can read bwrap's own (measured: /proc/1/environ, also with --clearenv).
"""

# ruff: noqa: PTH112, PTH114, PTH115 - as place.py

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from pairingd.box import etc
from pairingd.box.plan import PACKAGES, SYSTEM
from pairingd.box.scripts import assigned, behind_glass, of_clients, with_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pairingd.box.place import Box
    from pairingd.box.plan import Plan

_NAMESPACES = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--cap-drop", "ALL"),
)
# Without --die-with-parent a guest's programs outlive bwrap. In the server's box a guest can switch
# that off for the first process, by ptrace(2), so that is tmux itself (--as-pid-1).
_ALONE = (*_NAMESPACES, "--seccomp", "9", "--die-with-parent")
_RESOLVER = "169.254.1.1"  # pasta forwards it to the host's; the same as podman's
_TERMINAL = '${terminal:+--dev-bind "$terminal" "$terminal"}'
# A guest can use up the memory: then the kernel ends a box before all else, its clients last;
# the files in its memory go with it. /proc is read-only there, so nobody takes that back.
_EXPENDABLE = "echo {score} 2>/dev/null >/proc/self/oom_score_adj"
# The guests' and the host's terminals never come here: glass.py stands between.
_CLIENT = """\
#!/bin/sh
# pairing, box {id}: tmux as everything outside runs it, in a box of its own with the server's
# socket and little else. No terminal enters it: at one this is first put behind glass.
{behind_glass}
terminal=
if [ -t 0 ]; then terminal=$(tty); session=; else session=--new-session; fi
{expendable}
exec 9<{filter}
exec env -i TERM="${{TERM:-xterm}}" {environment} \\
    {bwrap} {alone} --unshare-net $session \\
    {mounts} \\
    --tmpfs /dev --dev-bind /dev/null /dev/null {terminal} \\
    --ro-bind {shared} {shared} \\
    -- {limits}{tmux} -N "$@"
"""
_SERVER = """\
#!/bin/sh
# pairing, box {id}: what is shared, and the tmux server that lives in it. This shell stays outside
# and holds the lock, its standard input: whoever is in the box can open for writing what any
# process there has open. tmux's server is the first process of the box, and all others end with it.
{expendable}
{with_environment} \\
    {bwrap} {alone} {network} --new-session --as-pid-1 \\
    {mounts} \\
    --dev /dev \\
    {shares} \\
    --bind {shared} {shared} {links} --chdir {directory} \\
    -- {limits}{tmux} -D -S {socket} </dev/null 8</dev/null 9<{filter}
exit
"""
# Without --no-map-gw and the four nones pasta would lead to services on the host's loopback. It has
# two processes: if the outer one fails or is killed, the inner one stays, with the box.
_INTERNET = """\
#!/bin/sh
# pairing, box {id}: a network of its own around the box, without the host's loopback. This shell
# stays outside and holds the lock, its standard input.
{pasta} --foreground --quiet --config-net --no-map-gw \\
    --dns-forward {resolver} -t none -u none -T none -U none \\
    -- /bin/sh {inside} </dev/null
kill -KILL 0
"""


def client(box: Box, plan: Plan, bwrap: str, glass: Iterable[str]) -> str:
    """The script `tmux`. `glass` is the command that puts a program behind glass."""
    return _CLIENT.format(
        id=box.id,
        behind_glass=behind_glass(glass),
        expendable=_EXPENDABLE.format(score=900),
        filter=shlex.quote(box.client_filter),
        environment=assigned(of_clients(plan.environment)),
        bwrap=shlex.quote(bwrap),
        alone=shlex.join(_ALONE),
        mounts=shlex.join((*_system(), *_program(plan))),
        terminal=_TERMINAL,
        shared=shlex.quote(box.shared),
        limits=_limits(plan),  # a client runs what the guests' server says
        tmux=shlex.quote(plan.tmux),
    )


def server(box: Box, plan: Plan, bwrap: str) -> str:
    """The script that is the box; with `network = "internet"` the one that pasta runs."""
    network = {
        "none": ("--unshare-net",),
        # pasta makes its user root, which the box undoes.
        "internet": ("--uid", str(os.getuid()), "--gid", str(os.getgid())),
        "full": (),
    }[plan.network]
    return _SERVER.format(
        id=box.id,
        expendable=_EXPENDABLE.format(score=1000),
        filter=shlex.quote(box.filter),
        with_environment=with_environment(box.environment),
        bwrap=shlex.quote(bwrap),
        alone=shlex.join(_ALONE),
        network=shlex.join(network),
        mounts=shlex.join(_system()),
        shares=shlex.join((*_resolver(box, plan), *_shares(plan))),
        # Not through a link, which could not be made where a mount has made a directory.
        shared=shlex.quote(os.path.realpath(box.shared)),
        links=shlex.join(_links(plan)),
        directory=shlex.quote(plan.directory),
        limits=_limits(plan),
        tmux=shlex.quote(plan.tmux),
        socket=shlex.quote(box.socket),
    )


def trial(bwrap: str) -> tuple[str, ...]:
    """A command that succeeds where the kernel lets this user make a box."""
    shown = ("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
    return bwrap, *_NAMESPACES, "--unshare-net", *shown, "--", "/bin/true"


def internet(box: Box, pasta: str, inside: str) -> str:
    """The script that runs the script `inside` in a network of its own."""
    return _INTERNET.format(
        id=box.id, pasta=shlex.quote(pasta), resolver=_RESOLVER, inside=shlex.quote(inside)
    )


def resolv_conf() -> str:
    """resolv.conf(5) for "internet": the host's own may name a resolver on the host's loopback."""
    return f"nameserver {_RESOLVER}\n"


def _system() -> Iterator[str]:
    """Mount programs, libraries and the public part of /etc; all else is empty."""
    for path in SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    for path in PACKAGES:
        yield from ("--ro-bind-try", path, path)
    for real, path in etc.shown():
        yield from ("--ro-bind", real, path)
        for secret in etc.hidden(real):
            place = path + secret[len(real) :]
            if os.path.isdir(secret):
                yield from ("--tmpfs", place)
            else:
                yield from ("--ro-bind", "/dev/null", place)
    # Read-only: if the host is root, so is the guest, and root can write the kernel's settings
    # without any capability (measured: core_pattern, by which a program runs outside).
    yield from ("--proc", "/proc", "--remount-ro", "/proc")
    yield from ("--tmpfs", "/tmp", "--tmpfs", "/run")  # noqa: S108
    yield from ("--dir", "/var/tmp", "--symlink", "/run", "/var/run")  # noqa: S108


def _program(plan: Plan) -> Iterator[str]:
    """Mount tmux, unless it is the system's."""
    for path in plan.around_tmux:
        yield from ("--ro-bind", path, path)


def _resolver(box: Box, plan: Plan) -> tuple[str, ...]:
    if plan.network != "internet":
        return ()
    return "--ro-bind", box.resolv_conf, "/etc/resolv.conf"


def _shares(plan: Plan) -> Iterator[str]:
    yield from ("--dir", plan.home)
    for path in (*plan.write, plan.directory):
        yield from ("--bind", path, path)
    for path in plan.read:  # which may lie in one of those
        yield from ("--ro-bind", path, path)
    # A mount cannot be renamed, so nobody puts another .git in the place of this one.
    for path in dict.fromkeys(map(os.path.dirname, plan.protected)):
        if path != plan.directory:
            yield from ("--bind", path, path)
    for path in plan.protected:
        yield from ("--ro-bind", path, path)
    if path := plan.start_up_file:
        yield from ("--perms", "0600", "--file", "8", path)


def _links(plan: Plan) -> Iterator[str]:
    for link, target in plan.links:
        yield from ("--symlink", target, link)


def _limits(plan: Plan) -> str:
    limits = [f"--data={plan.memory}"] if plan.memory else []
    limits += [f"--nproc={plan.processes}"] if plan.processes else []
    return f"{shlex.join(('prlimit', *limits, '--'))} " if limits else ""
