"""One job with a UPnP router, in a process of its own: a JSON object in, one line of JSON out.

miniupnpc parses in C what the LAN sends, has no total time limit and cannot be cancelled. Here it
can be given up, and what it may break is this process alone. The parent believes nothing of the
answer without checking it (upnp.py). Only the standard library and miniupnpc are imported.

A job: `deed` (survey, look, add, delete, sweep), `url` of the description, `seconds` until the
process ends itself, and of the mapping `address`, `internal_port`, `external_port`, `description`,
`known` (the description as the router showed it before, if it alters them), `lease`, `granted` (the
lease granted before, 0 for none), `permanent` (whether a lease without end may be taken), `unshown`
(whether the router made it and shows it to nobody), `up_since` (its start as it told then, 0 for
unknown).

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
    no-miniupnpc  it cannot be imported                swept     `count` rows were removed
"""

from __future__ import annotations

import _thread
import errno
import functools
import json
import os
import re
import resource
import signal
import socket
import sys
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

try:
    import miniupnpc
except ImportError:  # built for another Python, or without a library that it needs
    miniupnpc = None

# What the C library says for each code it knows (upnperrors.c); its exceptions carry no number.
CODES = {
    "Invalid Action": 401,
    "Invalid Args": 402,
    "Action Failed": 501,
    "Argument Value Invalid": 600,
    "Argument Value Out of Range": 601,
    "Optional Action Not Implemented": 602,
    "Out of Memory": 603,
    "Human Intervention Required": 604,
    "String Argument Too Long": 605,
    "Action not authorized": 606,
    "SpecifiedArrayIndexInvalid": 713,
    "NoSuchEntryInArray": 714,
    "WildCardNotPermittedInSrcIP": 715,
    "WildCardNotPermittedInExtPort": 716,
    "ConflictInMappingEntry": 718,
    "SamePortValuesRequired": 724,
    "OnlyPermanentLeasesSupported": 725,
    "RemoteHostOnlySupportsWildcard": 726,
    "ExternalPortOnlySupportsWildcard": 727,
    "NoPortMapsAvailable": 728,
    "ConflictWithOtherMechanisms": 729,
    "PortMappingNotFound": 730,
    "ReadOnly": 731,
    "WildCardNotPermittedInIntPort": 732,
}
_SILENT = frozenset({"Miniupnpc HTTP error", "Miniupnpc Socket error"})
_INVALID_ACTION, _INVALID_ARGS, _ACTION_FAILED, _ONLY_PERMANENT = 401, 402, 501, 725
_NO_SUCH_ENTRY = 714
_ABSENT = frozenset({713, _NO_SUCH_ENTRY})
# The binding does not tell which of these it has found.
_WAN_SERVICES = (
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
_LARGEST = 1 << 16  # bytes of an answer in which a refusal is looked for
_RESTARTED = 10  # seconds by which the start that a router tells may differ, and be the same
_HOUR = 3600
_MAX_ROWS = 200
_DESCRIPTION = re.compile(r"pairingd[0-9a-f]{8}")
_MEMORY = 64 << 20

Job = dict[str, Any]
Answer = dict[str, Any]


class Done(Exception):
    """Not an error: the outcome, from wherever it is known."""

    def __init__(self, outcome: str, **details: object) -> None:
        super().__init__(outcome)
        self.answer: Answer = {"outcome": outcome, **details}


class Entry(NamedTuple):
    """A row of the router's table. An unreadable description is the empty one."""

    client: str
    port: int
    description: str
    lease: int


class Gateway:
    """The router described at a URL. Every method may raise Done(silent)."""

    def __init__(self, url: str) -> None:
        if miniupnpc is None:
            raise Done("no-miniupnpc")
        self._upnp = miniupnpc.UPnP()
        try:
            control = self._upnp.selectigd(url)
        except Exception:  # noqa: BLE001 - the binding raises nothing more precise
            raise Done("unreachable", errno=_why_unreachable(url)) from None
        # Not as urlsplit reads it: miniupnpc takes all before the first ":" or "/" for the host.
        host = urlsplit(url).hostname or ""
        host = re.escape(f"[{host}]" if ":" in host else host)
        if not re.match(rf"http://{host}(:\d{{1,5}})?/", control, re.IGNORECASE):
            raise Done("offhost")
        self._control = control

    @functools.cached_property
    def status(self) -> str:
        return self._told(lambda: self._upnp.statusinfo()[0])

    @property
    def up_since(self) -> int:
        """Seconds since the epoch; 0 where it does not tell how long it has been up."""
        try:
            return int(time.time()) - int(self._told(lambda: self._upnp.statusinfo()[1]))
        except ValueError:
            return 0

    @functools.cached_property
    def external(self) -> str:
        return self._told(self._upnp.externalipaddress)

    def must_be_igd(self) -> None:
        if not (self.external or self.status or self._told(self._upnp.connectiontype)):
            raise Done("not-igd")

    @staticmethod
    def _told(question: Any) -> str:
        try:
            return str(question())
        except Exception:  # noqa: BLE001 - a service that lacks the action is a fact, not a failure
            return ""

    def look(self, port: int) -> Entry | None:
        """Who holds the external port. Raises Done(unread) where that cannot be known."""
        try:
            row = self._upnp.getspecificportmapping(port, "TCP")
        except UnicodeDecodeError:
            return Entry("", 0, "", 0)
        if row is not None:
            client, internal, description, _enabled, lease = row
            return Entry(client, internal, description, max(lease, 0))
        code = self._why_not_shown(port)
        if code in _ABSENT:
            return None
        # It does not know the question, or not now. Its whole table tells as well, if it has one.
        rows = dict(self.rows())
        if not rows:
            raise Done("unread", code=code)
        return rows.get(port)

    def _why_not_shown(self, port: int) -> int:
        """UPnP's code for the refusal of a query, all of which the binding hides behind None."""
        for service in _WAN_SERVICES:
            code = _refused_query(self._control, service, port)
            if code != _INVALID_ACTION:
                return code
        return _INVALID_ACTION

    def rows(self) -> list[tuple[int, Entry]]:
        """The TCP rows of the table with their external ports, as far as they can be read."""
        found = []
        for index in range(_MAX_ROWS):
            try:
                row = self._upnp.getgenericportmapping(index)
            except UnicodeDecodeError:
                continue
            if row is None:
                break
            port, protocol, (client, internal), description, _enabled, _remote, lease = row
            if protocol == "TCP":
                found.append((port, Entry(client, internal, description, max(lease, 0))))
        return found

    def add(self, job: Job, lease: int) -> int:
        """0, or UPnP's code for the refusal; -1 for one that has no name."""
        return self._tried(
            lambda: self._upnp.addportmapping(
                job["external_port"],
                "TCP",
                job["address"],
                job["internal_port"],
                job["description"],
                "",
                lease,
            )
        )

    def delete(self, port: int) -> int:
        return self._tried(lambda: self._upnp.deleteportmapping(port, "TCP"))

    @staticmethod
    def _tried(act: Any) -> int:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - as above
            if str(error) in _SILENT:
                raise Done("silent") from None
            return CODES.get(str(error), -1)
        return 0


def _why_unreachable(url: str) -> str:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
    except OSError as error:
        return errno.errorcode.get(error.errno or errno.ETIMEDOUT, "EIO")
    except ValueError:
        return "EINVAL"
    return ""


def _refused_query(control: str, service: str, port: int) -> int:
    """0 where it is not refused. Raises Done(silent)."""
    parts = urlsplit(control)
    action = "GetSpecificPortMappingEntry"
    body = (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{service}"><NewRemoteHost></NewRemoteHost>'
        f"<NewExternalPort>{port}</NewExternalPort><NewProtocol>TCP</NewProtocol>"
        f"</u:{action}></s:Body></s:Envelope>"
    ).encode()
    path = urlunsplit(("", "", parts.path, parts.query, ""))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        f'Content-Type: text/xml; charset="utf-8"\r\nContent-Length: {len(body)}\r\n'
        f'SOAPAction: "{service}#{action}"\r\n\r\n'
    ).encode()
    said = b""
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), 3) as asking:
            asking.sendall(head + body)
            while len(said) < _LARGEST and (more := asking.recv(4096)):
                said += more
    except OSError:
        said = b""
    if not said:
        raise Done("silent")
    found = re.search(rb"errorCode>\s*(\d{1,3})\s*<", said)
    return int(found[1]) if found else 0


