"""The third lock: the listener that guests reach, and the connections it let in.

The daemon accepts; an sshd of its own serves each connection. So the daemon knows every
connection's process, peer and log, and can end it whatever its owner does.

    events       what happens at the door, for the access lane
    door         the listener; all of it joined
    listener     the socket that is listened on, and the descriptors it may use
    lobby        accepted sockets until they get an sshd or go (the law is core.admission)
    farewell     the message that a refused client gets
    connections  those that have an sshd
    progress     how far a login is, by what the kernel knows of its socket
    guard        the guardian, kept at hand: it ends what this process cannot
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
    Reached,
    Refused,
    TurnedAway,
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
    "Reached",
    "Refused",
    "TurnedAway",
]
