"""The third lock: the listener that guests reach, and the connections it let in.

The daemon accepts; an sshd of its own serves each connection. So the daemon knows every
connection's process, peer and log, and can end it whatever its owner does.

    listener     the socket that is listened on, and the descriptors it may use
    lobby        accepted sockets until they get an sshd or go (the law is core.admission)
    farewell     what a refused client is told
    progress     how far a login is, by what the kernel knows of its socket
    connection   one that has an sshd
    guard        the guardian, kept at hand: it ends what this process cannot
    guardian     the program itself
    door         all of it
"""

from pairingd.world.door.connection import Connection, Watcher
from pairingd.world.door.door import Door

__all__ = ["Connection", "Door", "Watcher"]
