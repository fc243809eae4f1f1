"""The files of the gallery, tested without a browser. The laws:

- Every page is well-formed HTML, and every link and reference in it has a target.
- Text of any content is shown as it is, and does not change the structure of a page.
- A film can be rebuilt from its data, and the same exhibits give the same bytes.
- Invalid exhibits are rejected before anything is written.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from convarith_gallery.drawing.film import Box, Film, Line
from convarith_gallery.drawing.theme import THEMES
from convarith_gallery.page.page import WEB, Exhibit, film_data, gallery_files, write_gallery
from hypothesis import given
from hypothesis import strategies as st
from support.exhibits import EXHIBITS, HOSTILE, exhibit, window_film

from convarith.errors import ConvarithError, ParameterError

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "input"}
PICTURES = {"slanted": ["slanted.svg", "more/a b#1 ö.gif"]}
FILES = gallery_files(EXHIBITS, PICTURES)
PAGES = sorted(name for name in FILES if name.endswith(".html"))


class Page(HTMLParser):
    """The elements and texts of a page. It fails if an element is not closed, or closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute appears twice: {tag} {names}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def read(name: str) -> Page:
    return Page(FILES[name])


def received(script: str) -> tuple[str, dict[str, object]]:
    """The name and the data in the script of a film."""
    found = re.fullmatch(r'receiveFilm\(("[^"]*"), (.*)\);\n', script)
    assert found is not None
    return json.loads(found[1]), json.loads(found[2])


def film_of(data: dict[str, object]) -> Film:
    """The film from which this data was made."""
    sides = json.loads(json.dumps(data))
    pool = [
        Line(**{**item, "points": tuple(map(tuple, item["points"]))}) if "points" in item else Box(**item)
        for item in sides["pool"]
    ]

    def taken(number: int | None) -> Box | Line | None:
        return None if number is None else pool[number]

    frames = tuple({int(key): taken(number) for key, number in frame.items()} for frame in sides["frames"])
    return Film(
        sides["width"], sides["height"], tuple(map(taken, sides["items"])), frames,
        tuple(sides["captions"]), sides["title"], sides["alt"],
    )  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_its_identifiers_are_unique(name: str) -> None:
    page = read(name)
    assert FILES[name].startswith("<!DOCTYPE html>\n<html lang=")
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    for names in page.values("aria-labelledby"):
        assert set(names.split()) <= set(identifiers)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_has_a_target(name: str, tmp_path: Path) -> None:
    write_gallery(EXHIBITS, tmp_path, PICTURES)
    for picture in PICTURES["slanted"]:
        (tmp_path / picture).parent.mkdir(exist_ok=True)
        (tmp_path / picture).touch()
    page = read(name)
    links = [*page.values("href"), *page.values("src"), *page.values("data-film")]
    assert len(links) > 5
    for link in links:
        parts = urlsplit(link)
        if link == "data:,":
            continue
        assert (parts.scheme, parts.netloc) == ("", ""), link
        target = (tmp_path / name).parent / unquote(parts.path) if parts.path else tmp_path / name
        assert target.is_file(), link
        if parts.fragment:
            assert parts.fragment in read(target.resolve().relative_to(tmp_path.resolve()).as_posix()).values("id")


def test_the_index_and_the_next_and_previous_links_reach_every_scene() -> None:
    links = [link for link in read("index.html").values("href") if link.startswith("scenes/")]
    assert sorted(links) == [name for name in PAGES if name != "index.html"]
    order = [link.removeprefix("scenes/") for link in links]
    for number, name in enumerate(order):
        turns = {attributes["rel"]: attributes["href"] for _, attributes in read(f"scenes/{name}").elements
                 if attributes.get("rel") in ("prev", "next")}  # fmt: skip
        assert turns.get("prev") == (order[number - 1] if number else None)
        assert turns.get("next") == (order[number + 1] if number + 1 < len(order) else None)


def test_hostile_text_is_shown_and_has_no_effect() -> None:
    for name in ("index.html", "scenes/hostile.html"):
        page = read(name)
        assert [tag for tag, _ in page.elements].count("script") == 1
        # group, title, text, call, command, and the name and the value of a parameter
        assert "".join(page.texts).count(HOSTILE) >= 6
    name, data = received(FILES["assets/films/hostile.js"])
    assert (name, data["title"]) == ("hostile", HOSTILE)
    assert FILES["assets/films/hostile.js"].isascii()


@given(title=st.text())
def test_any_title_stays_text(title: str) -> None:
    page = Page(gallery_files([exhibit("any", title, title, window_film(3))], {})["scenes/any.html"])
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert "".join(page.texts).count(title) >= 2


@pytest.mark.parametrize("shown", EXHIBITS, ids=lambda shown: shown.name)
def test_a_film_can_be_rebuilt_from_its_script(shown: Exhibit) -> None:
    name, data = received(FILES[f"assets/films/{shown.name}.js"])
    assert (name, film_of(data)) == (shown.name, shown.film)


