"""Reports to the host that the guests' command no longer works, and the new one."""

from __future__ import annotations

from pairingd.core.events import CommandAnnounced
from pairingd.core.model import HostPort
from pairingd.core.ways import Endpoint, ssh_command
from pairingd.machine.user import login_name
from pairingd.signals import Signal
from pairingd.state.intent import Intent


def announce(intent: Intent, endpoint_changed: Signal[[str]], address: HostPort) -> None:
    command = ssh_command(login_name(intent.state.session), address.host, address.port)
    _record(intent, address, f"guests now connect with: {command}", command)
    endpoint_changed(f"the endpoint has changed: {command}")


def announce_endpoint(intent: Intent, endpoint_changed: Signal[[str]], endpoint: Endpoint) -> None:
    """As `announce`. A command that checks the host key is too long for a notice: `--show` prints
    it.
    """
    address = HostPort(endpoint.host, endpoint.port)
    if not endpoint.pinned:
        announce(intent, endpoint_changed, address)
        return
    text = "guests can connect through the relay now; pairctl invite --show prints the command"
    _record(intent, address, text, "")
    endpoint_changed(text)


def _record(intent: Intent, address: HostPort, text: str, command: str) -> None:
    intent.apply(CommandAnnounced(address))
    intent.happened(
        "endpoint-changed",
        text,
        command=command,
        external_host=address.host,
        external_port=address.port,
    )
