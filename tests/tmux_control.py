"""Commands to a tmux server over one connection, instead of a program for each.

A test that waits for something on a screen looks at it again and again.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence

# Of a host's tmux.conf. A tmux that was held up reads keys all at once, which are a paste to it, in
# which no key is bound, whoever of the session's clients typed them.
NO_PASTE = "set -g assume-paste-time 0"


class Control:
    """A client in control mode (tmux(1), CONTROL MODE). It has no size, so the session keeps its
    own. `prefix` gets a program to where the server is.
    """

    def __init__(
        self, socket: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self._tmux = (*prefix, "tmux", "-u", "-S", socket)
        self._environment = environment
        attach = ("attach-session", "-f", "no-output,ignore-size")
        self._client = subprocess.Popen(
            [*self._tmux, "-C", *attach],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._reply()

    def run(self, *words: str) -> str:
        """What the command prints. `words` have no line breaks. AssertionError if it fails."""
        assert self._client.stdin
        self._client.stdin.write(shlex.join(words) + "\n")
        self._client.stdin.flush()
        return self._reply()

    def send_keys(self, *words: str) -> None:
        """By a program each time, so that they hardly come at once: NO_PASTE."""
        subprocess.run([*self._tmux, "send-keys", *words], env=self._environment, check=True)

    def close(self) -> None:
        """Also where the server has gone."""
        self._client.kill()
        self._client.communicate()

    def _reply(self) -> str:
        """The lines of the next reply; notifications are between replies."""
        assert self._client.stdout
        lines: list[str] = []
        ends: tuple[str, ...] = ()
        for line in self._client.stdout:
            kind, _, number = line.partition(" ")
            if not ends:
                if kind == "%begin":
                    ends = f"%end {number}", f"%error {number}"
            elif line in ends:
                reply = "".join(lines)
                assert kind == "%end", reply
                return reply
            else:
                lines.append(line)
        raise AssertionError(f"tmux has gone: {''.join(lines)}")
