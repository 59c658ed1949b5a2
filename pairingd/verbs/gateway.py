from __future__ import annotations

from pairingd.protocol import params, results
from pairingd.replies import answers
from pairingd.replies.parts import Notify, Parts
from pairingd.replies.waits import wait_for_router
from pairingd.world.gateway.refusals import search_unwanted


async def run(parts: Parts, given: params.Gateway, notify: Notify) -> results.Gateway:
    """Use the client's search: macOS may deny the daemon the search but not the gateway itself."""
    if not parts.mapping.enabled:
        raise search_unwanted()
    network = await parts.mapping.look_around()
    if network and network.gateway:
        await parts.router.learn(network, given.description_urls)
    await wait_for_router(parts, notify, again=True)
    return {"mapping": answers.mapping(parts)}
