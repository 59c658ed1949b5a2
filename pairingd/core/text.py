"""Text of others, made fit for a terminal: nothing is left in it that one would act on."""

from __future__ import annotations

_MAX_QUOTED = 80  # characters


def printable(text: str) -> str:
    """`text` with a sign in the place of every character that cannot be printed."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def for_terminal(text: str) -> str:
    """`text` on one line, free of control and format characters; what is long stays long."""
    if text.isprintable():
        return text
    spaced = (" " if c.isspace() else c for c in text)
    return "".join(c for c in spaced if c.isprintable())


def quoted(text: str) -> str:
    """What somebody wrote, told back to them: in quotes, escaped, and not at any length."""
    shown = text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 1]}…"
    return repr(shown)


def shell(*words: str) -> str:
    """A command to print: a POSIX shell makes exactly these words of it, and zsh, too, which takes
    `=name` for the path of a command (zshexpn(1), `=` expansion).
    """
    import shlex  # late: most starts of `pairctl` print no command

    return " ".join(f"'{word}'" if _is_zsh_name(word) else shlex.quote(word) for word in words)


def _is_zsh_name(word: str) -> bool:
    return word.startswith("=") and "'" not in word


def one_line(text: str, limit: int) -> str:
    """Printable characters, single spaces, at most `limit` of both."""
    seen = "".join(c if c.isprintable() else " " for c in text[: 16 * limit])
    return " ".join(seen.split())[:limit].rstrip()
