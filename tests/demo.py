"""`make demo`: one whole session on this machine alone, told step by step."""

from __future__ import annotations

import sys
import time

from tests.stage import Stage, is_open, until


def main() -> int:
    started = time.monotonic()

    def say(text: str = "") -> None:
        print(f"{time.monotonic() - started:5.1f} s  {text}" if text else "", flush=True)

    say("A host, a forge and a home router, all on this machine. No internet is used.")
    with Stage() as stage:
        guest = stage.guest("octocat")
        port = stage.external_port
        say(f"octocat has published a key on the forge. The router's port {port} is closed:")
        show(f"$ nc -z router {port}: {'open' if is_open(port) else 'closed'}")

        say("The host invites octocat:")
        command = f"pairctl invite octocat --ttl 2h --port {port}"
        invited = stage.pairctl(*command.split()[1:], "--no-copy", check=False)
        show(f"$ {command}", invited.stderr, invited.stdout)
        if invited.returncode:
            return 1
        show(f"$ nc -z router {port}: {'open' if is_open(port) else 'closed'}")

        say("octocat types that command (on this machine 127.0.0.1 stands for the router):")
        screen = guest.joins(lines=6)
        screen.shows("[pairing]")
        screen.types("echo 'hello from' octocat")
        screen.shows("\nhello from octocat")
        show(screen.screen().rstrip())

        say("What the host sees:")
        show("$ pairctl status", stage.pairctl("status").stdout)

        say(
            "The host has to go earlier, and moves the deadline (--until) to a few seconds from now."
        )
        stage.expires_soon("octocat")
        say("Nobody does anything; the clock runs out.")
        status = screen.ended()
        until(lambda: not stage.mappings(), "the router's table is empty")
        show(screen.screen().rstrip(), f"(octocat's ssh has ended, exit status {status})")
        show(f"$ nc -z router {port}: {'open' if is_open(port) else 'closed'}")
        show("$ pairctl receipt", stage.pairctl("receipt").stdout)

        say("The tmux session has survived, with the host's work in it:")
        show("$ pairctl status", stage.pairctl("status").stdout)
        show("$ pairctl stop", stage.pairctl("stop").stdout)
    say("Everything is closed and cleaned up.")
    return 0


def show(*texts: str) -> None:
    for text in texts:
        for line in text.splitlines():
            print(f"         {line}".rstrip())
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
