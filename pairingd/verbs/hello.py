from __future__ import annotations

import os

import pairingd
from pairingd.protocol import params, results, wire
from pairingd.replies import report
from pairingd.replies.parts import Parts


async def run(parts: Parts, _: params.Hello) -> results.Hello:
    """The client compares the versions: the daemon cannot replace a client."""
    return {
        "version": pairingd.__version__,
        "protocol": wire.PROTOCOL,
        "pid": os.getpid(),
        "session": parts.tmux.session,
        "tmux": parts.tmux.command,
        "tmux_socket": str(parts.tmux.socket),
        "attach": parts.settings.config.host.attach,
        "ask": parts.settings.config.guests.ask,
        "box": report.box_settings(parts.settings.config.box),
        "boxed": report.box(parts.tmux.box).get("box"),
        "account": parts.settings.config.guests.account,
        "as_account": report.as_account(parts.tmux.box),
    }
