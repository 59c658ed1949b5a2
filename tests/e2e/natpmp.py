"""A home router that speaks NAT-PMP (RFC 6886) and forwards by nftables, whatever its own address
is: miniupnpd forwards nothing behind a provider's.

    python -m tests.e2e.natpmp EXTERNAL_ADDRESS     as root, in the router's namespace
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time

PORT = 5351
TABLE = """
table ip natpmp {
  map forwards { type inet_service : ipv4_addr . inet_service; flags timeout; }
  chain prerouting {
    type nat hook prerouting priority -100;
    iifname "wan0" dnat ip to tcp dport map @forwards
  }
}
"""


def nft(text: str) -> int:
    return subprocess.run(["nft", "-f", "-"], input=text, text=True, check=False).returncode


def answer(request: bytes, client: str, external: str, begun: float) -> bytes:
    epoch = int(time.monotonic() - begun)
    if len(request) == 2 and request == b"\0\0":
        return struct.pack(">BBHI4s", 0, 128, 0, epoch, socket.inet_aton(external))
    if len(request) != 12 or request[:2] != b"\0\2":
        return struct.pack(">BBHI", 0, 128 + request[1], 1, epoch)
    internal, port, seconds = struct.unpack(">HHI", request[4:])
    if not seconds:
        nft("flush map ip natpmp forwards")
        return struct.pack(">BBHIHHI", 0, 130, 0, epoch, internal, 0, 0)
    nft(f"destroy element ip natpmp forwards {{ {port} }}")
    nft(f"add element ip natpmp forwards {{ {port} timeout {seconds}s : {client} . {internal} }}")
    return struct.pack(">BBHIHHI", 0, 130, 0, epoch, internal, port, seconds)


def main(external: str) -> None:
    if nft(TABLE):
        raise SystemExit("no table")
    begun = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", PORT))
        while True:
            request, client = server.recvfrom(64)
            if len(request) >= 2:
                server.sendto(answer(request, client[0], external, begun), client)


if __name__ == "__main__":
    main(sys.argv[1])
