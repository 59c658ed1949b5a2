"""XML from a device on the LAN, without document types and so without entities.

expat reads it, without namespaces: prefixes mean nothing here, and some routers use one without
declaring it. The caller bounds the size.
"""

from __future__ import annotations

import re
from html.entities import name2codepoint
from xml.parsers import expat

_BARE_AMPERSAND = re.compile(r"&(?!#?\w{1,10};)")  # "AT&T" in a device's name
# "Caf&eacute;": HTML's entities, but for those that XML has, too (XML 1.0 §4.6).
_IN_XML = frozenset({"amp", "gt", "lt", "quot"})
_HTML = {name: chr(code) for name, code in name2codepoint.items() if name not in _IN_XML}
_ENTITY = re.compile(r"&(\w{2,8});", re.ASCII)


class BadAnswer(Exception):
    """The answer is not a gateway's, or cannot be believed. The message is for people."""


class Element:
    """`text` is its own, without that of its children; `children` has theirs, by name."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: dict[str, str] = {}


def elements(text: str) -> list[Element]:
    """All elements in the order in which they begin, without prefixes. Raises BadAnswer."""
    # Some routers show a device's name with characters that XML 1.0 §2.2 does not allow.
    allowed = "".join(c for c in text if c.isprintable() or c in "\t\r\n").strip()
    try:
        return _parsed(allowed)
    except expat.ExpatError:
        pass
    known = _ENTITY.sub(lambda entity: _HTML.get(entity[1], entity[0]), allowed)
    try:
        return _parsed(_BARE_AMPERSAND.sub("&amp;", known))
    except expat.ExpatError:
        raise BadAnswer("the router's answer is not XML") from None


def _parsed(text: str) -> list[Element]:
    """Raises ExpatError, and BadAnswer for a document type."""
    parsed: list[Element] = []
    path: list[tuple[Element, list[str]]] = []  # the open elements, each with its text so far

    def start(name: str, _attributes: object) -> None:
        element = Element(name.rpartition(":")[2])
        parsed.append(element)
        path.append((element, []))

    def characters(data: str) -> None:
        path[-1][1].append(data)

    def end(_name: str) -> None:
        element, parts = path.pop()
        element.text = "".join(parts).strip()
        if path:
            path[-1][0].children[element.name] = element.text

    def document_type(*_: object) -> None:
        raise BadAnswer("the router's XML has a document type of its own")

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = document_type
    parser.Parse(text, True)
    return parsed
