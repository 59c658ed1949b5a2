"""OpenSSH's server, one process per connection.

own.py      run as we are
account.py  run as the account of a session, where it has one
serving.py  the process that serves a connection, and signals to it
log.py      what it logs, as far as that concerns us
policy.py   the algorithms that it offers
"""

from pairingd.world.sshd.account import Sshds
from pairingd.world.sshd.own import ZULU_SINCE, HostKey, Sshd
from pairingd.world.sshd.serving import Announcement, Reach

__all__ = [
    "ZULU_SINCE",
    "Announcement",
    "HostKey",
    "Reach",
    "Sshd",
    "Sshds",
]
