"""A router's PCP and NAT-PMP, whatever its outside address: `python -m tests.e2e.private_router`.

It runs in the router's network namespace, whose firewall is that of tests/e2e/network.py.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
from typing import Any

from tests.fakes.pxp import FakePxp

RULES = """
table ip speaker {
  map forwarded { type inet_service : ipv4_addr . inet_service; }
  chain inwards {
    type nat hook prerouting priority -110;
    iifname "wan0" dnat ip to tcp dport map @forwarded
  }
}
insert rule inet filter forward ct status dnat accept
"""


def nft(text: str, *, check: bool = True) -> None:
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=check)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--address", "--external", "--to"):
        parser.add_argument(option, required=True)
    given = parser.parse_args()

    def forward(change: dict[str, Any]) -> None:
        port = change.get("open", change.get("close"))
        element = f"{port} : {given.to} . {change['internal_port']}"
        nft(f"delete element ip speaker forwarded {{ {port} }}", check=False)
        if "open" in change:
            nft(f"add element ip speaker forwarded {{ {element} }}")

    nft(RULES)
    pxp = FakePxp(address=given.address, port=5351, external=given.external, changed=forward)
    async with pxp:
        print("listening", flush=True)
        await pxp.goes_on()


if __name__ == "__main__":
    asyncio.run(main())
