"""What users write is converted to exact integers, or refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

import convarith as ca
from convarith.sizes.normalise import collapse, counted, integer, nearest, per_axis, read_sizes, shape_of, side, spread


class Indexed:
    """An integer of another library, such as numpy's."""

    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize("given", [3, Indexed(), True])
def test_integers(given: Any) -> None:
    found = integer(given, "stride")
    assert found == int(given.__index__())
    assert shape_of((given, 2)) == (found, 2)
    assert shape_of([given, 2]) == (found, 2)


@pytest.mark.parametrize("given", [3.0, "3", None, (3,)])
def test_no_integers(given: Any) -> None:
    with pytest.raises(ca.ParameterError, match="stride must be an integer, got "):
        integer(given, "stride")
    with pytest.raises(ca.ShapeError, match="shape must be a sequence of integers, got "):
        shape_of((1, given))


def test_shapes_are_not_negative() -> None:
    assert shape_of((0, 1)) == shape_of([0, 1]) == (0, 1)
    for shape in ((0, -1), [0, -1]):
        with pytest.raises(ca.ShapeError, match="shape 0x-1 has a negative size: sizes must be at least 0"):
            shape_of(shape)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1, 1), ((1, 1), 1), ([2, 3], (2, 3)), ((0, 0), 0), ((-1, -1), (-1, -1)), ((0, -1), (0, -1)), (-2, -2)],
)
def test_the_padding_of_one_axis(given: Any, expected: Any) -> None:
    assert side(given, "padding") == expected


@pytest.mark.parametrize("given", [(1,), (1, 2, 3), ()])
def test_a_padding_has_two_sides(given: tuple[int, ...]) -> None:
    with pytest.raises(ca.ParameterError, match=r"padding has .* for one axis: give an integer, or a pair"):
        side(given, "padding")


def test_values_per_axis() -> None:
    assert per_axis([3, 2], "stride") == per_axis((3, 2), "stride") == (3, 2)
    assert per_axis(3, "stride") == 3
    with pytest.raises(ca.ParameterError, match="stride is empty: give one value, or one per axis"):
        per_axis((), "stride")
    assert spread(3, 3) == (3, 3, 3)
    assert spread((3, 2), 5) == (3, 2)
    assert [collapse(values) for values in ((3,), (3, 3), (3, 3, 2), (2, 3, 3))] == [3, 3, (3, 3, 2), (2, 3, 3)]


def test_counts() -> None:
    assert [counted(count, "axis", "axes") for count in (0, 1, 2)] == ["0 axes", "1 axis", "2 axes"]
    assert [counted(count, "size") for count in (0, 1, 2)] == ["0 sizes", "1 size", "2 sizes"]


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("28", (28,)), ("1x28X30", (1, 28, 30)), ("1 * 2, 3", (1, 2, 3)), ("4\u00d75", (4, 5)), ("-1x2", (-1, 2))],
)
def test_sizes_as_text(text: str, sizes: tuple[int, ...]) -> None:
    assert read_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "x", "28x", "3.5", "--1", "1-", "a", "1 2"])
def test_text_that_is_no_size(text: str) -> None:
    with pytest.raises(ca.ConvarithError, match="is not a size: write an integer such as 28, or one per axis"):
        read_sizes(text)


def test_a_number_of_too_many_digits() -> None:
    with pytest.raises(ca.ConvarithError, match="size has a number of 4301 digits: at most 4300 are allowed"):
        read_sizes(f"3x{'9' * 4301}")
    assert read_sizes("9" * 4300) == (10**4300 - 1,)


def test_the_nearest_word() -> None:
    assert nearest("STRID", ["padding", "stride"]) == "did you mean 'stride'?"
    assert nearest("relu", ["Relu", "ReLU"]) == "did you mean 'Relu'?"
    assert nearest("anything", []) == "it takes none"
    assert nearest("#", ["b", "a"]) == "choose from b, a"
    words = [f"word{number}" for number in range(25)]
    assert nearest("#", words[:24]) == f"choose from {', '.join(words[:24])}"
    assert nearest("#", words) == f"choose from {', '.join(words[:12])}, ... (25 in all)"
