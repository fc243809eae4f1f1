"""Drawing films as SVG. The tests parse the file as XML and evaluate its CSS animations. The laws:

- At every moment, exactly the items of the current frame are visible.
- Each group has one animation, and items that never change have none.
- Without animations, the last frame is visible.
- Every class has a rule in each theme; text is escaped, and fits in each of the fonts.
- A still has no animation.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from convarith_gallery.drawing.film import Box, Film, Item, Line
from convarith_gallery.drawing.raster import FONTS
from convarith_gallery.drawing.svg import drawn, svg, text_width
from convarith_gallery.drawing.theme import THEMES
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont
from support.random_films import films

from convarith.errors import ParameterError

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def style(root: ElementTree.Element) -> str:
    found = root.find(f"{SVG}style")
    assert found is not None
    return "".join(found.itertext())


def elements(parent: ElementTree.Element) -> list[str]:
    """The drawn elements, each as a text without its namespace."""
    tags = (f"{SVG}path", f"{SVG}polyline", f"{SVG}text")
    return [plain(element) for element in parent if element.tag in tags]


def plain(element: ElementTree.Element) -> str:
    return f"{element.tag.removeprefix(SVG)} {sorted(element.attrib.items())} {element.text}"


def expected(items: list[Item]) -> list[str]:
    return sorted(
        plain(element) for item in items for element in parsed(f'<svg xmlns="{SVG[1:-1]}">{drawn(item)}</svg>')
    )


def visible_at(root: ElementTree.Element, share: float | None) -> list[str]:
    """What is visible after this share of the film, or without animations if `share` is None."""
    rules = style(root)
    found = elements(root)
    for group in root.findall(f"{SVG}g"):
        name = group.attrib["class"]
        base = re.search(rf"\.{name}{{visibility:(\w+);animation-name:{name}}}", rules)
        assert base is not None
        visibility = base[1]
        if share is not None:
            steps = re.search(rf"@keyframes {name}{{((?:[\d.]+%{{visibility:\w+}})+)}}", rules)
            assert steps is not None
            for percent, value in re.findall(r"([\d.]+)%{visibility:(\w+)}", steps[1]):
                if float(percent) <= 100 * share:
                    visibility = value
        if visibility == "visible":
            found += elements(group)
    return sorted(found)


@given(films(), st.sampled_from((0.1, 0.5, 1.3)), st.sampled_from((0, 0.7, 2)))
def test_exactly_the_items_of_the_current_frame_are_visible(film: Film, seconds: float, hold: float) -> None:
    root = parsed(svg(film, seconds=seconds, hold=hold))
    length = seconds * (len(film.frames) - 1) + max(seconds, hold)
    for number, shown in enumerate(film.shown()):
        items = expected([item for item in shown if item is not None])
        end = length if number == len(film.frames) - 1 else (number + 1) * seconds
        for moment in (number * seconds + 1e-4, end - 1e-4):
            assert visible_at(root, moment / length) == items
    assert visible_at(root, None) == items


@given(films())
def test_every_class_has_a_rule(film: Film) -> None:
    for theme in ("light", "auto"):
        root = parsed(svg(film, theme))
        rules = style(root)
        for element in root.iter():
            for name in element.attrib.get("class", "").split():
                assert f".{name}{{" in rules
                if theme == "auto" and name[:2] in ("f-", "e-", "i-"):
                    assert rules.count(f".{name}{{") == 2


def test_every_frame_has_its_key_time() -> None:
    """A different cell changes in each frame, so every frame has a key time."""
    count = 12
    cells = [Box(10 * at, 0, 10, 10, "input") for at in range(count)]
    frames = tuple(
        {at: cells[at]._replace(fill="now")} | ({at - 1: cells[at - 1]} if at else {}) for at in range(count)
    )
    rules = style(parsed(svg(Film(120, 10, tuple(cells), frames, ("",) * count, "", ""), hold=0.5)))
    times = {float(percent) for percent in re.findall(r"([\d.]+)%{", rules)}
    assert sorted(times) == pytest.approx([100 * at / count for at in range(count)], abs=1e-4)


def test_an_item_that_never_changes_is_written_once() -> None:
    box = Box(0, 0, 9, 9, "input", text="still")
    film = Film(9, 9, (box,), ({}, {0: box}, {}), ("",) * 3, "", "")
    assert svg(film).count(">still<") == 1
    assert "@keyframes" not in svg(film)


def test_title_and_description() -> None:
    film = Film(30, 20, (Box(0, 0, 30, 20, text="<1 & 2>"),), ({},), ("",), 'A "title" <&>', "What\x00 it shows → &")
    root = parsed(svg(film))
    assert root.attrib["role"] == "img"
    assert (root.attrib["width"], root.attrib["height"]) == ("30", "20")
    assert root.findtext(f"{SVG}title") == 'A "title" <&>'
    assert root.findtext(f"{SVG}desc") == "What it shows → &"
    assert root.findtext(f"{SVG}text") == "<1 & 2>"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_theme_auto_has_the_colours_of_both_themes(theme: str) -> None:
    film = Film(30, 20, (Box(0, 0, 30, 20, "unread", text="1"), Line(((0, 0), (9, 9)))), ({},), ("",), "", "")
    light, dark = style(parsed(svg(film, "auto"))).split("@media(prefers-color-scheme:dark)")
    rules = {"light": light, "dark": dark}[theme]
    colours = THEMES[theme].colours
    for name, role in (("f-unread", "unread"), ("i-on-unread", THEMES[theme].ink_on("unread")), ("f-paper", "paper")):
        assert f".{name}{{fill:#{bytes(colours[role]).hex()}}}" in rules


@pytest.mark.parametrize(("loops", "count"), [(0, "infinite"), (1, "1"), (3, "3")])
def test_the_number_of_loops(loops: int, count: str) -> None:
    film = Film(9, 9, (Box(0, 0, 9, 9),), ({}, {0: None}), ("", ""), "", "")
    assert f"g{{animation:2.5s step-end {count}}}" in svg(film, loops=loops)


@pytest.mark.parametrize("bold", [False, True])
def test_text_width_is_an_upper_bound(bold: bool) -> None:
    font = ImageFont.truetype(FONTS / ("figure-sans-bold.ttf" if bold else "figure-sans.ttf"), 100)
    for text in (
        "−12.5",
        "0123456789",
        "Conv2d(1, 1, 3, stride=2)",
        "o = ⌊(i + 2p − k) / s⌋ + 1",
        "4 × 4 → 2 × 2",
        "WMwm",
    ):
        assert font.getlength(text) / 100 <= text_width(text, bold)


def test_an_unknown_theme_is_rejected() -> None:
    with pytest.raises(ParameterError, match="theme 'blue' is unknown"):
        svg(Film(9, 9, (), ({},), ("",), "", ""), "blue")
