"""Where guests' keys come from: forges, URLs, files, or the invitation itself.

Every server counts as hostile: time, size and redirects are bounded, and its text reaches a message
only as printable characters.

    providers     a guest to their keys: which of the sources below, and several at once
    forge         https and loopback: one GET, its redirects, its limits
    replies       what an answer other than 200 means; the Date of any answer
    unreachable   why there was no answer, and whose fault that is
    proxies       which proxy leads to a host: the environment, System Settings, NO_PROXY
    key_file      file:
    key_list      the bytes of any of them to keys and warnings
"""

from pairingd.world.identity.forge import MAX_REDIRECTS
from pairingd.world.identity.key_list import MAX_BYTES, Fetched
from pairingd.world.identity.providers import IdentityProviders
from pairingd.world.identity.replies import clock_problem, retry_after

__all__ = [
    "MAX_BYTES",
    "MAX_REDIRECTS",
    "Fetched",
    "IdentityProviders",
    "clock_problem",
    "retry_after",
]
