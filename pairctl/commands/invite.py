"""`pairctl invite`: the daemon, the session, the invitation, the clipboard."""

from __future__ import annotations

import contextlib
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pairctl import clipboard
from pairctl.commands.attach import enter
from pairctl.control import daemon
from pairctl.control.client import connect
from pairctl.failures import Interrupted, NoDaemon, Usage
from pairctl.interrupts import as_keyboard_interrupt
from pairctl.text import output, render
from pairctl.text.handout import form_of, handout
from pairctl.text.progress import Steps
from pairctl.tmux.session import Session, require_terminal, way_out
from pairingd.core.durations import require_ahead
from pairingd.core.refusal import PairingError
from pairingd.core.text import shell

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from pairctl.control.client import Client
    from pairingd.protocol.results import Hello, Invited

_MAX_TRIES, _RETRY_INTERVAL_S = 3, 0.3  # to invite into a session that lasts


def run(args: Namespace) -> int:
    """Tmux's exit status if it attaches to the session, else 0."""
    if args.show:
        _tell(_show(args), args)
        return 0
    _require_sense(args)
    with as_keyboard_interrupt():
        reply, session = _invite(args)
        try:
            if session.made and not (args.json or args.quiet):
                _mention_box(reply, session)  # first: the guest's command is the last line
            _tell(reply, args)
        except KeyboardInterrupt:
            raise _holds(reply) from None
    return enter(session) if args.attach and not session.is_here() else 0


def _require_sense(args: Namespace) -> None:
    """Raise now what would otherwise fail after a daemon is started or the guests are invited."""
    if args.attach and args.json:
        raise Usage("usage", "--attach and --json exclude each other", "leave one of them out")
    if args.attach:
        require_terminal()
    if args.at and form_of(args) != "command":
        option = form_of(args).replace("_", "-")
        raise Usage(
            "usage",
            f"--{option} needs the command, which is known only when the invitation opens",
            f"leave it out; then: {shell('pairctl', 'invite', '--show', *args.guests[:1])} "
            f"--{option}",
        )
    if args.at:
        from pairctl.text.times import seconds  # late: most invitations open at once

        require_ahead(seconds(args.at), time.time())


def _require_approval(args: Namespace, hello: Hello) -> None:
    """Refuse --wait without approval: it would let guests in who should ask."""
    if args.wait and not args.ask and not hello.get("ask", False):
        raise Usage(
            "wait-without-ask",
            "--wait needs --ask: without it guests enter without your approval",
            "add --ask, or leave --wait out",
        )


def _attaches(args: Namespace, hello: Hello) -> bool:
    """From the option; else from the configuration, if a person at a terminal reads the output."""
    if args.attach is not None:
        return bool(args.attach)
    reads = not (args.json or args.quiet) and sys.stdin.isatty() and sys.stdout.isatty()
    return reads and hello.get("attach", False)


def _tell(reply: Invited, args: Namespace) -> None:
    if not reply["command"]:
        _tell_scheduled(reply, args)
        return
    handed = handout(reply, form_of(args), output.View.of(sys.stdout))
    copied = "" if args.no_copy else clipboard.copy(handed)
    if args.json:
        output.document(reply)
    elif args.quiet:
        for warning in reply["warnings"]:
            output.problem("warning", warning["message"], warning["hint"])
        output.write(handed)
    else:
        draw = partial(render.invited, handed=handed, copied=copied)
        output.result(reply, draw, as_json=False)


def _mention_box(reply: Invited, session: Session) -> None:
    """Hint at --box, once a session, on a terminal, if there is a write guest and this machine can
    make a box.
    """
    writes = any(invitation["access"] == "write" for invitation in reply["invitations"])
    if not writes or "box" in reply or "account" in reply or not sys.stderr.isatty():
        return
    from pairctl.tmux import box  # late: it loads more than other invitations need

    if session.box_settings and box.can_be_made(session.box_settings["network"]):
        output.message("hint: --box shares one directory, and nothing else of yours")


def _tell_scheduled(reply: Invited, args: Namespace) -> None:
    """Report an invitation that has no command yet."""
    if form_of(args) != "command":
        [invitation] = reply["invitations"]
        raise PairingError(
            "not-open-yet",
            f"{invitation['guest']} may enter later; no command leads in before",
            f"then: {shell('pairctl', 'invite', '--show', invitation['guest'])}",
        )
    if args.quiet and not args.json:
        for line in render.opens_later(reply, output.View.of(sys.stderr)):
            output.message(line)
    else:
        output.result(reply, render.invited, as_json=args.json)


def _show(args: Namespace) -> Any:
    """A live invitation again. Starts neither a daemon nor a session."""
    asks_for_more = len(_params(args)) > 1  # than the guest
    names_a_place = args.box is not None or args.account is not None
    if len(args.guests) > 1 or asks_for_more or names_a_place or args.attach:
        raise Usage(
            "usage",
            "--show takes one guest and changes nothing",
            "pairctl extend and pairctl role change a live invitation",
        )
    with connect() as client, Steps(shown=not args.quiet) as steps:
        return _seen_from_here(client, client.call("show", {"guest": args.guests[0]}), steps)


def _params(args: Namespace) -> dict[str, Any]:
    given = {
        "ttl": args.ttl,
        "access": "read" if args.read_only else None,
        "port": args.port,
        "ask": args.ask,
        "wait": args.wait,
        "once": args.once,
        "join_within": args.join_within,
        "idle": args.idle,
        "at": args.at,
        "from_address": args.from_address,
    }
    named = {name: value for name, value in given.items() if value not in {None, False}}
    return {"guests": args.guests, **named}


