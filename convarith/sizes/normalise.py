"""The door: what users write (ints, tuples, text such as '28x28') becomes exact integers, once."""

import re
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, TypeAlias, TypeVar

from convarith.errors import ConvarithError, ParameterError, ShapeError

Ints: TypeAlias = int | tuple[int, ...]
"""One value for every axis, or one value an axis."""

Entry = TypeVar("Entry")


def integer(value: object, name: str) -> int:
    """An exact integer, or ParameterError: 3.0 and '3' are no sizes, as in torch.

    >>> integer(3, "kernel_size")
    3
    """
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(f"{name} must be an integer, got {value!r}") from None


def side(value: object, name: str) -> int | tuple[int, int]:
    """One axis's padding: an integer for both sides, or a pair (before, after).

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
    """One converted value, or a tuple of them from any sequence.

    >>> per_axis([3, 2], "stride")
    (3, 2)
    """
    if isinstance(value, (tuple, list)):
        if not value:
            raise ParameterError(f"{name} is empty: give one value, or one an axis")
        return tuple(convert(entry, name) for entry in value)
    return convert(value, name)


def spread(value: Entry | tuple[Entry, ...], ndim: int) -> tuple[Entry, ...]:
    """The value of each of `ndim` axes.

    >>> spread(3, 2), spread((3, 1), 2)
    ((3, 3), (3, 1))
    """
    return value if isinstance(value, tuple) else (value,) * ndim


def shape_of(shape: Iterable[object], name: str = "shape") -> tuple[int, ...]:
    """A shape as a tuple of non-negative integers, or ShapeError.

    >>> shape_of([1, 28, 28])
    (1, 28, 28)
    """
    if shape.__class__ is tuple:  # most shapes are right already, and sizes are asked for by the thousand
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
        raise ShapeError(f"{name} {times(sizes)} has a negative size: sizes are at least 0")
    return sizes


def times(sizes: Iterable[int]) -> str:
    """Sizes as people write them.

    >>> times((1, 28, 28))
    '1x28x28'
    """
    return "x".join(str(size) for size in sizes) or "()"


def read_sizes(text: str, name: str = "size") -> tuple[int, ...]:
    """Sizes from text: '28', '28x28', '1x28x28' (also with ',' or '*' between them).

    Raises ConvarithError for text that is no size.

    >>> read_sizes("1x28x28")
    (1, 28, 28)
    """
    words = [word.strip() for word in re.split(r"[xX*,\u00d7]", text)]
    if not all(word.removeprefix("-").isdecimal() for word in words):
        raise ConvarithError(f"{name} {text!r} is no size: write an integer such as 28, or one an axis such as 28x28")
    try:
        return tuple(int(word) for word in words)
    except ValueError:  # Python refuses to read an integer of more than 4300 digits
        raise ConvarithError(f"{name} has a number of {max(map(len, words))} digits: at most 4300 are read") from None


def nearest(word: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest choice, or all of them.

    >>> nearest("strid", ["stride", "padding"])
    "did you mean 'stride'?"
    >>> nearest("zzz", ["stride", "padding"])
    'choose from stride, padding'
    """
    from difflib import get_close_matches  # only a message needs it: kept off the fast path

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
    """One int when all axes agree, else the tuple.

    >>> collapse((3, 3)), collapse((3, 2))
    (3, (3, 2))
    """
    first, *rest = values
    return tuple(values) if any(value != first for value in rest) else first
