from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pairingd.core.model import Standing
from pairingd.protocol import wire
from tests import protocol_document

DAEMON = Path(__file__).parent.parent / "pairingd"


def kinds() -> Iterator[str]:
    """The kind in each `happened(…)` and `happened_at(…)`, and what intent.py takes from an invitation's end."""
    for path in DAEMON.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="happened"), args=[ast.Constant(value=str(kind)), *_]
                ):
                    yield kind
                case ast.Call(
                    func=ast.Attribute(attr="happened_at"),
                    args=[_, ast.Constant(value=str(kind)), *_],
                ):
                    yield kind
                case ast.Call(func=ast.Name(id="Note"), args=[ast.Constant(value=str(kind)), *_]):
                    yield kind  # what core.holding has the lane write down
                case ast.Yield(
                    value=ast.Tuple(
                        elts=[ast.Tuple(elts=[ast.Constant(value=str(kind)), *_]), ast.Constant()]
                    )
                ):
                    yield kind  # of a session, in intent.py
                case ast.FunctionDef(name="_difference"):
                    for one in ast.walk(node):
                        match one:
                            case ast.Return(
                                value=ast.Tuple(elts=[ast.Constant(value=str(kind)), *_])
                            ):
                                yield kind
    yield from (standing.value for standing in Standing if standing is not Standing.LIVE)


def test_the_document_in_docs_is_what_make_docs_writes() -> None:
    assert protocol_document.FILE.read_text(encoding="utf-8") == protocol_document.document()


def test_every_error_number_of_the_wire_is_explained() -> None:
    numbers = {value for value in vars(wire).values() if isinstance(value, int) and value < 0}
    assert numbers == set(protocol_document.ERRORS)


def test_every_kind_of_event_is_explained() -> None:
    assert set(kinds()) == set(protocol_document.EVENTS)