def _ours(entry: Entry, job: Job) -> bool:
    # The token in the description is proof enough. A router that alters descriptions is
    # recognised by what it showed when the mapping was made, together with the door's port.
    if entry.client != job["address"]:
        return False
    shown = (entry.port, entry.description) == (job["internal_port"], job["known"])
    return shown or entry.description == str(job["description"])


def _left_over(entry: Entry, job: Job) -> bool:
    """Whether an earlier daemon of this machine made it, and no daemon lives by it now."""
    if entry.client != job["address"] or not _DESCRIPTION.fullmatch(entry.description):
        return False
    with socket.socket() as knocking:
        knocking.settimeout(0.5)
        return knocking.connect_ex((entry.client, entry.port)) == errno.ECONNREFUSED


def _leads_elsewhere(job: Job) -> bool:
    """Whether the mapping would let in to another server, should the internal port be ignored."""
    if job["external_port"] == job["internal_port"]:
        return False
    with socket.socket() as knocking:
        knocking.settimeout(0.5)
        return knocking.connect_ex((job["address"], job["external_port"])) != errno.ECONNREFUSED


def _foreign(entry: Entry) -> Done:
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
    right = entry.port == job["internal_port"]
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
        gateway.add(job, 0)
        after = _seen(gateway, port)
        permanent = after is not None
    if before is not None and after is not None and _ignored(before, after, job):
        gateway.delete(port)
        _refused(gateway.add(job, lease))
        after = _seen(gateway, port)
    if after is None:
        if job["unshown"] or gateway.delete(port) == 0:
            return _made_unshown(gateway, job, lease)
        raise Done("dropped")
    if after.client != job["address"] and after.description != job["description"]:
        raise _foreign(after)
    if (after.client, after.port) != (job["address"], job["internal_port"]):
        gateway.delete(port)
        raise Done("lied" if gateway.look(port) is None else "lied-and-kept")
    return {
        "outcome": "granted",
        "lease": after.lease,
        "description": after.description,
        "permanent": permanent,
    }


