"""The colours can be told apart, and the text on them read, with every kind of colour vision. The laws:

- The ink that the theme chooses has a contrast of at least 4.5 on every fill (WCAG 2.2, AA).
- Roles that touch each other differ in brightness (contrast 1.5) or in colour (CIELAB distance 25), for normal vision
  and for simulated protanopia, deuteranopia and tritanopia (Machado, Oliveira and Fernandes 2009, severity 1).
"""

from __future__ import annotations

import pytest
from convarith_gallery.drawing.theme import THEMES, Colour, Theme, contrast, theme

from convarith.errors import ParameterError

FILLS = sorted(THEMES["light"].colours.keys() - {"ink", "faint", "edge", "guide", "light", "dark"})
NEIGHBOURS = (
    ("input", "kernel"), ("input", "now"), ("kernel", "output"), ("output", "now"), ("empty", "now"),
    ("empty", "output"), ("padding", "kernel"), ("zero", "kernel"), ("zero", "input"), ("unread", "input"),
    ("padding", "input"),
)  # fmt: skip
VISIONS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip
"""The matrices of the simulations, which act on linear RGB."""
each_theme = pytest.mark.parametrize("colours", THEMES.values(), ids=list(THEMES))


def linear(colour: Colour) -> list[float]:
    return [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]


def seen(colour: Colour, vision: str) -> Colour:
    light = linear(colour)
    red, green, blue = (
        min(max(sum(weight * part for weight, part in zip(row, light, strict=True)), 0), 1) for row in VISIONS[vision]
    )
    parts = [12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055 for part in (red, green, blue)]
    return round(255 * parts[0]), round(255 * parts[1]), round(255 * parts[2])


def lab(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = linear(colour)
    x, y, z = (
        part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116
        for part in (
            (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047,
            0.2126729 * red + 0.7151522 * green + 0.0721750 * blue,
            (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: Colour, other: Colour) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(lab(one), lab(other), strict=True)) ** 0.5)


def test_lab_matches_known_cielab_values() -> None:
    assert lab((255, 255, 255)) == pytest.approx((100, 0, 0), abs=0.01)
    assert lab((255, 0, 0)) == pytest.approx((53.24, 80.09, 67.20), abs=0.01)


@each_theme
@pytest.mark.parametrize("role", FILLS)
def test_text_is_readable_on_every_fill(colours: Theme, role: str) -> None:
    assert contrast(colours.colours[colours.ink_on(role)], colours.colours[role]) >= 4.5


@each_theme
@pytest.mark.parametrize("role", ["ink", "faint"])
def test_text_is_readable_on_the_paper(colours: Theme, role: str) -> None:
    assert contrast(colours.colours[role], colours.colours["paper"]) >= 4.5


@each_theme
@pytest.mark.parametrize("role", ["edge", "guide"])
def test_lines_are_visible_on_the_paper(colours: Theme, role: str) -> None:
    assert contrast(colours.colours[role], colours.colours["paper"]) >= 3


@each_theme
@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
def test_roles_that_touch_can_be_told_apart(colours: Theme, vision: str, one: str, other: str) -> None:
    first, second = (seen(colours.colours[role], vision) for role in (one, other))
    assert contrast(first, second) >= 1.5 or distance(first, second) >= 25


def test_the_themes_have_the_same_roles() -> None:
    assert THEMES["light"].colours.keys() == THEMES["dark"].colours.keys()


def test_an_unknown_theme_is_rejected() -> None:
    with pytest.raises(ParameterError, match="theme 'drak' is unknown: did you mean 'dark'"):
        theme("drak")
