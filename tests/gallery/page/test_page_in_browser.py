"""The gallery in a real browser, opened from disk. The laws:

- No page that any test opens uses the network or reports an error.
- Each frame shows exactly the items of the film, however it was reached: by playing, stepping, seeking or a link.
- Buttons, slider and keys play, pause and step; the settings (speed, loop and theme) are remembered.
- Every control has a name, all text has enough contrast, and nothing moves by itself if the user prefers less motion.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from convarith_gallery.drawing.film import Box, Line
from convarith_gallery.drawing.theme import THEMES
from convarith_gallery.page.page import write_gallery
from support.exhibits import EXHIBITS

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")]

OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
FILMS = {exhibit.name: exhibit.film for exhibit in EXHIBITS}
NAME = "no_padding_no_strides"
STEP = 600
"""Milliseconds that a step is shown at speed 1. The last step is shown for less than four times as long."""

Page = Any
"""A playwright page; typed as Any because playwright is optional."""
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("gallery")
    write_gallery(EXHIBITS, place)
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def reported() -> list[str]:
    """The errors that pages report, and their network requests. Must be empty at the end of each test."""
    return []


@pytest.fixture
def open_page(browser: Any, folder: Path, reported: list[str]) -> Iterator[Open]:
    """A function that opens a page of the gallery, waits for its film to be drawn, and stops its clock."""
    contexts = []

    def open_page(path: str = f"scenes/{NAME}.html#frame=1", script: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: reported.append(message.text))
        page.on("pageerror", lambda error: reported.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or reported.append(request.url))
        page.clock.install(time=0)
        page.clock.pause_at(1)
        if script:
            page.add_init_script(script)
        page.goto(f"{folder.as_uri()}/{path}")
        page.wait_for_selector(".stage svg")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert reported == []


def step(page: Page) -> int:
    """The current step; counter and slider must agree on it."""
    found = re.fullmatch(r"step (\d+) of \d+", page.locator(".counter").first.text_content())
    assert found is not None
    slider = page.get_by_role("slider").first
    assert slider.input_value() == found[1]
    assert slider.get_attribute("aria-valuetext") == found[0]
    return int(found[1])


def drawing(page: Page) -> str:
    html: str = page.locator(".stage svg").first.inner_html()
    return html


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def wait_for_step(page: Page, number: int, most: int = 20) -> None:
    """Let time pass until this step is shown."""
    for _ in range(most):
        if step(page) == number:
            return
        page.clock.run_for(STEP)
    raise AssertionError(f"step {number} was not reached")


# ---- what is drawn


@pytest.mark.parametrize("name", sorted(FILMS))
def test_every_frame_shows_the_items_of_the_film(open_page: Open, name: str) -> None:
    """The oracle is Film.shown in Python; compared are fill, outline, hatching and text of each box, and each line."""
    film = FILMS[name]
    page = open_page(f"scenes/{name}.html#frame=1", color_scheme="light")
    colours = {role: "rgb({}, {}, {})".format(*colour) for role, colour in THEMES["light"].colours.items()}
    for number, items in enumerate(film.shown(), start=1):
        assert step(page) == number
        assert page.locator(".caption").text_content() == film.captions[number - 1]
        boxes, lines = page.evaluate(
            """() => [...document.querySelectorAll(".stage svg > g")].map((layer) => [...layer.children].map((slot) =>
            [...slot.children].map((node) => [node.tagName, getComputedStyle(node).fill,
                getComputedStyle(node).stroke, node.textContent])))"""
        )
        for item, box, line in zip(items, boxes, lines, strict=True):
            shapes = [(fill, stroke) for tag, fill, stroke, _ in box if tag == "path"]
            texts = [text for tag, _, _, text in box if tag == "text"]
            if isinstance(item, Line):
                assert (box, line) == ([], [["path", "none", colours[item.colour], ""]])
            elif item is None:
                assert (box, line) == ([], [])
            else:
                assert line == []
                assert texts == [text for text in (item.text, item.note) if text]
                inks = {fill for tag, fill, _, _ in box if tag == "text"}
                assert inks <= {colours[item.ink or THEMES["light"].ink_on(item.fill)]}
                assert_shape(item, shapes, colours)
        press(page, "ArrowRight")


def assert_shape(item: Box, shapes: list[tuple[str, str]], colours: dict[str, str]) -> None:
    if item.edge is None and item.fill == "paper":
        assert shapes == []
        return
    assert shapes[0][0] == colours[item.fill]
    assert len(shapes) == 1 + item.hatched + item.heavy
    if item.hatched:
        assert shapes[1] == ("none", colours[item.ink or THEMES["light"].ink_on(item.fill)])
    assert item.edge is None or shapes[-1 if item.heavy else 0][1] == colours[item.edge]


def test_a_frame_looks_the_same_however_it_is_reached(open_page: Open) -> None:
    page = open_page(f"scenes/{NAME}.html")
    count = len(FILMS[NAME].frames)
    played = []
    for number in range(1, count + 1):
        wait_for_step(page, number)
        played.append(drawing(page))
    assert len(set(played)) == count

    press(page, "End")
    for number in range(count, 0, -1):
        assert (step(page), drawing(page)) == (number, played[number - 1])
        press(page, "ArrowLeft")
    for number in (5, 2, 9, 1, 7):
        page.get_by_role("slider").fill(str(number))
        assert (step(page), drawing(page)) == (number, played[number - 1])
    for number in (1, 4, count):
        assert drawing(open_page(f"scenes/{NAME}.html#frame={number}")) == played[number - 1]


def test_text_stays_in_the_picture(open_page: Open) -> None:
    page = open_page("scenes/slanted.html#frame=2")
    frame = page.locator(".stage svg").bounding_box()
    scale = frame["width"] / FILMS["slanted"].width
    assert scale == pytest.approx(frame["height"] / FILMS["slanted"].height, rel=0.5)
    for text in page.locator(".stage text").all():
        place = text.bounding_box()
        assert place["x"] >= frame["x"] - 1
        assert place["x"] + place["width"] <= frame["x"] + frame["width"] + 1


def test_text_shrinks_to_fit_its_box(open_page: Open) -> None:
    """Compares the width of each text, as the browser measures it, with the width of its box."""
    page = open_page("scenes/slanted.html#frame=4")
    widths = page.evaluate(
        """() => [...document.querySelectorAll(".stage svg > g:first-child > g")].map((slot) =>
        [...slot.querySelectorAll("text")].map((text) => text.getBBox().width))"""
    )
    *_, items = FILMS["slanted"].shown()
    for item, texts in zip(items, widths, strict=True):
        assert all(isinstance(item, Box) and width <= item.width + 0.5 for width in texts)


# ---- playing


def test_a_scene_plays_by_itself_and_pauses(open_page: Open) -> None:
    page = open_page(f"scenes/{NAME}.html")
    page.get_by_role("button", name="Pause").wait_for()
    wait_for_step(page, 3)
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("button", name="Play").count() == 1
    page.clock.run_for(10 * STEP)
    assert step(page) == 3
    page.get_by_role("button", name="Play").click()
    wait_for_step(page, 4, most=2)


def test_a_scene_does_not_play_by_itself_if_the_user_prefers_less_motion(open_page: Open) -> None:
    page = open_page(f"scenes/{NAME}.html", reduced_motion="reduce")
    page.clock.run_for(10 * STEP)
    assert step(page) == 1
    press(page, "Space")
    wait_for_step(page, 2, most=2)


def test_a_film_starts_again_only_if_it_loops(open_page: Open) -> None:
    page = open_page("scenes/slanted.html#frame=3")
    press(page, "Space")
    wait_for_step(page, 4, most=2)
    page.clock.run_for(STEP)
    assert step(page) == 4  # the last step is shown longer
    wait_for_step(page, 1, most=4)
    page.get_by_label("Loop").uncheck()
    wait_for_step(page, 4)
    assert page.get_by_role("button", name="Play").count() == 1
    page.clock.run_for(10 * STEP)
    assert step(page) == 4
    page.get_by_role("button", name="Play").click()
    assert step(page) == 1


@pytest.mark.parametrize(("speed", "duration", "expected"), [("0.25", 4 * STEP, 2), ("1", 4 * STEP, 5), ("4", STEP, 5)])
def test_speed_sets_the_number_of_steps_per_time(open_page: Open, speed: str, duration: int, expected: int) -> None:
    page = open_page()
    page.get_by_label("Speed").select_option(speed)
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(duration)
    assert step(page) == expected


def test_buttons_step_and_stop_at_the_ends(open_page: Open) -> None:
    page = open_page()
    back, forward = (page.get_by_role("button", name=name) for name in ("Step back", "Step forward"))
    back.click()
    assert step(page) == 1
    for number in (2, 3):
        forward.click()
        assert step(page) == number
    back.click()
    assert step(page) == 2
    press(page, "End")
    forward.click()
    assert step(page) == 9


def test_keys_play_step_and_go_to_the_ends(open_page: Open) -> None:
    page = open_page()
    for key, number in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 9), ("Home", 1)):
        press(page, key)
        assert step(page) == number
    press(page, "Space")
    wait_for_step(page, 2, most=2)
    press(page, "Space")
    page.clock.run_for(10 * STEP)
    assert step(page) == 2
    press(page, "Control+ArrowRight")
    assert step(page) == 2


def test_focused_controls_keep_their_own_keys(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Step forward").focus()
    press(page, "Space")
    assert step(page) == 2  # the button was pressed, the film not played
    page.clock.run_for(10 * STEP)
    assert step(page) == 2
    page.get_by_role("slider").focus()
    press(page, "ArrowRight")
    assert step(page) == 3
    page.get_by_label("Speed").focus()
    press(page, "End")
    assert step(page) == 3


def test_a_click_on_the_picture_plays(open_page: Open) -> None:
    page = open_page()
    page.locator(".stage").click()
    wait_for_step(page, 2, most=2)
    page.locator(".stage").click()
    press(page, "ArrowRight")
    assert step(page) == 3


def test_controls_are_disabled_for_a_single_step(open_page: Open) -> None:
    page = open_page("scenes/still.html")
    assert step(page) == 1
    for control in (*page.locator(".controls button").all(), page.get_by_role("slider")):
        assert control.is_disabled()
    press(page, "Space", "ArrowRight")
    assert step(page) == 1


# ---- links


@pytest.mark.parametrize(("link", "number"), [("#frame=3", 3), ("#frame=99", 9), ("#frame=0", 1)])
def test_a_link_opens_its_frame(open_page: Open, link: str, number: int) -> None:
    page = open_page(f"scenes/{NAME}.html{link}")
    page.clock.run_for(10 * STEP)
    assert step(page) == number


def test_the_url_contains_the_frame(open_page: Open) -> None:
    page = open_page()
    press(page, "ArrowRight", "ArrowRight")
    assert page.url.endswith(".html#frame=3")
    page.evaluate("location.hash = 'frame=6'")
    page.wait_for_function("document.querySelector('.counter').textContent === 'step 6 of 9'")


# ---- the index


def test_a_film_is_loaded_when_it_is_about_to_scroll_into_view(open_page: Open) -> None:
    page = open_page("index.html", viewport={"width": 390, "height": 700})
    assert 0 < page.locator(".stage svg").count() < len(EXHIBITS)
    for card in page.locator(".card").all():
        card.scroll_into_view_if_needed()
        card.locator(".stage svg").wait_for()
    assert page.locator(".stage svg").count() == len(EXHIBITS)


def test_cards_start_in_the_middle_and_play_alone_or_together(open_page: Open) -> None:
    page = open_page("index.html")
    counter = page.locator(".counter")
    page.wait_for_function("document.querySelectorAll('.stage svg').length >= 2")
    page.clock.run_for(10 * STEP)
    assert step(page) == 5
    page.locator(".card .play").first.click()
    wait_for_step(page, 6, most=2)
    assert counter.nth(1).text_content() == "step 2 of 4"
    page.get_by_role("button", name="Play all").click()
    page.clock.run_for(STEP)
    assert counter.nth(1).text_content() == "step 3 of 4"
    page.get_by_role("button", name="Pause all").click()
    seen = counter.all_text_contents()
    page.clock.run_for(10 * STEP)
    assert counter.all_text_contents() == seen


def test_keys_control_the_card_that_has_the_focus(open_page: Open) -> None:
    page = open_page("index.html")
    page.wait_for_function("document.querySelectorAll('.stage svg').length >= 2")
    page.get_by_role("slider").nth(1).focus()
    press(page, "Home", "ArrowRight", "ArrowRight")
    assert page.locator(".counter").all_text_contents()[:2] == ["step 5 of 9", "step 3 of 4"]


def test_search_shows_the_cards_that_contain_all_words(open_page: Open) -> None:
    page = open_page("index.html")
    field = page.get_by_role("searchbox", name="Search the scenes")
    field.fill("LARGER  map")
    assert [card.get_attribute("id") for card in page.locator(".card:visible").all()] == ["scene-wide.and-long"]
    assert page.locator(".group:visible").count() == 1
    assert page.locator("#found").text_content() == "1 of 5 scenes"
    field.fill("no such scene")
    assert page.get_by_text("No scene contains all of these words.").is_visible()
    field.fill("")
    assert page.locator(".card:visible").count() == len(EXHIBITS)
    assert page.locator("#found").text_content() == "5 scenes"


def test_a_card_shows_its_parameters_and_code(open_page: Open) -> None:
    page = open_page("index.html")
    card = page.locator(".card").first
    assert not card.get_by_text("convarith animate").is_visible()
    card.get_by_text("Parameters and code").click()
    assert card.get_by_text("convarith animate").is_visible()
    assert card.get_by_role("row", name="stride 1").is_visible()


def test_copy_copies_the_exact_text(open_page: Open) -> None:
    page = open_page("scenes/hostile.html#frame=1", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_text("Copied").first.wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == EXHIBITS[-1].command


def test_code_is_selected_if_copying_is_not_allowed(open_page: Open) -> None:
    page = open_page(script="navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    page.get_by_role("button", name="Copy the code").click()
    page.wait_for_function("document.getElementById('said').textContent === 'Selected'")
    assert page.evaluate("getSelection().toString()") == EXHIBITS[0].call


# ---- settings


def test_theme_changes_page_and_picture_and_is_remembered(open_page: Open) -> None:
    page = open_page(color_scheme="light")

    def paper() -> str:
        colour: str = page.evaluate("getComputedStyle(document.querySelector('.stage')).backgroundColor")
        return colour

    def expected(theme: str) -> str:
        return "rgb({}, {}, {})".format(*THEMES[theme].colours["paper"])

    assert paper() == expected("light")
    before = drawing(page)
    page.get_by_label("Theme").select_option("dark")
    assert (paper(), drawing(page)) == (expected("dark"), before)
    page.reload()
    page.wait_for_selector(".stage svg")
    assert paper() == expected("dark")
    assert page.get_by_label("Theme").input_value() == "dark"
    page.get_by_label("Theme").select_option("auto")
    assert paper() == expected("light")
    page.emulate_media(color_scheme="dark")
    assert paper() == expected("dark")
    page.get_by_label("Theme").select_option("light")
    assert paper() == expected("light")


def test_speed_and_loop_are_remembered_across_pages(open_page: Open, folder: Path) -> None:
    page = open_page()
    page.get_by_label("Speed").select_option("2")
    page.get_by_label("Loop").uncheck()
    page.goto(f"{folder.as_uri()}/index.html")
    assert page.get_by_label("Speed").input_value() == "2"
    assert not page.get_by_label("Loop").is_checked()


def test_without_storage_settings_work_but_are_not_remembered(open_page: Open) -> None:
    page = open_page(
        script="Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied'); } })"
    )
    page.get_by_label("Theme").select_option("dark")
    page.get_by_label("Speed").select_option("4")
    press(page, "ArrowRight")
    assert step(page) == 2


def test_an_invalid_remembered_value_becomes_the_default(open_page: Open) -> None:
    page = open_page(
        script="localStorage.setItem('convarith-speed', 'fast'); localStorage.setItem('convarith-theme', '')"
    )
    assert (page.get_by_label("Speed").input_value(), page.get_by_label("Theme").input_value()) == ("1", "auto")
    press(page, "Space")
    wait_for_step(page, 2, most=2)


# ---- accessibility


@pytest.mark.parametrize("path", ["index.html", "scenes/slanted.html#frame=1"])
def test_every_control_and_picture_has_a_name(open_page: Open, path: str) -> None:
    """The names are those that the browser reports to assistive technology."""
    page = open_page(path)
    for summary in page.locator("summary").all():
        summary.click()
    page.locator(".stage svg").nth(0).wait_for()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "combobox", "link", "searchbox", "checkbox", "image", "group", "navigation", "table"}
    found: dict[str, list[str]] = {}
    for node in tree:
        role = node.get("role", {}).get("value")
        if role in roles and not node["ignored"]:
            found.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert roles - {"searchbox", "group"} <= found.keys()
    unnamed = {role for role, names in found.items() if role != "group" and not all(map(str.strip, names))}
    assert unnamed == set()
    assert {"Play", "Step back", "Step forward", "Copy the code", "Copy the command"} <= set(found["button"])
    assert FILMS["slanted"].alt in found["image"]


def test_captions_are_announced_while_stepping_but_not_while_playing(open_page: Open) -> None:
    page = open_page()
    caption = page.locator(".caption")
    press(page, "ArrowRight")
    assert caption.get_attribute("aria-live") == "polite"
    press(page, "Space")
    assert caption.get_attribute("aria-live") == "off"
    press(page, "Space")
    assert caption.get_attribute("aria-live") == "polite"


def test_the_focus_is_visible(open_page: Open) -> None:
    page = open_page()
    seen = set()
    for _ in range(9):
        press(page, "Tab")
        width, name = page.evaluate(
            "[getComputedStyle(document.activeElement).outlineWidth, document.activeElement.className]"
        )
        assert width == "3px"
        seen.add(name)
    assert {"back", "play", "forward", "scrub"} <= seen


CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = parts(colour).slice(0, 3).map((part) => part / 255)
      .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour.startsWith("rgb(") || !element.parentElement ? colour : ground(element.parentElement);
  };
  return [...document.body.querySelectorAll("*:not(script, noscript, svg, svg *, option, :disabled)")]
    .filter((element) => element.checkVisibility() && (element.value || [...element.childNodes].some(
      (node) => node.nodeType === 3 && node.data.trim())))
    .map((element) => {
      const [dark, bright] = [getComputedStyle(element).color, ground(element)].map(luminance).sort((a, b) => a - b);
      return [element.outerHTML.slice(0, 60), (bright + 0.05) / (dark + 0.05)];
    });
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["index.html", f"scenes/{NAME}.html#frame=1"])
def test_all_text_has_enough_contrast(open_page: Open, path: str, theme: str) -> None:
    """WCAG 2.2, level AA: 4.5 is enough for text of every size."""
    page = open_page(path, color_scheme=theme)
    for summary in page.locator("summary").all():
        summary.click()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [pair for pair in contrasts if pair[1] < 4.5] == []


@pytest.mark.parametrize("width", [320, 768, 1400])
@pytest.mark.parametrize("path", ["index.html", "scenes/hostile.html#frame=1"])
def test_nothing_is_wider_than_the_window(open_page: Open, path: str, width: int) -> None:
    page = open_page(path, viewport={"width": width, "height": 800})
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_text_is_there(open_page: Open, browser: Any, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{folder.as_uri()}/scenes/{NAME}.html")
    assert FILMS[NAME].alt in page.locator(".stage").inner_text()
    assert "kernel_size=3" in page.locator("main").inner_text()
    context.close()


def test_a_missing_film_is_reported_in_its_place(
    open_page: Open, browser: Any, tmp_path: Path, reported: list[str]
) -> None:
    write_gallery(EXHIBITS[:2], tmp_path)
    (tmp_path / "assets" / "films" / "slanted.js").unlink()
    page = browser.new_page()
    page.on("pageerror", lambda error: reported.append(str(error)))
    page.goto(f"{tmp_path.as_uri()}/index.html")
    page.wait_for_selector(".stage svg")
    page.get_by_text("Cannot load assets/films/slanted.js.").wait_for()
    page.close()
