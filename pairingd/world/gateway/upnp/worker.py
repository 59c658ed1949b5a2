"""One job with a UPnP router, in a process of its own: a JSON object in, one line of JSON out.

miniupnpc parses in C what the LAN sends, has no total time limit and cannot be cancelled. Here it
can be given up, and what it may break is this process alone. The parent believes nothing of the
answer without checking it (answer.py). Only the standard library, miniupnpc and h11 are imported.

A job: `task` (survey, look, add, delete, sweep), `url` of the description, `seconds` until the
process ends itself, and of the mapping `address`, `internal_port`, `external_port`, `description`,
`known` (the description as the router showed it before, if it alters them), `lease`, `granted` (the
lease granted before, 0 for none), `permanent` (whether a lease without end may be taken), `unshown`
(whether the router made it and shows it to nobody), `up_since` (its start as it reported it
then, 0 for unknown).

A sweep removes what earlier daemons of this machine left: our kind of description, our address,
and a port where nobody listens; but for the external ports in `keep`. It looks at 200 rows.

An answer: `outcome`, and where they are known `code` (UPnP's), `external`, `status`, `holder`,
`description`, `lease`, `permanent`, `unshown`, `up_since`, `errno`. The outcomes:

    unreachable  no description at the URL             offhost   the control URL is elsewhere
    not-igd      what is there is no gateway           usable    a survey's good answer
    silent       it stopped answering on the way       absent    nothing on the external port
    present      our mapping is there                  foreign   somebody else's mapping is there
    granted      added and seen                        refused   not added; `code` says why
    permanent-only  only without end, not allowed      dropped   added, and gone at once
    lied         it leads elsewhere; deleted           kept      still there after the delete
    lied-and-kept  it leads elsewhere, for good        unread    cannot be known; `code` says why
    unshown      made and not shown; deleted, for it could lead to another server of this machine
    swept        `count` rows were removed
"""

from __future__ import annotations

import _thread
import errno
import json
import os
import re
import resource
import signal
import socket
import sys
import time
from typing import Any

from pairingd.world.gateway.upnp.actions import TCP, Forward
from pairingd.world.gateway.upnp.gateway import Done, Gateway
from pairingd.world.gateway.upnp.soap import (
    ACTION_FAILED,
    INVALID_ARGS,
    NO_SUCH_ENTRY,
    ONLY_PERMANENT,
)

_RESTARTED = 10  # seconds by which the start that a router reports may vary
_HOUR = 3600
_DESCRIPTION = re.compile(r"pairingd[0-9a-f]{8}")
_MEMORY = 64 << 20

Job = dict[str, Any]
Answer = dict[str, Any]


def _ours(entry: Forward, job: Job) -> bool:
    # The token in the description is proof enough. A router that alters descriptions is
    # recognised by what it showed when the mapping was made, together with the door's port.
    if entry.client != job["address"]:
        return False
    shown = (entry.internal_port, entry.description) == (job["internal_port"], job["known"])
    return shown or entry.description == str(job["description"])


def _left_over(entry: Forward, job: Job) -> bool:
    """Whether an earlier daemon of this machine made it, and no daemon lives by it now."""
    if entry.client != job["address"] or not _DESCRIPTION.fullmatch(entry.description):
        return False
    with socket.socket() as knocking:
        knocking.settimeout(0.5)
        return knocking.connect_ex((entry.client, entry.internal_port)) == errno.ECONNREFUSED


def _leads_elsewhere(job: Job) -> bool:
    """Whether the mapping would let in to another server, should the internal port be ignored."""
    if job["external_port"] == job["internal_port"]:
        return False
    with socket.socket() as knocking:
        knocking.settimeout(0.5)
        return knocking.connect_ex((job["address"], job["external_port"])) != errno.ECONNREFUSED


def _foreign(entry: Forward) -> Done:
    return Done("foreign", holder=entry.client, description=entry.description)


def survey(gateway: Gateway, _job: Job) -> Answer:
    return {"outcome": "usable", "status": gateway.status}


def look(gateway: Gateway, job: Job) -> Answer:
    entry = gateway.look(job["external_port"])
    if entry is None:
        restarted = gateway.up_since > job["up_since"] + _RESTARTED if job["unshown"] else True
        return {"outcome": "absent" if restarted else "present"}
    if not _ours(entry, job):
        raise _foreign(entry)
    right = entry.internal_port == job["internal_port"]
    return {"outcome": "present" if right else "absent", "lease": entry.lease}


