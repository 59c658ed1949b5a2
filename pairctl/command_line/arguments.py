"""The command line: every command, its options and its help."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pairctl.accounts import arguments as of_accounts
from pairctl.command_line import guesses, values, word_order
from pairctl.command_line.argument_parser import HelpWanted, Missing, Parser
from pairctl.failures import Usage
from pairingd.core.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

_GROUP = "@NAME is a group of config.toml. TIME is local: 14:00, 6pm.\n"
_GUEST = """\
GUEST is a name on GitHub (octocat), gitlab:NAME, codeberg:NAME, sourcehut:NAME,
https://…/keys, file:PATH or "key:ssh-ed25519 AAAA…".
"""
_DURATION = "DURATION is written as 45s, 90m, 2h, 1h30m or 1d.\n"
_SHELLS = ("bash", "zsh", "fish")
MANUALS = {"pairctl": 1, "pairingd": 8}  # the page and its section
_EXAMPLES = {
    "invite": (
        "invite octocat",
        "invite octocat gitlab:ann --ttl 90m --read-only",
        "invite @team --at 14:00 --join-within 10m",
        "invite octocat --box ~/project",
    ),
    "status": ("status", "status --watch", "status --line"),
    "extend": ("extend octocat 30m", "extend octocat --until 18:30"),
    "revoke": ("revoke octocat",),
    "role": ("role octocat read",),
    "approve": ("approve octocat",),
    "deny": ("deny octocat",),
    "end": ("end",),
    "attach": ("attach",),
    "log": ("log -n 20", "log --follow"),
    "receipt": ("receipt", "receipt --list", "receipt --json"),
    "doctor": (
        "doctor",
        "doctor --router --verbose",
        "doctor --outside 'https://ifconfig.co/port/{port}'",
    ),
    "look": ("look 5.5.5.5:22 SHA256:…",),
    "config": ("config",),
    "start": ("start",),
    "stop": ("stop",),
    "restart": ("restart",),
    "install": ("install --dry-run", "install"),
    "uninstall": ("uninstall --keep-state",),
    "account": of_accounts.EXAMPLES,
    "completion": ("completion zsh",),
    "man": ("man", "man pairingd"),
    "complete-guests": ("complete-guests oct",),
    "complete-sessions": ("complete-sessions 0",),
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """`command`, `json` and the command's own options. With --help the command is `help`, and
    `help` its text. Raises Usage.
    """
    root = parser()
    corrected = _ordered(root, guesses.words(argv))
    try:
        args, unknown = root.parse_known_args(corrected, argparse.Namespace(json=False))
    except HelpWanted as wanted:
        return _help(root, corrected, wanted.of)
    except Missing:
        _reject_options(root, _command(corrected), corrected)
        raise
    if unknown := [word for word in unknown if word != "--"]:
        raise _unexpected(root, args, unknown)
    _read(args)
    return args


def _command(argv: Sequence[str]) -> str | None:
    return next((word for word in argv if not word.startswith("-")), None)


def _ordered(root: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    command = _command(argv)
    at = argv.index(command) + 1 if command else len(argv)
    return [*argv[:at], *word_order.options_first(argv[at:], _options(root, command))]


def _read(args: argparse.Namespace) -> None:
    """Read the values that depend on others."""
    match args.command:
        case "invite":
            _read_invitation(args)
        case "revoke":
            guesses.guests(args.guests, args.command)
        case "extend" if args.until is None:
            args.duration = guesses.extension(args.guest, args.duration)
        case "extend":
            args.until = values.moment(args.until, guesses.until(args.guest, args.until))
        case "look":
            guesses.look(args.place, args.fingerprint)
        case "role":
            args.access = guesses.access(args.guest, args.access)
        case "status" if args.limit and not args.all:
            raise Usage("usage", "-n limits the past invitations", "pairctl status --all -n 20")
        case "status" if args.line and args.all:
            raise Usage("usage", "--line has no past invitations", "pairctl status --all")
        case _:
            pass


def _read_invitation(args: argparse.Namespace) -> None:
    guesses.guests(args.guests, args.command, args.ttl)
    if args.from_address and len(args.guests) > 1:
        raise Usage("from-one-guest", "--from dials one guest", "invite them one by one")
    if args.at is not None:
        args.at = values.moment(args.at, guesses.at(args.guests, args.at))


def _help(
    root: argparse.ArgumentParser, argv: Sequence[str], of: argparse.ArgumentParser
) -> argparse.Namespace:
    """Argparse does not read on after --help."""
    command = of.prog.removeprefix(root.prog).strip() or None
    words = word_order.before_dashes(argv)
    _reject_options(root, command, words)
    text = of.format_help().rstrip("\n")
    return argparse.Namespace(command="help", version=False, json="--json" in words, help=text)


def _reject_options(
    root: argparse.ArgumentParser, command: str | None, words: Sequence[str]
) -> None:
    """Raise Usage for options that the command does not have."""
    known = {*_options(root, None), *_options(root, command)}
    options = [word for word in word_order.before_dashes(words) if word_order.is_option(word)]
    if unknown := [word for word in options if _option_name(word) not in known]:
        raise _unexpected(root, argparse.Namespace(command=command), unknown)


def _option_name(word: str) -> str:
    return word.partition("=")[0] if word.startswith("--") else word[:2]


def _unexpected(
    root: argparse.ArgumentParser, args: argparse.Namespace, unknown: Sequence[str]
) -> Usage:
    plural = "s" if len(unknown) > 1 else ""
    hint = guesses.unexpected(vars(args), unknown, _options(root, args.command))
    return Usage("usage", f"unexpected argument{plural} {' '.join(map(quoted, unknown))}", hint)


def _options(root: argparse.ArgumentParser, command: str | None) -> dict[str, argparse.Action]:
    own = root
    for action in root._actions:  # noqa: SLF001 - argparse has no other way to list them
        if action.dest == "command" and isinstance(action.choices, dict):
            own = action.choices.get(command, root)
    return own._option_string_actions  # noqa: SLF001


def parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    # SUPPRESS: else the command's default would undo a --json before the command.
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
    )
    root = Parser(
        prog="pairctl",
        description="Host a pairing session on this machine: the guest needs only ssh.",
        epilog="example:\n  pairctl invite octocat --ttl 2h\n\n"
        "pairctl COMMAND --help prints the help of one command.",
        parents=[common],
    )
    root.add_argument("--version", action="store_true", help="print both versions")
    commands = root.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", prog=root.prog
    )

    def command(name: str, about: str, epilog: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            parents=[common],
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=epilog + _examples(name),
        )

    _inviting(command("invite", "invite guests for a limited time", _GUEST + _GROUP + _DURATION))

    _listing(command("status", "list who is invited and connected, and the guests' commands"))

    extend = command("extend", "move a guest's deadline", _GUEST + _DURATION)
    _live(extend.add_argument("guest", type=values.guest, metavar="GUEST"))
    until = extend.add_mutually_exclusive_group(required=True)
    until.add_argument("duration", nargs="?", type=values.utf8, metavar="DURATION")
    until.add_argument(
        "--until", type=values.utf8, metavar="TIME", help="18:30, 6pm, or 2026-01-31T18:30:00+01:00"
    )

    revoke = command("revoke", "end the invitations of guests, at once", _GUEST)
    _live(revoke.add_argument("guests", nargs="+", type=values.guest, metavar="GUEST"))

    role = command("role", "make a guest a read guest or a write guest", _GUEST)
    _live(role.add_argument("guest", type=values.guest, metavar="GUEST"))
    role.add_argument("access", choices=("read", "write"), type=guesses.role, metavar="read|write")

    for name, about in (
        ("approve", "let in a guest who waits for approval"),
        ("deny", "turn away a guest who waits for approval"),
    ):
        _live(
            command(name, about, _GUEST).add_argument("guest", type=values.guest, metavar="GUEST")
        )

    command("end", "end all invitations and close the door; the tmux session stays")
    command("attach", "attach this terminal to the session")

    log = command("log", "print what has happened")
    log.add_argument("--follow", "-f", action="store_true", help="print new events until Ctrl-C")
    log.add_argument(
        "-n",
        type=values.count,
        metavar="N",
        dest="limit",
        help="only the newest N events (default 1000)",
    )

    receipt = command("receipt", "print who connected in a session, from where and when")
    which = receipt.add_mutually_exclusive_group()
    _completed(
        which.add_argument(
            "session", nargs="?", type=values.utf8, metavar="SESSION", help="default: the newest"
        ),
        "_pairctl_sessions",
    )
    which.add_argument("--list", action="store_true", help="list the sessions, the newest first")

    _doctor(command("doctor", "check for problems that could keep a guest out"))
    look = command("look", "print whether an address shows a host key")
    look.add_argument("place", type=values.utf8, metavar="HOST:PORT")
    look.add_argument("fingerprint", type=values.utf8, metavar="SHA256:…")

    command("config", "print every setting in force and where it comes from")
    command("start", "start the daemon")
    command("stop", "disconnect all guests, stop the daemon; the tmux session stays")
    command("restart", "stop the daemon and start it again; invitations stay")

    install = command("install", "start the daemon now and at every login")
    uninstall = command("uninstall", "stop the daemon, remove its service and its files")
    for at_login in (install, uninstall):
        at_login.add_argument(
            "--dry-run", action="store_true", help="print what would be run, written and removed"
        )
    uninstall.add_argument("--keep-state", action="store_true", help="keep all other files")

    about_account = "make, remove or show a separate user for guests"
    of_accounts.add(command("account", about_account, of_accounts.ROOT))

    completion = command("completion", "print a shell's completion script")
    completion.add_argument("shell", choices=_SHELLS, metavar="|".join(_SHELLS))
    manual = command("man", "show the manual page")
    manual.add_argument(
        "page",
        nargs="?",
        choices=tuple(MANUALS),
        default="pairctl",
        metavar="PAGE",
        help="pairctl (default) or pairingd",
    )
    # Not listed among the commands: shell completion calls them.
    for name in ("complete-guests", "complete-sessions"):
        commands.add_parser(name, parents=[common], epilog=_examples(name)).add_argument("word")
    return root


def _examples(name: str) -> str:
    return "examples:" + "".join(f"\n  pairctl {line}" for line in _EXAMPLES[name])


def _listing(status: argparse.ArgumentParser) -> None:
    status.add_argument("--all", action="store_true", help="include past invitations")
    status.add_argument(
        "-n", type=values.count, metavar="N", dest="limit", help="with --all: the newest N of them"
    )
    drawn = status.add_mutually_exclusive_group()
    drawn.add_argument("--watch", action="store_true", help="redraw until q or Ctrl-C")
    drawn.add_argument("--line", action="store_true", help="print one short line, for a prompt")


def _inviting(invite: argparse.ArgumentParser) -> None:
    _live(invite.add_argument("guests", nargs="+", type=values.guest, metavar="GUEST"))
    invite.add_argument(
        "--ttl", type=guesses.duration, metavar="DURATION", help="how long (default 2h)"
    )
    invite.add_argument("--read-only", action="store_true", help="guests can watch, not type")
    invite.add_argument("--once", action="store_true", help="the first visit is the only one")
    invite.add_argument(
        "--join-within", type=guesses.duration, metavar="DURATION", help="over if nobody has come"
    )
    invite.add_argument(
        "--idle",
        type=guesses.duration,
        metavar="DURATION",
        help="over when nobody types for so long",
    )
    invite.add_argument("--at", type=values.utf8, metavar="TIME", help="no entry before that time")
    invite.add_argument("--ask", action="store_true", help="you approve each visit, in tmux")
    invite.add_argument(
        "--wait", action="store_true", help="with --ask: also while nobody is attached"
    )
    invite.add_argument(
        "--from",
        type=values.guest_address,
        dest="from_address",
        metavar="ADDRESS",
        help="dial the guest at their public address; they need nc",
    )
    apart = invite.add_mutually_exclusive_group()
    apart.add_argument(
        "--account", type=values.utf8, metavar="NAME", help="as this user (pairctl account create)"
    )
    box = apart.add_argument(
        "--box",
        nargs="?",
        const="",
        type=values.utf8,
        metavar="DIR",
        help="share this directory, or DIR, and nothing else of yours",
    )
    box.complete = of_accounts.DIRECTORIES  # type: ignore[attr-defined] # as in _completed
    invite.add_argument("--port", type=values.port, help="external port to request (default 22)")
    invite.add_argument("--show", action="store_true", help="print a live guest's command again")
    handed = invite.add_mutually_exclusive_group()
    handed.add_argument("--message", action="store_true", help="print a message for the guest")
    handed.add_argument(
        "--pinned", action="store_true", help="print the command that checks the host key"
    )
    handed.add_argument(
        "--ssh-config", action="store_true", help="print a block for the guest's ~/.ssh/config"
    )
    invite.add_argument(
        "-a", "--attach", action=argparse.BooleanOptionalAction, help="then enter the session"
    )
    invite.add_argument("-q", "--quiet", action="store_true", help="print only what the guest gets")
    invite.add_argument("--no-copy", action="store_true", help="do not use the clipboard")


def _doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("--router", action="store_true", help="open a test port, too")
    doctor.add_argument("--fix", action="store_true", help="fix what is safe to fix")
    doctor.add_argument("--verbose", action="store_true", help="print the messages to the router")
    doctor.add_argument(
        "--outside",
        type=values.url,
        metavar="URL",
        help="ask a port checker to connect to the door",
    )


def _live(guest: argparse.Action) -> None:
    """Complete live guests, and for `invite` a path after `file:`."""
    _completed(guest, "_pairctl_guests")


def _completed(argument: argparse.Action, function: str) -> None:
    """Complete by a `function` of the completion scripts."""
    completer = dict.fromkeys(_SHELLS, function) | {"fish": f"({function})"}
    argument.complete = completer  # type: ignore[attr-defined] # where shtab looks for it
