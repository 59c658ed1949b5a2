"""The router as miniupnpc shows it, and by SOAP of our own where that shows too little.

For upnp_worker.py alone: it may block, and only the standard library and miniupnpc are imported.
"""

from __future__ import annotations

import errno
import functools
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pairingd.world.gateway.upnp.wan_service import (
    KINDS,
    Elsewhere,
    Refused,
    WanService,
    is_at,
    services,
)

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
INVALID_ACTION, INVALID_ARGS, ACTION_FAILED = 401, 402, 501
NO_SUCH_ENTRY, ONLY_PERMANENT = 714, 725
_ABSENT = frozenset({713, NO_SUCH_ENTRY})
_MAX_ROWS = 200


class Done(Exception):
    """Not an error: the outcome, from wherever it is known."""

    def __init__(self, outcome: str, **details: object) -> None:
        super().__init__(outcome)
        self.answer: dict[str, Any] = {"outcome": outcome, **details}


class Entry(NamedTuple):
    """A row of the router's table. An unreadable description is the empty one."""

    client: str
    port: int
    description: str
    lease: int


class Gateway:
    """The router described at a URL. Every method may raise Done(silent)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._upnp, self._control = _found(url) if miniupnpc else _found_alone(url)

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
        """The first WAN service that is up is the one to ask from now on, or else that speaks."""
        if self._is_up():
            return
        speaking = self._upnp if self._speaks() else None
        for service in self._services():
            self._ask(service)
            if self._is_up():
                return
            speaking = speaking or (service if self._speaks() else None)
        if speaking is None:
            raise Done("not-igd")
        self._ask(speaking)

    def _services(self) -> list[WanService]:
        try:
            return [one for one in services(self._url) if one.control != self._control]
        except (Elsewhere, OSError):
            return []

    def _ask(self, service: Any) -> None:
        self._upnp = service
        for known in ("status", "external"):
            vars(self).pop(known, None)

    def _is_up(self) -> bool:
        addressed = self.external and not self.external.startswith("0.")
        return bool(addressed) or self.status in ("Connected", "Up")

    def _speaks(self) -> bool:
        return bool(self.external or self.status or self._told(self._upnp.connectiontype))

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
        except (Refused, OSError, ValueError):
            row = None
        if row is not None:
            client, internal, description, _enabled, lease = row
            return Entry(client, internal, description, max(lease, 0))
        code = self._why_not_shown(lambda asked: asked.getspecificportmapping(port, "TCP"))
        if code in _ABSENT:
            return None
        # It does not know the question, or not now. Its table tells as well, if all of it is read.
        rows, end = self.rows()
        found = dict(rows).get(port)
        if found is None and not self._ends_at(end):
            raise Done("unread", code=code)
        return found

    def _ends_at(self, index: int | None) -> bool:
        if index is None:
            return False
        return self._why_not_shown(lambda asked: asked.getgenericportmapping(index)) in _ABSENT

    def _why_not_shown(self, query: Callable[[WanService], object]) -> int:
        """UPnP's code for the refusal of a query, all of which the binding hides behind None."""
        control = getattr(self._upnp, "control", self._control)
        for kind in KINDS:  # miniupnpc does not tell which of them it asks
            try:
                query(WanService(control, kind))
            except Refused as refused:
                if refused.code != INVALID_ACTION:
                    return refused.code
            except (OSError, ValueError):
                raise Done("silent") from None
            else:
                return 0
        return INVALID_ACTION

    def rows(self) -> tuple[list[tuple[int, Entry]], int | None]:
        """The TCP rows of the table with their external ports, as far as they can be read; and
        the index after the last one, None where there are others.
        """
        found = []
        end: int | None = None
        whole = True
        for index in range(_MAX_ROWS):
            try:
                row = self._upnp.getgenericportmapping(index)
            except UnicodeDecodeError:
                whole = False
                continue
            except Refused:
                row = None
            except (OSError, ValueError):
                break
            if row is None:
                end = index if whole else None
                break
            port, protocol, (client, internal), description, _enabled, _remote, lease = row
            if protocol == "TCP":
                found.append((port, Entry(client, internal, description, max(lease, 0))))
        return found, end

    def add(self, job: Mapping[str, Any], lease: int) -> int:
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
        except Refused as refused:
            return refused.code or -1
        except OSError:
            raise Done("silent") from None
        except Exception as error:  # noqa: BLE001 - as above
            if str(error) in _SILENT:
                raise Done("silent") from None
            return CODES.get(str(error), -1)
        return 0


def _found(url: str) -> tuple[Any, str]:
    upnp = miniupnpc.UPnP()
    try:
        control = upnp.selectigd(url)
    except Exception:  # noqa: BLE001 - the binding raises nothing more precise
        raise Done("unreachable", errno=_why_unreachable(url)) from None
    if not is_at(urlsplit(url).hostname or "", control):
        raise Done("offhost")
    return upnp, control


def _found_alone(url: str) -> tuple[Any, str]:
    """Without miniupnpc. Not every Python has it."""
    try:
        service = next(iter(services(url)), None)
    except Elsewhere:
        raise Done("offhost") from None
    except (OSError, ValueError):
        raise Done("unreachable", errno=_why_unreachable(url)) from None
    if service is None:
        raise Done("not-igd")
    return service, service.control


def _why_unreachable(url: str) -> str:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
    except OSError as error:
        return errno.errorcode.get(error.errno or errno.ETIMEDOUT, "EIO")
    except ValueError:
        return "EINVAL"
    return ""
