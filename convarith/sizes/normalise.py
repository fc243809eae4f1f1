"""Convert what users write (integers, tuples, text such as '28x28') to exact integers, once, before anything else."""

import re
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, TypeAlias, TypeVar

from convarith.errors import ConvarithError, ParameterError, ShapeError

Ints: TypeAlias = int | tuple[int, ...]
"""One value for all axes, or one value per axis."""

Entry = TypeVar("Entry")


def integer(value: object, name: str) -> int:
    """Return an exact integer, or raise ParameterError. As in torch, 3.0 and '3' are not integers.

    >>> integer(3, "kernel_size")
    3
    """
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(f"{name} must be an integer, got {value!r}") from None


def side(value: object, name: str) -> int | tuple[int, int]:
    """Return the padding of one axis: an integer for both sides, or a pair (before, after).

    >>> side(1, "padding"), side((1, 0), "padding"), side([2, 2], "padding")
    (1, (1, 0), 2)
    """
    if not isinstance(value, (tuple, list)):
        return integer(value, name)
    if len(value) != 2:
        raise ParameterError(f"{name} has {value!r} for one axis: give an integer, or a pair (before, after)")
    before, after = (integer(entry, name) for entry in value)
    return before if before == after >= 0 else (before, after)


def per_axis(value: object, name: str, convert: Callable[[object, str], Any] = integer) -> Any:
    """Convert a value, or each value of a sequence; a sequence gives a tuple.

    >>> per_axis([3, 2], "stride")
    (3, 2)
    """
    if isinstance(value, (tuple, list)):
        if not value:
            raise ParameterError(f"{name} is empty: give one value, or one per axis")
        return tuple(convert(entry, name) for entry in value)
    return convert(value, name)


def spread(value: Entry | tuple[Entry, ...], ndim: int) -> tuple[Entry, ...]:
    """Return one value for each of `ndim` axes.

    >>> spread(3, 2), spread((3, 1), 2)
    ((3, 3), (3, 1))
    """
    return value if isinstance(value, tuple) else (value,) * ndim


def shape_of(shape: Iterable[object], name: str = "shape") -> tuple[int, ...]:
    """Return a shape as a tuple of non-negative integers, or raise ShapeError.

    >>> shape_of([1, 28, 28])
    (1, 28, 28)
    """
    if shape.__class__ is tuple:  # the fast path: most shapes are valid already
        for size in shape:
            if size.__class__ is not int or size < 0:
                break
        else:
            return shape
    try:
        sizes = tuple(index(size) for size in shape)  # type: ignore[arg-type]
    except TypeError:
        raise ShapeError(f"{name} must be a sequence of integers, got {shape!r}") from None
    if any(size < 0 for size in sizes):
        raise ShapeError(f"{name} {times(sizes)} has a negative size: sizes must be at least 0")
    return sizes


def times(sizes: Iterable[int]) -> str:
    """Write sizes as text.

    >>> times((1, 28, 28))
    '1x28x28'
    """
    return "x".join(str(size) for size in sizes) or "()"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun in the singular or the plural.

    >>> counted(1, "channel"), counted(1200, "channel"), counted(2, "spatial axis", "spatial axes")
    ('1 channel', '1,200 channels', '2 spatial axes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def read_sizes(text: str, name: str = "size") -> tuple[int, ...]:
    """Read sizes from text: '28', '28x28', '1x28x28' (',' and '*' also separate sizes).

    Raises ConvarithError if the text is not a size.

    >>> read_sizes("1x28x28")
    (1, 28, 28)
    """
    words = [word.strip() for word in re.split(r"[xX*,\u00d7]", text)]
    if not all(word.removeprefix("-").isdecimal() for word in words):
        remedy = "write an integer such as 28, or one per axis such as 28x28"
        raise ConvarithError(f"{name} {text!r} is not a size: {remedy}")
    try:
        return tuple(int(word) for word in words)
    except ValueError:  # Python does not read integers of more than 4300 digits
        digits = max(map(len, words))
        raise ConvarithError(f"{name} has a number of {digits} digits: at most 4300 are allowed") from None


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the closest choice, or all of them.

    >>> nearest("strid", ["stride", "padding"])
    "did you mean 'stride'?"
    >>> nearest("zzz", ["stride", "padding"])
    'choose from stride, padding'
    """
    from difflib import get_close_matches  # imported here because only error messages need it

    known = list(choices)
    lowered = {choice.lower(): choice for choice in reversed(known)}
    close = get_close_matches(word.lower()[:80], lowered, n=1)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    if not known:
        return "it takes none"
    more = f", ... ({len(known)} in all)" if len(known) > 24 else ""
    return f"choose from {', '.join(known[:12] if more else known)}{more}"


def collapse(values: Sequence[int]) -> Ints:
    """Return one integer if all axes have the same value, otherwise the tuple.

    >>> collapse((3, 3)), collapse((3, 2))
    (3, (3, 2))
    """
    first, *rest = values
    return tuple(values) if any(value != first for value in rest) else first