def boxes() -> st.SearchStrategy[Box]:
    lengths = st.floats(-1e4, 1e4)
    roles = st.sampled_from(sorted(THEMES["light"].colours))
    return st.builds(
        Box, lengths, lengths, lengths, lengths, fill=roles, edge=st.none() | roles, text=st.text(), size=lengths,
        bold=st.booleans(), align=st.sampled_from(["left", "center", "right"]), ink=st.none() | roles, note=st.text(),
        slant=lengths, hatched=st.booleans(), heavy=st.booleans(),
    )  # fmt: skip


@given(st.data())
def test_any_film_can_be_rebuilt_from_its_data(data: st.DataObject) -> None:
    points = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
    lines = st.builds(Line, st.lists(points, min_size=1).map(tuple), width=st.floats(0, 9))
    items = data.draw(st.lists(st.none() | boxes() | lines, max_size=5))
    numbers = st.integers(0, max(len(items) - 1, 0))
    frames = data.draw(st.lists(st.dictionaries(numbers, st.none() | boxes() | lines), min_size=1, max_size=4))
    film = Film(
        10, 20, tuple(items), tuple(frames), tuple("x" for _ in frames), data.draw(st.text()), data.draw(st.text())
    )
    assert film_of(film_data(film)) == film


def test_film_data_has_each_item_once_and_no_defaults() -> None:
    film = window_film(8)
    data = film_data(film)
    every = {*film.items, *(item for changes in film.frames for item in changes.values())} - {None}
    assert len(data["pool"]) == len(every)
    assert all("slant" not in item and "bold" not in item for item in data["pool"] if item.get("fill") == "kernel")


def test_the_same_exhibits_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_gallery(EXHIBITS, tmp_path / folder, PICTURES)
    written = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert [path.as_posix() for path in written] == sorted(FILES)
    for path in written:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_other_files_are_kept_and_the_index_is_written_last(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "mine.txt").write_text("mine")
    paths = write_gallery(EXHIBITS, str(tmp_path))
    assert paths[-1] == tmp_path / "index.html"
    assert all(path.is_file() for path in paths)
    assert (tmp_path / "scenes" / "mine.txt").read_text() == "mine"


def test_style_and_script_load_nothing_from_elsewhere() -> None:
    for name in ("gallery.css", "gallery.js"):
        text = (WEB / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"https?:|//\w|@import|url\(|fetch\(|eval\(|innerHTML", text) == []


def test_every_role_of_the_themes_is_a_property() -> None:
    for role in THEMES["light"].colours:
        assert f"  --{role}: light-dark(#" in FILES["assets/colours.css"]
        assert f"  --on-{role}: light-dark(#" in FILES["assets/colours.css"]
    assert "  --input: light-dark(#0072b2, #0072b2);" in FILES["assets/colours.css"]


def test_wide_films_take_the_space_of_two_cards() -> None:
    cards = [attributes["class"] for tag, attributes in read("index.html").elements if tag == "article"]
    assert cards.count("card") == len(EXHIBITS)
    wide = exhibit("wide", "g", "t", window_film(18))
    assert '<article class="card wide"' in gallery_files([wide], {})["index.html"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "ä", "a\n", 'a"b'])
def test_names_that_cannot_be_file_names_are_rejected(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError, match=r"cannot be a file name: start with a letter or digit, and use only letters"
    ):
        write_gallery([exhibit(name, "g", "t", window_film(3))], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_name_clashes_with_an_identifier_of_the_page() -> None:
    names = ("search", "said", "group-0", "group-0-title", "title", "title-search", "scene", "scene-search")
    index = Page(gallery_files([exhibit(name, "g", "t", window_film(3)) for name in names], {})["index.html"])
    identifiers = index.values("id")
    assert len(identifiers) == len(set(identifiers))


def test_names_that_differ_only_in_case_are_rejected() -> None:
    with pytest.raises(
        ParameterError, match="two exhibits have the name 'Same': give each a name that differs in more"
    ):
        gallery_files([exhibit(name, "g", "t", window_film(3)) for name in ("same", "Same")], {})


def test_films_without_one_caption_per_frame_are_rejected() -> None:
    empty = Film(9, 9, (), (), (), "", "")
    short = Film(9, 9, (), ({}, {}), ("one",), "", "")
    for film, counts in ((empty, "0 frames and 0 captions"), (short, "2 frames and 1 caption")):
        with pytest.raises(ParameterError, match=f"has {counts}: give at least one frame, and one caption per frame"):
            gallery_files([exhibit("film", "g", "t", film)], {})


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConvarithError, match=r"cannot make the folder .*: "):
        write_gallery(EXHIBITS, tmp_path / "file")
