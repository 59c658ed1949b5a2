"""The pictures in README and docs stand alone, each is named by a page, and a scene can be drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.pictures.chart import chart
from tests.pictures.drawing import Window, picture
from tests.pictures.recording import Frame, film
from tests.pictures.scenes import SCENES
from tests.pictures.screen import BACKGROUND, FOREGROUND, Run, read
from tests.pictures.studio import Studio

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
WINDOW = Window("mark (host)", 20, 2)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_parses_and_names_no_outside_resource(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    drawn = ET.fromstring(text)
    assert drawn.tag == f"{SVG}svg"
    assert drawn.findtext(f"{SVG}title")
    assert all(each.tag.startswith(SVG) for each in drawn.iter())
    names = {name for each in drawn.iter() for name in each.attrib}
    assert not {name for name in names if name.endswith("href") or name.startswith("on")}
    assert not re.search(r"url\(|@import|<script|<!ENTITY", text)
    assert text.count("://") == 1  # its namespace


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_and_names_nothing_of_the_machine_that_drew_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < (200_000 if "<animate" in text else 60_000)
    assert not re.search(r"/tmp|/work|/home|/Users|127\.0\.0\.1|root|pairhost", text)


def test_the_pages_name_each_picture_and_no_other() -> None:
    named = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)\s]+\.svg)\)", page.read_text("utf-8"))
    }
    assert named == set(PICTURES)


def test_a_captured_screen_is_read_with_its_colours_and_columns() -> None:
    first, second = read("\x1b[1ma \x1b[31mb\x1b[0m 日本 c\n\x1b[7m  \x1b[0m\n").lines
    assert [(run.text, run.column, run.columns) for run in first] == [
        ("a ", 0, 2),
        ("b", 2, 1),
        (" 日本 c", 3, 7),
    ]
    assert first[0].bold
    assert first[1].colour != FOREGROUND
    assert second == (Run(0, 2, "  ", BACKGROUND, FOREGROUND),)


def test_text_is_drawn_at_its_column_and_escaped() -> None:
    drawn = ET.fromstring(picture("<&>", [(WINDOW, read("<a>  &b"))]))
    texts = {each.text: each.attrib for each in drawn.iter(f"{SVG}text")}
    assert texts["<a>"]["x"] == "0"
    assert texts["&b"]["x"] == "40"
    assert texts["&b"]["textLength"] == "16"


def test_a_recording_shows_each_line_while_it_is_on_the_screen() -> None:
    frames = [Frame((read(text),), 1.0, "about") for text in ("stays\none", "stays\ntwo")]
    drawn = ET.fromstring(film("film", [WINDOW], frames, still=1))
    shown = {
        text.text: (group.get("visibility"), animated.get("keyTimes"), animated.get("values"))
        for group in drawn.iter(f"{SVG}g")
        if (animated := group.find(f"{SVG}animate")) is not None
        and (text := group.find(f"{SVG}text")) is not None
    }
    assert shown == {
        "one": ("hidden", "0;0.5", "visible;hidden"),
        "two": ("visible", "0;0.5", "hidden;visible"),
    }


def test_the_chart_is_that_of_the_figures() -> None:
    figures = json.loads((ROOT / "docs" / "performance.json").read_text("utf-8"))["figures"]
    drawn = chart(figures)
    assert drawn == (ROOT / "docs" / "pictures" / "performance.svg").read_text("utf-8")
    for one in figures:
        assert (f">{one['what']}<" in drawn) == (one["ratio"] is not None)


def test_a_scene_is_drawn_from_both_screens() -> None:
    with Studio() as studio:
        drawn = SCENES["approval"](studio)
    texts = {each.text for each in ET.fromstring(drawn).iter(f"{SVG}text")}
    assert "Ctrl-Y lets them in, Ctrl-N turns them away." in texts
    assert any("waiting for the host" in str(text) for text in texts)
