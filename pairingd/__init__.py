"""The daemon that owns a pairing session: keys, door, connections and mapping."""

__version__ = "0.1.0"
