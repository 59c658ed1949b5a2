"""The order of a command's words: options may stand between operands, as with GNU's getopt_long(3).

argparse fills all operands from the first run of words that are none of an option's, and rejects
those of a later run. Pure, but for the directories that `--box` may name.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Action
    from collections.abc import Mapping, Sequence


def options_first(words: Sequence[str], known: Mapping[str, Action]) -> list[str]:
    """The words after a command: its options and their values, `--`, and all operands."""
    options: list[str] = []
    operands: list[str] = []
    end = len(before_dashes(words))
    at = 0
    while at < end:
        word, following = words[at], words[at + 1 : end][:1]
        at += 1
        if word == "--box" and not any(map(_is_directory, following)):
            options.append("--box=")  # a word after it that names no directory is a guest
        elif not is_option(word):
            operands.append(word)
        elif _takes_value(word, known):
            options += [word, *following]
            at += 1
        else:
            options.append(word)
    operands += words[end + 1 :]
    return [*options, "--", *operands] if operands else options


def before_dashes(words: Sequence[str]) -> Sequence[str]:
    """The words before `--`; after it, none is an option."""
    return words[: words.index("--")] if "--" in words else words


def is_option(word: str) -> bool:
    """No option begins with a digit: -5m is a duration, and is rejected as one."""
    return re.match(r"-[^\d]", word) is not None


def _takes_value(word: str, known: Mapping[str, Action]) -> bool:
    """Whether its value is the next word: `-n 3` and `-fn 3`, but not `-n3` and `--ttl=2h`."""
    option = known.get(word if word.startswith("--") else f"-{word[-1]}")
    return option is not None and option.nargs != 0


def _is_directory(word: str) -> bool:
    return not is_option(word) and ("/" in word or os.path.isdir(word))  # noqa: PTH112
