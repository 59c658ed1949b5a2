"""How long a verb waits for the router and the other ways in; the lanes work on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence

from pairingd import answers
from pairingd.parts import Notify, Parts
from pairingd.reconcile.lane import Lane

WAYS_TIMEOUT_S = 12.0  # of which all but what the router has taken is
LOOK_TIMEOUT_S = 5.0  # at most for a look from elsewhere
OTHER_WAYS_TIMEOUT_S = 8.0  # at most for IPv6 or a relay, where the router has not helped
NAME_TIMEOUT_S = 5.0  # for it to be resolved, and updated
CLOSING_TIMEOUT_S = 2.0


async def wait_for_ways(parts: Parts, notify: Notify) -> None:
    """Until guests can enter as well as they ever will, as far as that can be awaited."""
    now = asyncio.get_running_loop().time
    until = now() + WAYS_TIMEOUT_S
    await wait_for_router(parts, notify)
    if parts.dial.needed:
        await _gather([parts.dial.ready()], until - now())
    await _wait_for_other_ways(parts, min(until - now(), OTHER_WAYS_TIMEOUT_S))
    await _wait_for_name(parts, min(until - now(), NAME_TIMEOUT_S))
    if parts.lookout.needed and not (parts.lookout.outside or parts.lookout.error):
        await _settle([parts.lookout], min(until - now(), LOOK_TIMEOUT_S))


async def wait_for_router(parts: Parts, notify: Notify, *, again: bool = False) -> None:
    """Until it has answered, or failed. `again`: ask it also where it has done so before."""
    lane = parts.mapping
    if not lane.needed:
        return
    notify({"step": "router", "state": "begun", "text": "asking the router"})
    try:
        async with asyncio.timeout(WAYS_TIMEOUT_S):
            # What is known of this door's mapping holds for the next guest, too; a router
            # that failed is asked again in the background, unless it is worth it now.
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
    """They have begun when the door opened; without the router they are worth a moment more."""
    if answers.ways(parts).reachability(parts.mapping.error) == "internet":
        return
    until = asyncio.get_running_loop().time() + timeout_s
    begun: list[Coroutine[None, None, None]] = []
    begun += [
        lane.settle()
        for lane in (parts.second, parts.pinhole)
        if lane.needed and not (lane.current or lane.error)
    ]
    if parts.relay.needed and not (parts.relay.current or parts.relay.error):
        begun.append(parts.relay.settle())
    await _gather(begun, timeout_s)
    if parts.hole.needed:  # not before the second router has refused
        await _gather([parts.hole.ready()], until - asyncio.get_running_loop().time())


async def wait_for_closing(parts: Parts) -> None:
    """They lead to a shut door by now, so a slow router is not worth a longer wait."""
    _, *others = parts.lanes
    await _settle(others, CLOSING_TIMEOUT_S)


async def _settle(lanes: Sequence[Lane], seconds: float) -> None:
    await _gather([lane.settle() for lane in lanes], seconds)


async def _gather(waits: list[Coroutine[None, None, None]], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*waits)
