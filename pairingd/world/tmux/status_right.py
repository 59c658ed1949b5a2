"""The shared session's own `status-right`, extended and given back.

The user's value is kept in user options of the session (tmux(1), OPTIONS), copied within tmux, so
that no byte of it passes another program. A daemon that is killed leaves it there for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from pairingd.core.news import NEWS, PERCENT
from pairingd.core.statusline import (
    LINE,
    MAX_RIGHT,
    THEIRS,
    WIDTHS,
    OptionValues,
    status_right,
)
from pairingd.core.tmux_words import argument
from pairingd.errors import WorldError

_SET = "@pairing-set-"  # and the option's name: what we have set it to
_WAS_OWN = "@pairing-was-own-"  # the session had its own value
_KEPT = {"status-right": THEIRS, "status-right-length": "@pairing-theirs-length"}
_NEXT = "[pairing: the next value]"
_DEFAULT_LENGTH = 40  # tmux's
_SHOWN = "#{status} #{m:*status-right*,#{status-format[0]}}"

Command = tuple[str, ...]


class _Look(Struct, frozen=True):
    right: OptionValues
    length: OptionValues
    kept: tuple[str, str]  # of both, what our status line shows as the user's
    shown: bool


class StatusRight:
    """Of the session at `target`. `ask` runs tmux commands and returns what they print; it raises
    WorldError.
    """

    def __init__(self, ask: Callable[..., Awaitable[str]], target: str) -> None:
        self.target = target
        self._ask = ask
        self._session_target = f"{target}:"
        self._done: object = None

    async def extend(self, lines: Mapping[str, str], news: str) -> bool:
        """Show them beside what the user has there now. Returns whether the session has a status
        line that shows it; one that is off stays off. Raises WorldError.
        """
        look = await self._look()
        own_value = status_right(_columns(look.length))
        length = str(MAX_RIGHT + 1 + _columns(look.length))
        shown = (own_value, length, dict(lines), news)
        state = (shown, look)
        if state == self._done:
            return look.shown
        commands = [
            *self._extended("status-right", look.right, look.kept[0], own_value),
            *self._extended("status-right-length", look.length, look.kept[1], length),
            *(self._set(f"{LINE}{size}", text) for size, text in lines.items()),
            self._set(PERCENT, "%"),
            self._set(NEWS, news),
        ]
        await self._run(commands)
        self._done = (shown, await self._look())
        return look.shown

    async def give_back(self) -> None:
        """Restore the user's own, and remove all of ours. Raises WorldError."""
        look = await self._look()
        commands = [
            *self._given_back("status-right", look.right),
            *self._given_back("status-right-length", look.length),
        ]
        if commands:
            options = [*(f"{LINE}{size}" for size in WIDTHS), PERCENT, NEWS]
            await self._run([*commands, *map(self._unset, options)])
        self._done = None

    def _extended(
        self, name: str, option: OptionValues, shown: str, own_value: str
    ) -> list[Command]:
        user_value = option.for_all if option.saved is None else option.saved
        if option.own == option.set_to == own_value and shown == user_value:
            return []  # so that it overwrites nothing that the user sets meanwhile
        users, kept = option.users(), _KEPT[name]
        commands = []
        if users is None:
            commands += [self._unset(name), self._copy(name, kept), self._unset(_WAS_OWN + name)]
        elif option.own != option.set_to:
            same = users == option.own
            commands.append(self._copy(name, kept) if same else self._set(kept, users))
            commands.append(self._set(_WAS_OWN + name, "1"))
        return [*commands, self._set(name, own_value), self._set(_SET + name, own_value)]

    def _given_back(self, name: str, option: OptionValues) -> list[Command]:
        if not option.set_to:
            return []
        users = option.users()
        commands = []
        if users is None:
            commands.append(self._unset(name))
        elif option.own == option.set_to:
            commands.append(self._copy(_KEPT[name], name))
        elif option.own != users:
            commands.append(self._set(name, users))
        return [*commands, *map(self._unset, (_KEPT[name], _WAS_OWN + name, _SET + name))]

    async def _look(self) -> _Look:
        commands: list[Command] = []
        for name, kept in _KEPT.items():
            commands += [
                ("show-options", "-t", self._session_target, name),
                ("show-options", "-v", "-t", self._session_target, name),
                ("show-options", "-gv", name),
                ("show-options", "-qv", "-t", self._session_target, _SET + name),
                ("show-options", "-qv", "-t", self._session_target, _WAS_OWN + name),
                ("show-options", "-qv", "-t", self._session_target, kept),
            ]
        commands.append(("display-message", "-p", "-t", self._session_target, _SHOWN))
        output = await self._run(
            [step for command in commands for step in (command, ("display-message", "-p", _NEXT))]
        )
        values = [value.removesuffix("\n") for value in output.split(f"{_NEXT}\n")]
        if len(values) <= len(commands):
            raise WorldError(
                "tmux-failed",
                "tmux does not answer as tmux does",
                "pairctl status shows whether the session runs",
            )
        status, _, has_right = values[12].partition(" ")
        return _Look(
            right=_option(*values[:6]),
            length=_option(*values[6:12]),
            kept=(values[5], values[11]),
            shown=status != "off" and has_right == "1",
        )

    async def _run(self, commands: list[Command]) -> str:
        argv = [word for command in commands for word in (*command, ";")][:-1]
        return await self._ask(*argv)

    def _set(self, name: str, value: str) -> Command:
        return "set-option", "-t", self._session_target, name, argument(value)

    def _copy(self, source: str, name: str) -> Command:
        """A format yields an option's value unchanged."""
        return "set-option", "-F", "-t", self._session_target, name, f"#{{{source}}}"

    def _unset(self, name: str) -> Command:
        return "set-option", "-u", "-t", self._session_target, name


def _columns(length: OptionValues) -> int:
    """The length of the user's part."""
    users = length.users()
    text = length.for_all if users is None else users
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else _DEFAULT_LENGTH


def _option(
    own: str, value: str, for_all: str, set_to: str, was_own: str, kept: str
) -> OptionValues:
    return OptionValues(value if own else None, for_all, set_to, kept if was_own else None)
