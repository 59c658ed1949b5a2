"""The frame of the control protocol: JSON-RPC 2.0, one object a line, UTF-8.

Standard library only, and little of it: `pairctl` imports this and must start quickly.
"""

from __future__ import annotations

PROTOCOL = 1
MAX_FRAME = 1 << 20  # bytes of a request, the newline included; a reply may be longer

# JSON-RPC 2.0 §5.1
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Ours: `error.data` is {"code", "message", "hint"} of a PairingError.
REFUSED = -32000
HELLO_FIRST = -32001