def _made_unshown(gateway: Gateway, job: Job, lease: int) -> Answer:
    """What was there to be deleted had been made, though the router shows it to nobody (OPNsense).

    So nobody can see either whether the internal port was ignored.
    """
    if _leads_elsewhere(job):
        gateway.delete(job["external_port"])
        raise Done("unshown")
    if not job["unshown"]:
        _refused(gateway.add(job, lease))
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
    code = gateway.add(job, lease)
    if code == _ACTION_FAILED and gateway.external:
        # A busy router says this and means it for a moment only; one with no address outside
        # means it for good.
        time.sleep(2)
        code = gateway.add(job, lease)
    if code == _INVALID_ARGS and lease not in (0, _HOUR):
        lease = _HOUR
        code = gateway.add(job, lease)
    if code in (_INVALID_ARGS, _ONLY_PERMANENT) and lease:
        if not job["permanent"]:
            raise Done("permanent-only", code=code)
        lease = 0
        code = gateway.add(job, lease)
    _refused(code)
    return lease, lease == 0


def _refused(code: int) -> None:
    if code:
        raise Done("refused", code=max(code, 0))


def _seen(gateway: Gateway, port: int) -> Entry | None:
    entry = gateway.look(port)
    if entry is None:
        time.sleep(0.3)  # a router that fills its table a moment after it has answered
        entry = gateway.look(port)
    return entry


def _ignored(before: Entry, after: Entry, job: Job) -> bool:
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
    if job["unshown"] and code not in (0, _NO_SUCH_ENTRY):
        return {"outcome": "kept", "code": max(code, 0)}
    entry = gateway.look(port)
    if entry is None or not _ours(entry, job):
        return {"outcome": "absent"}
    return {"outcome": "kept", "code": max(code, 0)}


def sweep(gateway: Gateway, job: Job) -> Answer:
    rows = gateway.rows()
    left = [port for port, row in rows if port not in job["keep"] and _left_over(row, job)]
    return {"outcome": "swept", "count": sum(gateway.delete(port) == 0 for port in left)}


DEEDS = {"survey": survey, "look": look, "add": add, "delete": delete, "sweep": sweep}


def work(job: Job) -> Answer:
    known: Answer = {}
    try:
        gateway = Gateway(job["url"])
        if job["deed"] != "look":
            gateway.must_be_igd()
        known = {"external": gateway.external}
        answer = DEEDS[job["deed"]](gateway, job)
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
