"""The host hears that the guests hold a command that no longer works."""

from __future__ import annotations

from pairingd.core.events import CommandAnnounced
from pairingd.core.model import HostPort
from pairingd.core.ways import ssh_command
from pairingd.intent import Intent
from pairingd.signals import Signal
from pairingd.user import login_name


def announce(intent: Intent, endpoint_changed: Signal[[str]], way: HostPort) -> None:
    command = ssh_command(login_name(intent.state.session), way.host, way.port)
    intent.apply(CommandAnnounced(way))
    intent.happened(
        "endpoint-changed",
        f"guests now connect with: {command}",
        command=command,
        external_host=way.host,
        external_port=way.port,
    )
    endpoint_changed(f"the endpoint has changed: {command}")
