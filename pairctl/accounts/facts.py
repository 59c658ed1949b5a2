"""What exists of an account on this machine, and the reasons not to make it."""

# ruff: noqa: PTH112, PTH118

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from pairctl.accounts import trust, users
from pairctl.failures import Usage
from pairingd.account import check
from pairingd.account.place import NAME, ROOT, Account, Record
from pairingd.account.programs import PATH, sudoers
from pairingd.core.refusal import PairingError
from pairingd.core.text import one_line, quoted, shell
from pairingd.machine import which

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_COMMAND_TIMEOUT_S = 10.0
_NOBODY = 65534  # credentials(7)
_PROGRAM_DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(11, 20)))
_PYTHON_CHECK = (
    "import contextlib,select,socket,signal,sys,termios;sys.exit(sys.version_info<(3,11))"
)
# The programs that the steps run, and the package of each.
_TOOLS = {
    "linux": {
        "sudo": "sudo",
        "visudo": "sudo",
        "ssh-keygen": "openssh-client",
        "useradd": "passwd",
        "userdel": "passwd",
        "usermod": "passwd",
        "find": "findutils",
        "setsid": "util-linux",
    },
    "darwin": dict.fromkeys(
        ("sudo", "visudo", "ssh-keygen", "dscl", "createhomedir", "dseditgroup"), ""
    ),
}


class Facts(NamedTuple):
    """`record` is the record to write, `recorded` the one on disk. `exists`: the user exists and
    has that `home`. `host_group` is the group of the host's files. `new_id` is an unused id, for
    macOS, where no program chooses one.
    """

    account: Account
    record: Record
    recorded: Record | None
    exists: bool
    home: str
    shell: str
    host_group: str
    system: str = sys.platform
    new_id: int = 0

    @property
    def has_group(self) -> bool:
        return _has_group(self.name)

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def root(self) -> str:
        """As USER:GROUP."""
        return "root:wheel" if self.system == "darwin" else "root:root"


def observe(account: Account, host: str) -> Facts:
    """The present state, without a judgement. `record` is the one on disk, or an empty one."""
    recorded = account.record
    try:
        user = pwd.getpwnam(account.name)
        exists, home, login = True, user.pw_dir, user.pw_shell
    except KeyError:
        exists, home, login = False, account.home, check.new_shell()
    record = recorded or Record(host)
    return Facts(
        account,
        record,
        recorded,
        exists,
        home,
        login,
        host_group=_group_of(record.host),
        new_id=_free_id() if sys.platform == "darwin" and not exists else 0,
    )


def host() -> str:
    """The user who owns the account: the one who ran sudo, or else who runs this.

    Raises PairingError `no-account` if that is no user of this machine.
    """
    name = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    try:
        return pwd.getpwnam(name).pw_name if name else pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise PairingError(
            "no-account",
            f"this machine has no user {quoted(name or str(os.getuid()))}",
            "run it as a user who has an account here",
        ) from None


def again(action: str, name: str, directories: Iterable[str] = ()) -> str:
    """The command, with the path of this pairctl, because sudo has its own PATH: secure_path of
    sudoers(5).
    """
    program = os.path.abspath(sys.argv[0])  # noqa: PTH100
    argv = [program] if os.access(program, os.X_OK) else [sys.executable, "-P", "-m", "pairctl"]
    shared = [word for directory in directories for word in ("--dir", directory)]
    return shell("sudo", *argv, "account", action, name, *shared)


def named(name: str) -> Account:
    """Raises Usage `bad-account-name`."""
    if not NAME.fullmatch(name):
        raise Usage(
            "bad-account-name",
            f"not a name for an account: {quoted(name)}",
            "lower-case letters, digits, - and _, at most 31, and no digit first: pair",
        )
    return Account(name, ROOT)


def require_own(facts: Facts, owner: str) -> None:
    """Raise PairingError `account-taken` if pairing has not made that user, and
    `account-of-another` if it belongs to a user other than `owner`.
    """
    account, recorded = facts.account, facts.recorded
    if recorded:
        _require_host(account, recorded, owner)
        return
    reason = ""
    if facts.exists or _has_group(account.name):
        reason = f"a user or group {account.name} exists, and pairctl has not made it"
    elif os.path.lexists(account.home):
        reason = f"{account.home} exists, and pairctl has not made it"
    if reason:
        raise PairingError(
            "account-taken",
            f"{reason}; nothing was changed",
            f"choose another name: {again('create', 'pair2')}",
        )


def recorded(account: Account, owner: str) -> Record:
    """Raises PairingError `no-such-account`, and `account-of-another` as `require_own`."""
    record = account.record
    if record is None:
        raise no_such(account)
    _require_host(account, record, owner)
    return record


def no_such(account: Account) -> PairingError:
    return PairingError(
        "no-such-account",
        f"pairctl has made no account {account.name}",
        again("create", account.name),
    )


def _require_host(account: Account, record: Record, owner: str) -> None:
    if record.host != owner:
        raise PairingError(
            "account-of-another",
            f"the account {account.name} belongs to {quoted(record.host)}",
            f"make one of your own, by another name: {again('create', f'{account.name}2')}",
        )


