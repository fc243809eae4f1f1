"""The colour of each role in the light and the dark theme.

The palette is that of Okabe and Ito, whose colours can be told apart with every kind of colour vision
(https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from convarith.errors import ParameterError
from convarith.sizes.normalise import nearest

Colour = tuple[int, int, int]


class Theme(NamedTuple):
    """The colour of each role, as red, green and blue from 0 to 255."""

    name: str
    colours: dict[str, Colour]

    def ink_on(self, role: str) -> str:
        """The ink to use on the colour of a role: 'light' or 'dark', whichever has more contrast.

        >>> THEMES["light"].ink_on("input"), THEMES["light"].ink_on("kernel")
        ('light', 'dark')
        """
        return max(("light", "dark"), key=lambda ink: contrast(self.colours[ink], self.colours[role]))


@cache
def luminance(colour: Colour) -> float:
    """The relative luminance of a colour, from 0 to 1 (WCAG 2.2).

    >>> luminance((255, 255, 255))
    1.0
    """
    shares = (part / 255 for part in colour)
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return round(0.2126 * red + 0.7152 * green + 0.0722 * blue, 6)


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2).

    >>> contrast((0, 0, 0), (255, 255, 255))
    21.0
    """
    dark, bright = sorted((luminance(one), luminance(other)))
    return round((bright + 0.05) / (dark + 0.05), 4)


def _rgb(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


_SHARED = {
    "input": "#0072B2",  # a value that is not read in this step
    "kernel": "#E69F00",  # a tap of the kernel, and the value under it
    "output": "#009E73",  # a finished value
    "now": "#F0E442",  # the value that this step writes
    "light": "#FFFFFF",
    "dark": "#111111",
}
_THEMES = {
    "light": {
        "paper": "#FFFFFF", "ink": "#1B1B1B", "faint": "#5A5A5A", "edge": "#3A3A3A", "guide": "#D55E00",
        "padding": "#ECECEC", "unread": "#9FB8C8", "empty": "#E8F4FA", "lost": "#C9C9C9", "zero": "#D9E6EE",
        "level1": "#D7E3EE", "level2": "#A6C3DC", "level3": "#5F9BC6", "level4": "#2A6FA5", "level5": "#0B3C66",
    },
    "dark": {
        "paper": "#14171A", "ink": "#F2F2F2", "faint": "#A9B0B6", "edge": "#C5CBD0", "guide": "#FF8A3D",
        "padding": "#30363B", "unread": "#8C9EAA", "empty": "#1F2428", "lost": "#565D63", "zero": "#263B48",
        "level1": "#17324A", "level2": "#1F5482", "level3": "#3B82B8", "level4": "#82B5DC", "level5": "#D3E6F5",
    },
}  # fmt: skip
THEMES = {
    name: Theme(name, {role: _rgb(text) for role, text in (_SHARED | colours).items()})
    for name, colours in _THEMES.items()
}
"""The light and the dark theme. Roles whose colours differ between them: `paper` is the background, `ink` and `faint`
are text on it, `edge` outlines, `guide` joining lines, `padding` positions outside the input, `unread` inputs that no
window reads, `empty` outputs not yet written, `lost` outputs that are cropped, `zero` zeros inserted between inputs,
and `level1` to `level5` how often an output is hit.
"""


def theme(name: str) -> Theme:
    """The theme with this name. Raises ParameterError for an unknown name.

    >>> theme("dark").colours["paper"]
    (20, 23, 26)
    """
    if name not in THEMES:
        raise ParameterError(f"theme {name!r} is unknown: {nearest(name, THEMES)}")
    return THEMES[name]
