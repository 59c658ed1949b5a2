"""A gateway that speaks PCP and NAT-PMP over real UDP, and lies when it is told to.

It is written from the RFCs on its own, so that it does not share a mistake with the codecs.
`python -m tests.fakes.pxp --port 5351` runs it and prints each change of its mappings as JSON.
"""

import argparse
import asyncio
import ipaddress
import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from msgspec import Struct

Twist = Callable[[bytes, bytes], Sequence[bytes]]
"""From the request and the honest reply to what is sent instead."""


class Held(Struct):
    internal_port: int
    external_port: int
    lifetime: int
    nonce: bytes = b""


def silence(_request: bytes, _reply: bytes) -> Sequence[bytes]:
    return []


def garbage(_request: bytes, _reply: bytes) -> Sequence[bytes]:
    return [b"\xff" * 60, b"", b"\0", b"x" * 1400]


def short(_request: bytes, reply: bytes) -> Sequence[bytes]:
    return [reply[:size] for size in range(0, len(reply), 4)]


def wrong_nonce(_request: bytes, reply: bytes) -> Sequence[bytes]:
    return [reply[:24] + bytes(12) + reply[36:]]


class FakePxp:
    """Use as `async with FakePxp() as gateway`; it listens on `address` and `port`."""

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        external: str = "5.5.5.1",
        pcp: bool = True,
        natpmp: bool = True,
        changed: Callable[[dict[str, Any]], None] = lambda _change: None,
    ) -> None:
        self.address = address
        self.port = port
        self.external = external
        self.pcp = pcp
        self.natpmp = natpmp
        self.taken: set[int] = set()
        self.assigns: int | None = None  # its own port, whatever was suggested
        self.obeys_prefer_failure = True
        self.knows_options = True
        self.result = 0  # of every MAP that is no deletion
        self.lifetime: int | None = None  # granted instead of the requested one
        self.twists: list[Twist] = []  # one for each packet to come
        self.twist: Twist | None = None  # for all after those
        self.packets: list[bytes] = []
        self.held: dict[int, Held] = {}
        self.epoch = 1000
        self._changed = changed
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        gateway = self

        class Answering(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                for reply in gateway.replies(data):
                    assert gateway._transport is not None
                    gateway._transport.sendto(reply, addr)

        self._transport, _ = await loop.create_datagram_endpoint(
            Answering, local_addr=(self.address, self.port)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        assert self._transport is not None
        self._transport.close()
        await asyncio.sleep(0)  # the transport closes its socket in the next round

    async def goes_on(self) -> None:
        """For ever: its epoch is as a gateway's that stays on."""
        started, before = time.monotonic(), self.epoch
        while True:
            await asyncio.sleep(0.5)
            self.epoch = before + round(time.monotonic() - started)

    def reboot(self) -> None:
        self.epoch = 0
        self.held.clear()

    def announces(self, port: int, said: bytes | None = None) -> None:
        """Tells all hosts of a new start, RFC 6887 §14.1, or whatever else is `said`."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telling:
            ours = socket.inet_aton(self.address)
            telling.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ours)
            telling.bind((self.address, 0))
            telling.sendto(self._pcp_head(0, 0, 0) if said is None else said, ("224.0.0.1", port))

    def replies(self, request: bytes) -> Sequence[bytes]:
        self.packets.append(request)
        reply = self._honest(request)
        twist = self.twists.pop(0) if self.twists else self.twist
        if twist is not None:
            return twist(request, reply)
        return [reply] if reply else []

    def _honest(self, request: bytes) -> bytes:
        if request[:1] == b"\0" and self.natpmp:
            return self._natpmp(request)
        if request[:1] == b"\2" and self.pcp:
            return self._pcp(request)
        if request[:1] == b"\2" and self.natpmp:  # RFC 6886 §3.5, RFC 6887 appendix A
            return bytes([0, request[1] | 0x80, 0, 1]) + _u32(self.epoch)
        return b""

    def _natpmp(self, request: bytes) -> bytes:
        head = bytes([0, request[1] | 0x80])
        if request[1] == 0:
            return head + b"\0\0" + _u32(self.epoch) + _packed(self.external)
        internal, wanted = _number(request[4:6]), _number(request[6:8])
        asked = _number(request[8:12])
        if asked == 0:
            self._drop(internal)
            return head + b"\0\0" + _u32(self.epoch) + request[4:6] + bytes(6)
        if self.result:
            return head + bytes([0, self.result]) + _u32(self.epoch) + request[4:6] + bytes(6)
        held = self._hold(Held(internal, self._free(wanted), self._granted(asked)))
        return (
            head + b"\0\0" + _u32(self.epoch) + request[4:6]
            + _u16(held.external_port) + _u32(held.lifetime)
        )  # fmt: skip

    def _pcp(self, request: bytes) -> bytes:
        opcode, asked = request[1], _number(request[4:8])
        if opcode == 0:
            return self._pcp_head(0, 0, 0)
        nonce, internal, wanted = request[24:36], _number(request[40:42]), _number(request[42:44])
        prefers_failure = request[60:61] == b"\2"
        before = self.held.get(internal)
        refused = self.result if asked else 0
        if request[60:] and not self.knows_options:
            refused = 5
        elif before and before.nonce != nonce:
            refused = 2
        elif (
            asked and prefers_failure and self._free(wanted) != wanted and self.obeys_prefer_failure
        ):
            refused = 11
        if refused:
            return self._pcp_head(1, refused, 30) + request[24:60]
        if asked == 0:
            self._drop(internal)
            return self._pcp_head(1, 0, 0) + request[24:60]
        held = self._hold(Held(internal, self._free(wanted), self._granted(asked), nonce))
        external = _packed(self.external)
        mapped = external if len(external) == 16 else bytes(10) + b"\xff\xff" + external
        return (
            self._pcp_head(1, 0, held.lifetime)
            + request[24:42] + _u16(held.external_port) + mapped + request[60:]
        )  # fmt: skip

    def _pcp_head(self, opcode: int, result: int, lifetime: int) -> bytes:
        return bytes([2, opcode | 0x80, 0, result]) + _u32(lifetime) + _u32(self.epoch) + bytes(12)

    def _free(self, port: int) -> int:
        if self.assigns is not None:
            return self.assigns
        while port in self.taken:
            port += 1
        return port

    def _granted(self, asked: int) -> int:
        return asked if self.lifetime is None else self.lifetime

    def _hold(self, held: Held) -> Held:
        self.held[held.internal_port] = held
        self._changed(
            {
                "open": held.external_port,
                "internal_port": held.internal_port,
                "lifetime": held.lifetime,
            }
        )
        return held

    def _drop(self, internal_port: int) -> None:
        held = self.held.pop(internal_port, None)
        if held:
            self._changed({"close": held.external_port, "internal_port": internal_port})


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _number(data: bytes) -> int:
    return int.from_bytes(data)


def _u16(number: int) -> bytes:
    return number.to_bytes(2)


def _u32(number: int) -> bytes:
    return number.to_bytes(4)


async def _serve(address: str, port: int, external: str) -> None:
    def told(change: dict[str, Any]) -> None:
        print(json.dumps(change), flush=True)

    async with FakePxp(address=address, port=port, external=external, changed=told) as gateway:
        told({"listening": gateway.port})
        await gateway.goes_on()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--external", default="5.5.5.1")
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.address, chosen.port, chosen.external))


if __name__ == "__main__":
    main()
