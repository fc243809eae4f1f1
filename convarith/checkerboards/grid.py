"""Counts along several axes at once, in plain integers: a grid with any number of axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any


@dataclass(frozen=True)
class Grid:
    """A count at every position.

    Attributes:
        sizes: the number of positions along each axis.
        values: the counts, row-major.

    >>> grid = Grid.outer([(1, 2), (1, 0, 1)])
    >>> grid.nested(), grid.at((1, 2))
    ([[1, 0, 1], [2, 0, 2]], 2)
    """

    sizes: tuple[int, ...]
    values: list[int]

    @classmethod
    def ones(cls, sizes: Sequence[int]) -> Grid:
        """A count of 1 everywhere."""
        return cls(tuple(sizes), [1] * prod(sizes))

    @classmethod
    def outer(cls, axes: Sequence[Sequence[int]]) -> Grid:
        """The outer product of the counts of each axis."""
        values = [1]
        for counts in axes:
            values = [value * count for value in values for count in counts]
        return cls(tuple(map(len, axes)), values)

    @classmethod
    def sum(cls, grids: Sequence[Grid], sizes: Sequence[int]) -> Grid:
        """The sum of grids, each repeated to these sizes."""
        repeated = [grid.repeated(sizes) for grid in grids]
        return cls(tuple(sizes), [sum(values) for values in zip(*repeated, strict=True)])

    def repeated(self, sizes: Sequence[int]) -> list[int]:
        """The values of the grid, repeated or cropped to these sizes.

        >>> Grid((2,), [1, 2]).repeated((5,))
        [1, 2, 1, 2, 1]
        """
        if tuple(sizes) == self.sizes:
            return self.values
        return [self.at(place) for place in product(*map(range, sizes))]

    def at(self, place: Sequence[int]) -> int:
        """The count at a position of the infinitely repeated grid."""
        number = 0
        for at, size in zip(place, self.sizes, strict=True):
            number = number * size + at % size
        return self.values[number]

    def along(self, axis: int, change: Callable[[list[int]], list[int]]) -> Grid:
        """The grid with a function applied to every line along one axis.

        >>> Grid((2, 2), [1, 2, 3, 4]).along(1, lambda line: [sum(line)]).values
        [3, 7]
        """
        inner, size = prod(self.sizes[axis + 1 :]), self.sizes[axis]
        lines = [
            change(self.values[start + step : start + step + inner * size : inner])
            for start in range(0, len(self.values), inner * size)
            for step in range(inner)
        ]
        length = len(lines[0])
        values = [
            lines[block * inner + step][at]
            for block in range(len(lines) // inner)
            for at in range(length)
            for step in range(inner)
        ]
        return Grid((*self.sizes[:axis], length, *self.sizes[axis + 1 :]), values)

    def nested(self) -> list[Any]:
        """The counts in nested lists, one level per axis."""
        nested: list[Any] = self.values
        for size in reversed(self.sizes[1:]):
            nested = [nested[start : start + size] for start in range(0, len(nested), size)]
        return nested
