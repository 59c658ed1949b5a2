from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pairingd
from pairingd.core.durations import utc
from pairingd.core.model import Invitation
from pairingd.errors import Misconfigured, PairingError, WorldError
from pairingd.protocol import params, results
from pairingd.replies import advisor, answers, report
from pairingd.replies.parts import Parts
from pairingd.replies.waits import TMUX_TIMEOUT_S
from pairingd.world.tmux import Running, Tmux


async def run(parts: Parts, given: params.Status) -> results.Status:
    listed: Sequence[Invitation] = parts.intent.state.live
    if given.all:
        listed = await _newest(parts, given.limit)
    session = parts.intent.state.session
    state, clients = await _observe(parts.tmux)
    running = state is Running.YES
    port = parts.door.port
    warnings = answers.warnings(parts)
    if state is Running.UNKNOWN:
        _add(warnings, parts.tmux.unknown())
    if port is None:
        warnings += answers.unclosed_mappings(parts)
    if running and parts.intent.state.live:
        warnings += await answers.dead_pane(parts)
    try:
        endpoints = await answers.endpoints(parts)
    except (Misconfigured, WorldError) as unknown:
        endpoints = []
        _add(warnings, unknown)
    if warning := advisor.unverified(parts):
        warnings.append(report.problem(warning))
    knocks = [
        report.knock(knock, parts.door.ban(knock.peer)) for knock in parts.access.knocks.of_now
    ]
    knocking: results.Knocking = {"knocking": knocks} if knocks else {}
    return {
        **knocking,
        **answers.second_mapping(parts),
        "daemon": {
            "version": pairingd.__version__,
            "pid": os.getpid(),
            "started_at": utc(parts.started_at),
        },
        "session": {
            "id": session.id if session and session.live else None,
            # Once it has ended, the next one gets the configured name.
            "name": parts.tmux.session if state is Running.NO else parts.tmux.name,
            "socket": str(parts.tmux.socket),
            "running": running,
            "clients": clients,
            "confinement": report.confinement(parts.tmux.box),
            **report.box(parts.tmux.box),
        },
        "invitations": [
            report.invitation(invitation, parts.access.logins, parts.clock())
            async for invitation in answers.paced(listed)
        ],
        "door": {"open": port is not None, "port": port},
        "mapping": answers.mapping(parts),
        "endpoints": endpoints,
        "warnings": warnings,
    }


def _add(warnings: list[results.Problem], error: PairingError) -> None:
    if (problem := report.problem(error)) not in warnings:
        warnings.append(problem)


async def _newest(parts: Parts, limit: int) -> list[Invitation]:
    """Return the newest invitations, past ones too, oldest first."""
    newest: list[Invitation] = []
    async for session in answers.sessions(parts.store):
        newest[:0] = session.invitations
        if len(newest) >= limit:
            break
    return newest[-limit:]


async def _observe(tmux: Tmux) -> tuple[Running, int]:
    """Whether the session runs, and how many terminals are in it. Unknown if tmux does not say."""
    try:
        async with asyncio.timeout(TMUX_TIMEOUT_S):
            state = await tmux.running()
            return state, len(await tmux.terminals()) if state is Running.YES else 0
    except (TimeoutError, WorldError):
        return Running.UNKNOWN, 0
