"""What ssh says of a connection that its far end did not make; tests/e2e has the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairingd.errors import WorldError
from pairingd.process.tunnel import Tunnel, start
from pairingd.world.look_from import LookFrom, View


async def view(output: str, host: str = "5.5.5.1", *, ended: bool = False) -> View:
    program = await start("true")
    tunnel = Tunnel("127.0.0.1", 1, 0, program, output=output.encode())
    await tunnel.close()
    if ended:
        tunnel.ended.set()
    return View(tunnel, host)


@pytest.mark.parametrize(
    ("output", "host", "blind", "complaint"),
    [
        ("", "5.5.5.1", False, ""),
        ("a banner\n", "5.5.5.1", False, ""),
        *(
            (f"channel 2: open failed: connect failed: {why}\r\n", "5.5.5.1", False, why)
            for why in (
                *("Connection refused", "Connection timed out", "No route to host"),
                *("Operation timed out", "Network is unreachable", "Name or service not known"),
                "nodename nor servname provided, or not known",
            )
        ),
        ("open failed: connect failed: Network is unreachable\n", "2a00::1", True, "Network is"),
        ("open failed: administratively prohibited: open failed\n", "5.5.5.1", True, "administ"),
        ("open failed: resource shortage: no\n", "5.5.5.1", True, "resource shortage"),
        ("open failed: connect failed: Temporary failure in name resolution\n", "a.b", True, "Te"),
        ("open failed: \x1b[2J\n", "5.5.5.1", True, "\N{REPLACEMENT CHARACTER}[2J"),
    ],
)
async def test_only_a_connection_that_the_other_machine_tried_counts_for_the_endpoint(
    output: str, host: str, blind: bool, complaint: str
) -> None:
    seen = await view(output, host)
    assert seen.blind is blind
    assert seen.connect_error.removeprefix("connect failed: ").startswith(complaint)


async def test_a_look_is_blind_if_the_other_machine_was_lost() -> None:
    assert (await view("open failed: connect failed: Connection refused\n", ended=True)).blind


async def test_an_ssh_that_cannot_be_run_is_named() -> None:
    with pytest.raises(WorldError, match="No such file") as caught:
        async with LookFrom("me@vps", "/nowhere/ssh").towards("5.5.5.1", 22):
            raise AssertionError
    assert caught.value.code == "look-from-failed"


async def test_a_failed_ssh_is_reported_with_its_last_output_and_status(tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'me@vps: Permission denied (publickey).' >&2\nexit 255\n")
    program.chmod(0o700)
    with pytest.raises(WorldError, match=r"Permission denied .* status 255") as caught:
        async with LookFrom("me@vps", str(program)).towards("5.5.5.1", 22):
            raise AssertionError
    assert caught.value.hint.endswith("ssh -o BatchMode=yes me@vps")
