"""What root installs for an account: two programs, their parts, and one sudoers rule.

Both are scripts, so that everybody can read what the host may do as that user. They take only TERM
from the environment of their caller.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pairingd.account.place import Account, Record

_PACKAGE = Path(__file__).parent
_COMMANDS = _PACKAGE.parent / "world" / "forced_command"
# What a guest's key runs; the account cannot read the host's copies of them.
FORCED_COMMAND = ("join.sh", "glass.py", "sieve.py", "farewell.sh", "approval.py")
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
LANG = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
# sudoers(5), Aliases: `ALL`, and what may be the name of an alias.
_IN_ALIAS = {"_": "_U", "-": "_H"}  # no two accounts have one: sudo would refuse the second
_ALIAS = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_TMUX = """\
#!/bin/sh
# pairing: tmux as {name}, run by {host} through sudo (/etc/sudoers.d/pairing-{name}).
cd {home} 2>/dev/null || cd /  # guests can close it
exec env -i TERM="${{TERM:-xterm}}" HOME={home} USER={name} LOGNAME={name} SHELL={shell} \\
    PATH={path} LANG={lang} \\
    {tmux} "$@"
"""
_GUEST = """\
#!/bin/sh
# pairing: sshd as {name} for one guest, run by {host} through sudo (/etc/sudoers.d/pairing-{name}).
cd / || exit
exec env -i PATH={path} TZ=UTC0 {python} -I -S {program} {config} {sshd} "$@"
"""
# Without a terminal and PAM's session sudo becomes the program itself (sudoers(5), pam_session): no
# process stays between, and a guest's session is sshd's own.
_SUDOERS = """\
# pairing: {host} shares a tmux session as {name}, by two programs of root's. Made by
# `pairctl account create {name}`, and taken away by `pairctl account remove {name}`.
Cmnd_Alias {alias} = {guest}, {tmux}
Defaults!{alias} !use_pty, !requiretty, !pam_session, !pam_setcred, !log_input, !log_output, !syslog
{host} ALL=({name}) NOPASSWD: {alias}
"""


def programs(
    account: Account, record: Record, home: str, shell: str, lang: str
) -> Iterator[tuple[str, str]]:
    """Yield path and content of each file in `account.programs`; all are root's, mode 0755."""
    values = {
        "name": account.name,
        "host": record.host,
        "home": shlex.quote(home),
        "shell": shlex.quote(shell),
        "path": PATH,
    }
    yield account.tmux, _TMUX.format(**values, lang=lang, tmux=shlex.quote(record.tmux))
    program = f"{account.programs}/guest.py"
    yield (
        account.guest,
        _GUEST.format(
            **values,
            python=shlex.quote(record.python),
            program=shlex.quote(program),
            config=shlex.quote(account.sshd_config),
            sshd=shlex.quote(record.sshd),
        ),
    )
    yield program, (_PACKAGE / "guest.py").read_text(encoding="utf-8")
    for name in FORCED_COMMAND:
        yield f"{account.programs}/{name}", (_COMMANDS / name).read_text(encoding="utf-8")


def sudoers(account: Account, record: Record) -> str:
    """Return the sudoers rule. Raises ValueError if the host's name cannot be in it."""
    plain = record.host.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if not plain or _ALIAS.fullmatch(record.host):
        raise ValueError(record.host)
    return _SUDOERS.format(
        name=account.name,
        host=record.host,
        alias="PAIRING_"
        + "".join(_IN_ALIAS.get(character, character) for character in account.name.upper()),
        guest=_escaped(account.guest),
        tmux=_escaped(account.tmux),
    )


def sudoers_file(account: Account) -> str:
    """Return the rule's path. sudo ignores names with a dot or a tilde; none here has either."""
    return f"/etc/sudoers.d/pairing-{account.name}"


def _escaped(path: str) -> str:
    """sudoers(5), Other special characters and reserved words."""
    return "".join(
        f"\\{character}" if character in ' ,:=\\*?[]!"' else character for character in path
    )
