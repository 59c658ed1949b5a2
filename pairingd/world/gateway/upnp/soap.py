"""The requests to a UPnP router, and how each answer is read. No I/O: see exchange.py.

A Call is one request and the reader of its answer. All requests that pairingd sends are in
`description.py` and `actions.py`. UPnP Device Architecture 2.0 §3.2: SOAP 1.1 over HTTP.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from pairingd.world.gateway.upnp.markup import BadAnswer, Element, elements

Result = TypeVar("Result")

INVALID_ARGS, ACTION_FAILED, NOT_AUTHORIZED = 402, 501, 606
NO_SUCH_ENTRY, CONFLICT, SAME_PORT, ONLY_PERMANENT, USED_OTHERWISE = 714, 718, 724, 725, 729
END_OF_TABLE = frozenset({713, NO_SUCH_ENTRY})  # SpecifiedArrayIndexInvalid; some use the other


class Fault(Exception):
    """The router refused an action. `code` is UPnP's error code or its own, 0 for none."""

    def __init__(self, code: int) -> None:
        super().__init__(f"UPnP error {code}")
        self.code = code


class Service(NamedTuple):
    """A service of a device. `type` is its urn, with the version."""

    type: str
    control_url: str


class Call(NamedTuple, Generic[Result]):
    """`read` takes the text of the answer. It raises Fault and BadAnswer."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    read: Callable[[str], Result]


class Values:
    """An action's output arguments, by their names."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        return self._values.get(name, "")

    def seconds(self, name: str) -> int:
        """From 0 to 2**31 - 1, the nearest of them if it is outside; 0 if it is no number."""
        number = re.fullmatch(r"(-?\d{1,10})(?:\.\d*)?", self.text(name), re.ASCII)
        return min(max(int(number[1]), 0), 2**31 - 1) if number else 0

    def port(self, name: str) -> int:
        """From 0 to 65535; 0 if it is missing. Raises BadAnswer."""
        text = self.text(name) or "0"
        if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or int(text) >= 65536:
            raise BadAnswer(f"the router's {name} is not a port")
        return int(text)

    def is_false(self, name: str) -> bool:
        """UPnP Device Architecture 2.0 §2.5, boolean."""
        return self.text(name).lower() in {"0", "false", "no"}


def call(
    service: Service,
    action: str,
    read: Callable[[Values], Result],
    arguments: Mapping[str, str] | None = None,
) -> Call[Result]:
    """A call of `action`, whose output arguments go through `read`."""
    inner = "".join(
        f"<{name}>{html.escape(value, quote=False)}</{name}>"
        for name, value in (arguments or {}).items()
    )
    body = (
        '<?xml version="1.0"?>\r\n'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{html.escape(service.type)}">{inner}</u:{action}>'
        "</s:Body></s:Envelope>"
    )
    headers = {
        "Content-Type": 'text/xml; charset="utf-8"',
        "SOAPAction": f'"{service.type}#{action}"',
    }
    return Call(
        "POST", service.control_url, headers, body, lambda text: read(Values(output(text, action)))
    )


def output(text: str, action: str) -> dict[str, str]:
    """The output arguments of `action`, as the router wrote them. Raises Fault and BadAnswer."""
    answer = elements(text)
    code = first(answer, "errorCode")
    if code is not None or first(answer, "Fault") is not None:
        number = code.text if code is not None else ""
        raise Fault(int(number) if re.fullmatch(r"-?\d{1,10}", number, re.ASCII) else 0)
    response = first(answer, f"{action}Response")
    if response is None:
        raise BadAnswer(f"the router's answer is not one to {action}")
    return response.children


def first(answer: list[Element], name: str) -> Element | None:
    return next((element for element in answer if element.name == name), None)
