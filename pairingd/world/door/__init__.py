"""The third lock: the listener that guests reach, and the connections it let in.

The daemon accepts; an sshd of its own serves each connection. So the daemon knows every
connection's process, peer and log, and can end it whatever its owner does.

    events       what happens at the door, for the access lane
    door         the listener; joins the parts
    listener     the listening socket, and the descriptors it may use
    lobby        accepted sockets until they get an sshd or go (rules: core.admission)
    farewell     the message that a refused client gets
    connections  those that have an sshd
    progress     how far a login is, by the kernel's data on its socket
    guard        keeps the guardian running, which ends what this process cannot
    guardian     the program itself
"""

from pairingd.world.door.connections import Connections
from pairingd.world.door.door import Door
from pairingd.world.door.events import (
    Authenticated,
    Connected,
    Disconnected,
    Event,
    Events,
    LoginRefused,
    PeerEvent,
    Reached,
    TurnedAway,
    Unjournaled,
)
from pairingd.world.door.lobby import Arrival

__all__ = [
    "Arrival",
    "Authenticated",
    "Connected",
    "Connections",
    "Disconnected",
    "Door",
    "Event",
    "Events",
    "LoginRefused",
    "PeerEvent",
    "Reached",
    "TurnedAway",
    "Unjournaled",
]
