"""The host hears that the guests hold a command that no longer works."""

from __future__ import annotations

from pairingd.core.model import WayIn
from pairingd.core.rules import WayAnnounced
from pairingd.core.ways import ssh_command
from pairingd.intent import Intent
from pairingd.signals import Signal
from pairingd.user import login_name


def announce(intent: Intent, way_in_changed: Signal[[str]], way: WayIn) -> None:
    command = ssh_command(login_name(intent.state.session), way.host, way.port)
    intent.apply(WayAnnounced(way))
    intent.happened(
        "endpoint-changed",
        f"guests now connect with: {command}",
        command=command,
        external_host=way.host,
        external_port=way.port,
    )
    way_in_changed(f"the endpoint has changed: {command}")
