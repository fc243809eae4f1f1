"""Words for people: numbers with their nouns, axes with their letters."""

from convarith.layers.base import AXIS_NAMES


def axis_names(count: int) -> tuple[str, ...]:
    """The letters of the spatial axes: L; H, W; D, H, W.

    >>> axis_names(2), axis_names(4)
    (('H', 'W'), ('axis 0', 'axis 1', 'axis 2', 'axis 3'))
    """
    return AXIS_NAMES.get(count) or tuple(f"axis {axis}" for axis in range(count))


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number and its noun.

    >>> counted(1, "layer"), counted(1200, "layer"), counted(2, "axis", "axes")
    ('1 layer', '1,200 layers', '2 axes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
