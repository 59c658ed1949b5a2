"""Words: docs and messages use OpenSSH's, tmux's and the RFCs' terms, and a name in the code says
what the thing is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import ROOT, SOURCES, parsed

# The changelog is history, and security.md is made from the tests.
_EXEMPT = {"CHANGELOG.md", "security.md"}
PAGES = [
    page
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
    if page.name not in _EXEMPT
]
MANUALS = sorted((ROOT / "docs" / "man").iterdir())

# What to avoid, and what to write instead.
WORDS = {
    r"told(?! apart)": "reported, printed, sent",
    r"anew|once more|made again": "again; re-created",
    r"mend(s|ed|ing)?": "fix",
    r"heed(s|ed|ing)?": "use, honour, follow",
    r"shut(?! down)": "closed",
    r"asked for": "requested",
    r"ways? in(?! which)": "endpoint",
    r"(be|is|are) had|had it": "got, is allocated",
    r"unshown": "unlisted",
    r"mute": "silent, unreachable",
    r"deed": "action",
    r"adrift": "detached",
    r"guests? who (may|can) (write|type|read|watch)": "write guest, read guest",
    r"(for|in) a moment|at leisure": "the number and its unit",
    r"no one can be": "the name could not be resolved",
    r"may be any of": "matches N guests",
    r"not understood": "unexpected argument",
    r"too deep|too long a": "nested too deeply; is too long",
}
# These say how a thing feels to the program: `reported`, `match`, `invitation`, `requested`.
NAMES = {"told", "found", "one", "wanted", "said", "heed", "mute", "shut", "anew"}
# A hyphen beside it makes a code or a name of it: `door-shut`.
_AVOIDED = re.compile(
    rf"(?<![-\w])({'|'.join(f'(?:{word})' for word in WORDS)})(?![-\w])", re.IGNORECASE
)


def _avoided(text: str) -> list[str]:
    return [found[0] for found in _AVOIDED.finditer(text)]


def _prose(page: str) -> str:
    """Without code: fences, indented blocks, what stands in backquotes, addresses of links."""
    page = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"(?<=\n\n)(    .*\n)+", "", page)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", page)


def _messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the text of every string that is no docstring, identifier or key."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if (
                " " in text.strip() and id(node) not in docstrings
            ):
                yield node.lineno, text


@pytest.mark.parametrize("page", [*PAGES, *MANUALS], ids=lambda page: page.name)
def test_documents_use_the_words_of_the_field(page: Path) -> None:
    assert _avoided(_prose(page.read_text(encoding="utf-8"))) == []


def test_messages_use_the_words_of_the_field() -> None:
    found = [
        f"{source.relative_to(ROOT)}:{line}: {word!r} in {text!r}"
        for source in SOURCES
        for line, text in _messages(parsed(source))
        for word in _avoided(text)
    ]
    assert found == []


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the name of every variable, parameter, attribute, function and class that is
    defined there.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def test_names_say_what_the_thing_is() -> None:
    vague = [
        f"{source.relative_to(ROOT)}:{line}: {name}"
        for source in SOURCES
        for line, name in _names(parsed(source))
        if name.strip("_").lower() in NAMES
    ]
    assert vague == []


@pytest.mark.parametrize(
    "code",
    [
        "for one in x: pass",
        "[x for one in y]",
        "def f(told): pass",
        "def wanted(): pass",
        "class Found: pass",
        "self._said = 1",
        "match x:\n    case [one]: pass",
    ],
)
def test_a_vague_name_is_recognised(code: str) -> None:
    assert [name for _, name in _names(ast.parse(code)) if name.strip("_").lower() in NAMES]


@pytest.mark.parametrize(
    "text",
    [
        "the guest was told",
        "print it anew",
        "Mend the file",
        "the door is shut",
        "a way in for guests",
        "a guest who may write",
    ],
)
def test_a_word_to_avoid_is_found(text: str) -> None:
    assert _avoided(text)


@pytest.mark.parametrize(
    "text",
    [
        "the error `door-shut`, and door-shut",
        "the daemon shuts down, or is shut down",
        "mappings are amended",
        "two ways in which it works",
        "a muted colour",
    ],
)
def test_ordinary_words_and_identifiers_are_not_found(text: str) -> None:
    assert _avoided(_prose(text)) == []