def _invite(args: Namespace) -> tuple[Any, Session]:
    params = _params(args)
    with _connect_or_start() as client, Steps(shown=not args.quiet) as steps:
        _require_approval(args, client.hello)
        client.notify("prepare")
        session = _session(client)
        args.attach = _attaches(args, client.hello)
        try:
            reply = _in_a_session(client, session, params, steps, _confinement(args, client.hello))
        except (PairingError, KeyboardInterrupt) as refused:
            if session.made:
                if not _is_silent(refused):
                    _undo(client, session)
                with contextlib.suppress(PairingError):
                    session.settle()
            _explain(refused, client.hello["pid"])
            raise
        try:
            reply = _seen_from_here(client, reply, steps)
        except (Interrupted, KeyboardInterrupt):
            raise _holds(reply) from None
    for warning in session.warnings:
        output.problem("warning", warning.message, warning.hint)
        if args.json:
            reply["warnings"].append(
                {"code": warning.code, "message": warning.message, "hint": warning.hint}
            )
    return reply, session


def _explain(refused: BaseException, daemon: int) -> None:
    """Have the hint of a daemon that reached no forge name what this terminal has and it lacks."""
    if not isinstance(refused, PairingError) or refused.code != "forge-unreachable":
        return
    from pairingd.process import environment  # late, as a forge that answers is the rule

    if other := environment.compared(daemon):
        refused.hint = f"{other.message}: {other.hint}"


def _session(client: Client) -> Session:
    """End a box whose session is over before: a guest can keep its server from ending."""
    session = Session(client.hello)
    if session.known:
        from pairctl.tmux.confined import end_left_over  # late: it loads more
        from pairingd.home.paths import find_paths

        if end_left_over(find_paths().boxes, client.hello["session"]):
            return Session(client.hello_again())
    return session


def _confinement(args: Namespace, hello: Hello) -> Callable[[Session], str] | None:
    """A function that finds or makes the session and returns its id; None for one as the host."""
    if args.box is not None:
        return lambda session: session.require_box(args.box or None, output.message)
    # The configured one is for a session to be made: who is in a box stays there.
    configured = "" if hello.get("boxed") else hello.get("account", "")
    if name := args.account if args.account is not None else configured:
        return lambda session: session.require_account(name, output.message)
    return None


def _in_a_session(
    client: Client,
    session: Session,
    params: dict[str, Any],
    steps: Steps,
    confine: Callable[[Session], str] | None,
) -> Any:
    """The daemon's reply. Makes the session again if it ends meanwhile, as by a `tmux kill-server`
    just before this command.
    """
    for _ in range(_MAX_TRIES):
        if confine:
            params["box"] = _confined(client, session, confine)
        else:
            session.create(output.message)
            if session.program != client.hello["tmux"]:
                params["tmux"] = session.program  # the daemon's PATH may be shorter than the user's
        try:
            reply = client.call("invite", params, progress=steps)
        except (NoDaemon, Interrupted):
            raise
        except PairingError as refused:
            failure = refused
            if session.exists() and refused.code != "no-session":
                raise
            # The daemon first disconnects the guests of the session that has ended.
            time.sleep(_RETRY_INTERVAL_S)
            continue
        try:
            if session.settle():
                return reply
        except KeyboardInterrupt:
            raise _holds(reply) from None
        except PairingError:
            _withdraw(client, reply)
            raise
        _withdraw(client, reply)
        failure = PairingError(
            "no-session",
            "the tmux session ended as soon as it was made, or does not answer",
            way_out(
                session.known, "see the hooks in tmux.conf, and what else ends sessions of tmux"
            ),
        )
    raise failure


def _confined(client: Client, session: Session, confine: Callable[[Session], str]) -> str:
    """The id of the session's box, which two commands at once must not both make."""
    from pairctl.tmux.confined import one_at_a_time  # late: it loads more
    from pairingd.home.paths import find_paths

    with one_at_a_time(find_paths().boxes):
        session.look_again(client.hello_again())
        return confine(session)


def _withdraw(client: Client, reply: Invited) -> None:
    with contextlib.suppress(PairingError):  # invitations end by themselves with the session
        client.call(
            "revoke", {"guests": [invitation["guest"] for invitation in reply["invitations"]]}
        )


def _holds(reply: Invited) -> Interrupted:
    guests = [invitation["guest"] for invitation in reply["invitations"]]
    return Interrupted(
        "not-cancelled",
        f"{', '.join(guests)} can enter already",
        f"to take it back: {shell('pairctl', 'revoke', *guests)}",
    )


def _seen_from_here(client: Client, reply: Invited, steps: Steps) -> Invited:
    if not reply["warnings"]:
        return reply
    from pairctl.control import discovery

    return discovery.in_its_place(client, reply, steps)


def _connect_or_start() -> Client:
    try:
        return connect()
    except NoDaemon:
        output.message("starting pairingd")
        return daemon.start()


def _is_silent(refused: BaseException) -> bool:
    """Whether the daemon is silent: then it is unknown whether a guest is in the session."""
    return isinstance(refused, NoDaemon) or getattr(refused, "code", "") == "cancel-unanswered"


def _undo(client: Client, session: Session) -> None:
    """End the session made for the invitation, unless somebody has attached to it since."""
    with contextlib.suppress(PairingError):  # the refusal is the error to report
        now = client.call("status")
        reported = now["session"]  # not running: or tmux did not answer, and clients are unknown
        if reported["running"] and not reported["clients"] and not now["invitations"]:
            session.kill()
