"""The journal of processes that must not outlive a daemon that is killed."""

from __future__ import annotations

from pairingd.process.left_over import boot, start_time
from pairingd.state.store import Process, Store


def journal(store: Store, pid: int, typed_at: int | None = None) -> None:
    """Record the process, unless it has ended already."""
    started = start_time(pid)
    if started is not None:
        store.record_process(Process(pid, started, boot(), typed_at))