def add(gateway: Gateway, job: Job) -> Answer:
    """Add or renew; never over a mapping that is not ours, and never believed unseen."""
    port = job["external_port"]
    before = gateway.look(port)
    if before is not None and not _ours(before, job):
        if not _left_over(before, job):
            raise _foreign(before)
        gateway.delete(port)
        before = None
    lease, permanent = _asked(gateway, job)
    after = _seen(gateway, port)
    if after is None and lease and job["permanent"] and not job["unshown"]:
        # DD-WRT lets every lease run out at once, and keeps a mapping without one.
        gateway.add(_forward(job, 0))
        after = _seen(gateway, port)
        permanent = after is not None
    if before is not None and after is not None and _ignored(before, after, job):
        gateway.delete(port)
        _refused(gateway.add(_forward(job, lease)))
        after = _seen(gateway, port)
    if after is None:
        if job["unshown"] or gateway.delete(port) == 0:
            return _made_unshown(gateway, job, lease)
        raise Done("dropped")
    if after.client != job["address"] and after.description != job["description"]:
        raise _foreign(after)
    if (after.client, after.internal_port) != (job["address"], job["internal_port"]):
        gateway.delete(port)
        raise Done("lied" if gateway.look(port) is None else "lied-and-kept")
    return {
        "outcome": "granted",
        "lease": after.lease,
        "description": after.description,
        "permanent": permanent,
    }


def _made_unshown(gateway: Gateway, job: Job, lease: int) -> Answer:
    """There was a mapping to delete, so it had been made, though the router does not list it
    (OPNsense). Then it cannot be seen either whether the internal port was ignored.
    """
    if _leads_elsewhere(job):
        gateway.delete(job["external_port"])
        raise Done("unshown")
    if not job["unshown"]:
        _refused(gateway.add(_forward(job, lease)))
    return {
        "outcome": "granted",
        "lease": lease,
        "description": job["description"],
        "permanent": lease == 0,
        "unshown": True,
        "up_since": gateway.up_since,
    }


def _asked(gateway: Gateway, job: Job) -> tuple[int, bool]:
    lease = job["lease"]
    code = gateway.add(_forward(job, lease))
    if code == ACTION_FAILED and gateway.external:
        # A busy router answers so for a second or two; one without an external address always.
        time.sleep(2)
        code = gateway.add(_forward(job, lease))
    if code == INVALID_ARGS and lease not in (0, _HOUR):
        lease = _HOUR
        code = gateway.add(_forward(job, lease))
    if code in (INVALID_ARGS, ONLY_PERMANENT) and lease:
        if not job["permanent"]:
            raise Done("permanent-only", code=code)
        lease = 0
        code = gateway.add(_forward(job, lease))
    _refused(code)
    return lease, lease == 0


def _forward(job: Job, lease: int) -> Forward:
    return Forward(
        external_port=job["external_port"],
        protocol=TCP,
        client=job["address"],
        internal_port=job["internal_port"],
        description=job["description"],
        lease=lease,
    )


def _refused(code: int) -> None:
    if code:
        raise Done("refused", code=max(code, 0))


def _seen(gateway: Gateway, port: int) -> Forward | None:
    entry = gateway.look(port)
    if entry is None:
        time.sleep(0.3)  # a router that fills its table a moment after it has answered
        entry = gateway.look(port)
    return entry


def _ignored(before: Forward, after: Forward, job: Job) -> bool:
    """Whether adding over our own mapping left its lease to run out (old miniupnpd)."""
    nearly_all = 0.9 * float(job["granted"])
    return 0 < after.lease <= before.lease < nearly_all


def delete(gateway: Gateway, job: Job) -> Answer:
    port = job["external_port"]
    entry = gateway.look(port)
    if entry is None and not job["unshown"]:
        return {"outcome": "absent"}
    if entry is not None and not _ours(entry, job):
        raise _foreign(entry)
    code = gateway.delete(port)
    if job["unshown"] and code not in (0, NO_SUCH_ENTRY):
        return {"outcome": "kept", "code": max(code, 0)}
    entry = gateway.look(port)
    if entry is None or not _ours(entry, job):
        return {"outcome": "absent"}
    return {"outcome": "kept", "code": max(code, 0)}


def sweep(gateway: Gateway, job: Job) -> Answer:
    rows, _ = gateway.rows()
    left = [
        row.external_port
        for row in rows
        if row.external_port not in job["keep"] and _left_over(row, job)
    ]
    return {"outcome": "swept", "count": sum(gateway.delete(port) == 0 for port in left)}


TASKS = {"survey": survey, "look": look, "add": add, "delete": delete, "sweep": sweep}


def work(job: Job) -> Answer:
    known: Answer = {}
    try:
        gateway = Gateway(job["url"])
        known = {"external": gateway.external}
        answer = TASKS[job["task"]](gateway, job)
    except Done as done:
        answer = done.answer
    return known | answer


def _resident() -> int:
    """Bytes, at the most so far. After an exec Linux counts what the parent had, too."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bound_memory(start: int) -> None:
    # A description without end fills memory. RLIMIT_AS would do on Linux; macOS refuses it.
    while _resident() - start < _MEMORY:
        time.sleep(0.05)
    os._exit(1)


def main() -> None:
    job = json.loads(sys.stdin.readline())
    signal.alarm(job["seconds"])  # should the parent be gone by then
    _thread.start_new_thread(_bound_memory, (_resident(),))
    sys.stdout.write(json.dumps(work(job)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # there is nothing to tidy up, and it saves a tenth of the time


if __name__ == "__main__":
    main()
