"""What the documents say is there, and what is there they say."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from pairctl.command_line import arguments
from pairctl.services.steps import Step
from pairingd.home.config import Config, Settings
from pairingd.replies import report

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
MANUALS = sorted((DOCS / "man").iterdir())


def sections(page: Path) -> dict[str, str]:
    """The text under each heading of the second rank."""
    _, *parts = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading: text for heading, _, text in (part.partition("\n") for part in parts)}


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table's rows, without heads and rules."""
    for table in re.findall(r"^\|.*\n\|[-| ]+\|\n((?:\|.*\n?)*)", text, re.MULTILINE):
        for line in table.splitlines():
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("*.md")), *MANUALS], ids=lambda page: page.name)
def test_the_readme_leads_to_every_page(page: Path) -> None:
    assert f"]({page.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, *MANUALS], ids=lambda page: page.name)
def test_sudo_runs_pairctl_by_its_path(page: Path) -> None:
    """The README installs it where sudo does not search: sudoers(5), secure_path."""
    assert not re.search(r"sudo\s+pairctl", page.read_text(encoding="utf-8"))


def commands() -> dict[str, list[str]]:
    """Every command of pairctl, with its options but for those that all have."""
    (found,) = (
        action
        for action in arguments.parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {
        name: [
            option
            for action in parser._actions
            for option in action.option_strings
            if option not in {"-h", "--help", "--json"}
        ]
        for name, parser in found.choices.items()
    }


@pytest.mark.parametrize(("command", "options"), commands().items(), ids=commands())
def test_every_command_and_its_options_are_documented(command: str, options: list[str]) -> None:
    found = [
        heading + text
        for heading, text in sections(DOCS / "commands.md").items()
        if re.search(rf"`pairctl {command}\b", heading)
    ]
    assert found, command
    assert [option for option in options if f"`{option}" not in found[0]] == []


@pytest.mark.parametrize(("command", "options"), commands().items(), ids=commands())
def test_every_command_and_its_options_are_in_the_manual(command: str, options: list[str]) -> None:
    manual = (DOCS / "man" / "pairctl.1").read_text(encoding="utf-8")
    assert re.search(rf"^\.It (Xo\n\.)?Cm {command}\b", manual, re.MULTILINE)
    # mdoc(7): Fl puts the first hyphen.
    assert [one for one in options if not re.search(rf"Fl {one[1:]}\b", manual)] == []


def documented_settings() -> dict[str, Any]:
    """Key and default of config.md's tables; its own for each provider."""
    found = {}
    for heading, text in sections(DOCS / "config.md").items():
        table = heading.strip("`[]")
        for name, *cells in rows(text):
            if table != "providers.NAME":
                found[f"{table}.{name.strip('`')}"] = json.loads(cells[1].strip("`"))
            elif len(cells) == 1:
                found[f"providers.{name.strip('`')}.keys_url"] = json.loads(cells[0].strip("`"))
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    shown = report.settings(Settings(Config(), ""))["settings"]
    assert documented_settings() == {one["key"]: one["value"] for one in shown}


def test_every_step_of_a_dry_run_is_documented() -> None:
    lists = re.findall(r'"step": ((?:"\w+"\|?)+)', (DOCS / "commands.md").read_text())
    documented = set(re.findall(r"\w+", " ".join(lists)))
    assert documented == {kind.__name__.lower() for kind in get_args(Step)}


def classes_of_errors(trees: list[ast.Module]) -> set[str]:
    found = {"PairingError"}
    derived = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while (
        more := {
            one.name
            for one in derived
            if any(isinstance(base, ast.Name) and base.id in found for base in one.bases)
        }
        - found
    ):
        found |= more
    return found


def codes(trees: list[ast.Module]) -> Iterator[str]:
    """The first argument of every error and warning, and `code` of those in JSON."""
    errors = classes_of_errors(trees) | {"Problem"}
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(code)), *_]):
                if name in errors:
                    yield code
            case ast.Dict(keys=keys, values=values):
                pairs = {
                    key.value: value
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                match pairs.get("code"):
                    case ast.Constant(value=str(code)) if "hint" in pairs:
                        yield code


def test_every_error_is_explained_and_no_other() -> None:
    sources = [path for name in ("pairingd", "pairctl") for path in (ROOT / name).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources]
    explained = {row[0].strip("`") for row in rows((DOCS / "errors.md").read_text("utf-8"))}
    assert explained == set(codes(trees))


def checkers() -> Mapping[str, tuple[str, ...]]:
    return {
        "mandoc": ("mandoc", "-Tlint", "-W", "warning"),
        "groff": ("groff", "-mandoc", "-ww", "-Tutf8", "-K", "utf8", "-z"),
    }


@pytest.mark.parametrize("manual", MANUALS, ids=lambda page: page.name)
@pytest.mark.parametrize("checker", checkers())
def test_a_manual_is_well_formed(manual: Path, checker: str) -> None:
    if not shutil.which(checker):
        pytest.skip(f"{checker} is not installed")
    done = subprocess.run(
        [*checkers()[checker], manual], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
