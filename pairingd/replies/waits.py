"""Waits a limited time for the router and the other endpoints; the lanes work on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence

from pairingd.reconcile.lane import Lane
from pairingd.replies import answers
from pairingd.replies.parts import Notify, Parts

WAYS_TIMEOUT_S = 11.0  # for the router, and what it leaves for the others
LOOK_TIMEOUT_S = 5.0  # at most for the lookout
OTHER_WAYS_TIMEOUT_S = 8.0  # at most for IPv6 or a relay, if the router has not helped
NAME_TIMEOUT_S = 5.0  # to resolve and update the host name
CLOSING_TIMEOUT_S = 2.0
TMUX_TIMEOUT_S = 3.0  # what is closed does not depend on it


async def wait_for_ways(parts: Parts, notify: Notify) -> None:
    """Wait until all endpoints are open or have failed, within the time limits."""
    now = asyncio.get_running_loop().time
    deadline = now() + WAYS_TIMEOUT_S
    await wait_for_router(parts, notify)
    if parts.dial.needed:
        await _gather([parts.dial.ready()], deadline - now())
    await _wait_for_other_ways(parts, min(deadline - now(), OTHER_WAYS_TIMEOUT_S))
    await _wait_for_name(parts, min(deadline - now(), NAME_TIMEOUT_S))
    if parts.lookout.awaited and not (parts.lookout.outside or parts.lookout.error):
        await _settle([parts.lookout], min(deadline - now(), LOOK_TIMEOUT_S))


async def wait_for_router(parts: Parts, notify: Notify, *, again: bool = False) -> None:
    """Wait until it has answered, or failed. `again`: ask it even if it has answered before."""
    lane = parts.mapping
    if not lane.needed:
        return
    notify({"step": "router", "state": "begun", "text": "asking the router"})
    try:
        async with asyncio.timeout(WAYS_TIMEOUT_S):
            # This door's mapping serves the next guest, too. If the router has
            # failed, the lane retries in the background, unless `again`.
            if again or not (lane.current or lane.error):
                await lane.settle()
    except TimeoutError:
        notify({"step": "router", "state": "failed", "text": "the router is slow"})
        return
    held = lane.current
    if held:
        text = f"forwards port {held.external_port}"
        notify({"step": "router", "state": "done", "text": text})
    elif lane.error:
        notify({"step": "router", "state": "failed", "text": lane.error.message})


async def _wait_for_name(parts: Parts, timeout_s: float) -> None:
    if parts.hostname.needed and not (parts.hostname.name and parts.hostname.name.leads_here):
        await _settle([parts.hostname], timeout_s)


async def _wait_for_other_ways(parts: Parts, timeout_s: float) -> None:
    """Wait for the lanes that began when the door opened, if the router does not suffice."""
    if answers.ways(parts).reachability(parts.mapping.error) == "internet":
        return
    deadline = asyncio.get_running_loop().time() + timeout_s
    settling: list[Coroutine[None, None, object]] = []
    settling += [
        lane.settle()
        for lane in (parts.second, parts.pinhole)
        if lane.needed and not (lane.current or lane.error)
    ]
    if parts.relay.opening:
        settling.append(parts.relay.settle())
    await _gather(settling, timeout_s)
    if parts.hole.needed:  # not before the second router has refused
        await _gather([parts.hole.ready()], deadline - asyncio.get_running_loop().time())


async def wait_for_closing(parts: Parts) -> None:
    """Wait at most CLOSING_TIMEOUT_S: the mappings lead to a closed door by now."""
    _, *others = parts.lanes
    await _settle(others, CLOSING_TIMEOUT_S)


async def _settle(lanes: Sequence[Lane], seconds: float) -> None:
    await _gather([lane.settle() for lane in lanes], seconds)


async def _gather(waits: list[Coroutine[None, None, object]], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*waits)
