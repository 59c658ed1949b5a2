"""Observes and steers the shared tmux session; never starts or kills it.

tmux          commands to its server
observer      a client in control mode: what happens there, without polling
control       commands and answers on its connection
ownership     which connection each client belongs to, by its process
status_right  what its status line shows of the guests
"""

from pairingd.world.tmux.observer import Observer
from pairingd.world.tmux.ownership import Owner, Ownership, living
from pairingd.world.tmux.status_right import StatusRight
from pairingd.world.tmux.tmux import Running, Tmux

__all__ = ["Observer", "Owner", "Ownership", "Running", "StatusRight", "Tmux", "living"]
