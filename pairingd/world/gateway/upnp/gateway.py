"""The router of a description URL, for worker.py alone: it may block.

Which of its WAN services is asked, and what can be known of its table of forwards.
"""

from __future__ import annotations

import errno
import functools
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from pairingd.world.gateway.upnp.actions import TCP, Forward
from pairingd.world.gateway.upnp.description import Description, describe
from pairingd.world.gateway.upnp.exchange import FAILURES, ask_blocking
from pairingd.world.gateway.upnp.location import is_at
from pairingd.world.gateway.upnp.markup import BadAnswer
from pairingd.world.gateway.upnp.soap import Fault, Service
from pairingd.world.gateway.upnp.speakers import MiniupnpcSpeaker, SoapSpeaker, Speaker

try:
    import miniupnpc
except ImportError:  # built for another Python, or without a library that it needs
    miniupnpc = None

_MAX_ROWS = 200
# Asked where miniupnpc could read a description and we cannot.
_USUAL_TYPES = (
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)


class Done(Exception):
    """Not an error: the outcome, from wherever it is known."""

    def __init__(self, outcome: str, **details: object) -> None:
        super().__init__(outcome)
        self.answer: dict[str, Any] = {"outcome": outcome, **details}


class Gateway:
    """Raises Done(unreachable), (offhost) or (not-igd) at first, and Done(silent) at any call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._control = ""  # the URL that miniupnpc asks
        self._speaker = self._miniupnpc() if miniupnpc else self._own()
        if not self._is_up():
            self._speaker = self._better_speaker()

    @functools.cached_property
    def status(self) -> str:
        return self._known(lambda: self._speaker.status().connection)

    @functools.cached_property
    def external(self) -> str:
        return self._known(self._speaker.external_address)

    @property
    def up_since(self) -> int:
        """Seconds since the epoch; 0 where it does not say how long it has been up."""
        try:
            return int(time.time()) - self._speaker.status().uptime
        except FAILURES:
            return 0

    def look(self, port: int) -> Forward | None:
        """The forward of the external port. Raises Done(unread) where that cannot be known."""
        try:
            return self._speaker.forward_of(port)
        except Fault as fault:
            code = fault.code
        except OSError:
            raise Done("silent") from None
        # It does not know the question, or not now. Its table answers too, if all of it is read.
        rows, whole = self.rows()
        found = next((row for row in rows if row.external_port == port), None)
        if found is None and not whole:
            raise Done("unread", code=code)
        return found

    def rows(self) -> tuple[list[Forward], bool]:
        """The TCP rows of the table as far as they can be read, and whether these are all."""
        found: list[Forward] = []
        for index in range(_MAX_ROWS):
            try:
                row = self._speaker.forward_at(index)
            except FAILURES:
                break
            if row is None:
                return found, True
            if row.protocol == TCP:
                found.append(row)
        return found, False

    def add(self, forward: Forward) -> int:
        """0, or UPnP's code for the refusal; -1 for one without a code."""
        return self._code_of(lambda: self._speaker.add(forward))

    def delete(self, port: int) -> int:
        return self._code_of(lambda: self._speaker.delete(port))

    @staticmethod
    def _code_of(action: Any) -> int:
        try:
            action()
        except Fault as fault:
            return fault.code or -1
        except OSError:
            raise Done("silent") from None
        return 0

    @staticmethod
    def _known(question: Any) -> str:
        """Empty where it does not say: a service that lacks the action is a fact, not a failure."""
        try:
            return str(question())
        except FAILURES:
            return ""

    def _miniupnpc(self) -> Speaker:
        upnp = miniupnpc.UPnP()
        try:
            self._control = upnp.selectigd(self._url)
        except Exception:  # noqa: BLE001 - the binding raises nothing more precise
            raise Done("unreachable", errno=_why_unreachable(self._url)) from None
        if not is_at(urlsplit(self._url).hostname or "", self._control):
            raise Done("offhost")
        return MiniupnpcSpeaker(upnp, lambda: self._beside_miniupnpc)

    @functools.cached_property
    def _beside_miniupnpc(self) -> Speaker:
        """Asks the URL that miniupnpc asks, which does not say of which service there."""
        usual = [Service(usual, self._control) for usual in _USUAL_TYPES]
        return SoapSpeaker(self._services_there or usual)

    def _own(self) -> Speaker:
        try:
            description = self._description
        except BadAnswer:
            raise Done("not-igd") from None
        except OSError:
            raise Done("unreachable", errno=_why_unreachable(self._url)) from None
        if description.names_wan_services_elsewhere:
            raise Done("offhost")
        if not description.wan_services:
            raise Done("not-igd")
        self._control = description.wan_services[0].control_url
        return SoapSpeaker(self._services_there)

    @functools.cached_property
    def _description(self) -> Description:
        return ask_blocking(describe(self._url))

    @property
    def _services(self) -> list[Service]:
        try:
            return self._description.wan_services
        except FAILURES:
            return []

    @property
    def _services_there(self) -> list[Service]:
        return [service for service in self._services if service.control_url == self._control]

    def _better_speaker(self) -> Speaker:
        """That of the first WAN service that is up, or else of the first that answers."""
        answering = self._speaker if self._answers() else None
        for service in self._services:
            if service.control_url == self._control:
                continue
            self._turn_to(SoapSpeaker([service]))
            if self._is_up():
                return self._speaker
            answering = answering or (self._speaker if self._answers() else None)
        if answering is None:
            raise Done("not-igd")
        self._turn_to(answering)
        return answering

    def _turn_to(self, speaker: Speaker) -> None:
        self._speaker = speaker
        for known in ("status", "external"):
            vars(self).pop(known, None)

    def _is_up(self) -> bool:
        addressed = self.external and not self.external.startswith("0.")
        return bool(addressed) or self.status in ("Connected", "Up")

    def _answers(self) -> bool:
        return bool(self.external or self.status or self._known(self._speaker.connection_type))


def _why_unreachable(url: str) -> str:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
    except OSError as error:
        return errno.errorcode.get(error.errno or errno.ETIMEDOUT, "EIO")
    except ValueError:
        return "EINVAL"
    return ""
