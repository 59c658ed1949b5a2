"""The shared tmux session, observed and steered, never started and never killed.

tmux          questions and orders to its server
observer      a client in control mode: what happens there, without polling
control       questions and answers on its connection
ownership     which client is whose, by its process
status_right  what its status line says of the guests
"""

from pairingd.world.tmux.observer import Observer
from pairingd.world.tmux.ownership import Owner, Ownership
from pairingd.world.tmux.status_right import StatusRight
from pairingd.world.tmux.tmux import Running, Tmux

__all__ = ["Observer", "Owner", "Ownership", "Running", "StatusRight", "Tmux"]