def require_free(account: Account, using: Iterable[str]) -> None:
    """Raise PairingError `account-in-use` if `using` is not empty."""
    if some := [*using][:3]:
        raise PairingError(
            "account-in-use",
            f"the account {account.name} is in use: {', '.join(some)}",
            "pairctl end, then exit the session's shells; or end all at once: "
            + shell("sudo", "pkill", "-KILL", "-u", account.name),
        )


def programs(owner: str) -> Record:
    """The programs that an account of this machine would run. Raises PairingError
    `missing-program`, `unsafe-program`, `no-python`, `bad-host-name`.
    """
    _require_tools()
    trust.require(ROOT, owner)
    record = Record(owner, python=_python(owner), sshd=_sshd(owner), tmux=_tmux(owner))
    try:
        sudoers(Account("pair"), record)
    except ValueError:
        raise PairingError(
            "bad-host-name",
            f"no sudoers rule can name the user {quoted(owner)}",
            "run it as a user whose name has letters, digits, - . and _ alone, not all upper case",
        ) from None
    return record


def require_tool(program: str, package: str) -> None:
    """Raise PairingError `missing-program`."""
    if not shutil.which(program, path=PATH):
        install = f"install the package {package}, such as: apt install {package}"
        raise PairingError(
            "missing-program",
            f"{program} is not installed",
            install if package else f"macOS has {program}: look for it in /usr/sbin and /usr/bin",
        )


def _require_tools() -> None:
    for program, package in _TOOLS["darwin" if sys.platform == "darwin" else "linux"].items():
        require_tool(program, package)
    if not os.path.isdir("/etc/sudoers.d"):
        raise PairingError(
            "missing-program",
            "this machine's sudo reads no /etc/sudoers.d",
            "make that directory, and with visudo add the line: @includedir /etc/sudoers.d",
        )


def _python(owner: str) -> str:
    candidates = [os.path.join(place, name) for name in _PYTHONS for place in _PROGRAM_DIRECTORIES]
    candidates.append(os.path.realpath(sys.executable))
    arguments = ("-I", "-S", "-c", _PYTHON_CHECK)
    program = _first(candidates, arguments, owner)
    if not program:
        raise PairingError(
            "no-python",
            "no Python 3.11 or later that every user can run, and that root alone can change",
            "install one for the whole machine, such as: apt install python3",
        )
    return program


def _sshd(owner: str) -> str:
    sshd = shutil.which("sshd", path=PATH)
    if not sshd:
        raise PairingError("missing-program", "sshd is not installed", "apt install openssh-server")
    trust.require(sshd, owner)
    return sshd


def _tmux(owner: str) -> str:
    candidates = which.tmuxes("")
    if not candidates:
        raise PairingError("missing-program", "tmux is not installed", "apt install tmux")
    program = _first(
        (candidate for candidate in candidates if _is_usable(candidate)), ("-V",), owner
    )
    if not program:
        trust.require(candidates[0], owner)
        raise PairingError(
            "unsafe-program",
            f"{quoted(candidates[0])} is too old, or not every user can run it",
            "install tmux for the whole machine, such as: apt install tmux",
        )
    return program


def _first(candidates: Iterable[str], arguments: Sequence[str], owner: str) -> str:
    """The first that only root can change, and that any user can run with these arguments."""
    for program in candidates:
        may_run = os.access(program, os.X_OK) and not trust.offender(program, owner)
        if may_run and _run(program, arguments) is not None:
            return program
    return ""


def _is_usable(tmux: str) -> bool:
    version = _run(tmux, ("-V",))
    return version is not None and which.unusable(tmux, version) is None


def _run(program: str, arguments: Sequence[str]) -> str | None:
    """What it prints when run as a user without any rights; None if it fails."""
    try:
        done = subprocess.run(
            [program, *arguments],
            **_nobody(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            errors="replace",
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return None if done.returncode else one_line(done.stdout, 200)


def _nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("nobody")
    except KeyError:
        return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _group_of(name: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name
    except KeyError:
        return "root"


def _free_id() -> int:
    """An id unused by users and groups, from 600 up: macOS gives people ids from 501 up."""
    taken = {user.pw_uid for user in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}
    return next(number for number in range(600, 60000) if number not in taken)


def who_runs(account: Account) -> Iterator[str]:
    """Every process that runs as that user."""
    with contextlib.suppress(KeyError):
        for process in users.processes(pwd.getpwnam(account.name).pw_uid):
            yield f"{one_line(process.info['name'] or '?', 16)} (pid {process.pid})"


def who_uses(account: Account) -> Iterator[str]:
    """Processes that show that guests may be in it: a tmux, or a guest's sshd."""
    try:
        uid = pwd.getpwnam(account.name).pw_uid
    except KeyError:
        return
    program = os.path.join(account.programs, "guest.py")
    for process in users.processes(uid):
        if program in (process.info["cmdline"] or ()):
            yield f"a guest's connection (pid {process.pid})"
        elif (process.info["name"] or "").startswith("tmux"):
            yield f"tmux (pid {process.pid})"
