"""How often a transposed convolution hits each output: checkerboards from the parameters alone, and what cures them.

Where the counts differ from position to position, random weights paint a checkerboard (https://distill.pub/2016/
deconv-checkerboard/). A convolution or a pool has the same counts on its gradient's way back: how many windows read an
input. Along one axis everything has a closed form; the counts of several axes multiply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from convarith.checkerboards.axis import AxisOverlap, Scatter, scatter_of
from convarith.checkerboards.from_network import gradient_of, stacks_of
from convarith.checkerboards.grid import Grid
from convarith.checkerboards.pools import Adaptive, shares
from convarith.checkerboards.repairs import Repair, repairs_of
from convarith.checkerboards.stack import Frequency, Stack, grid_of
from convarith.dependencies import require_numpy
from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.networks.network import Network
from convarith.sizes.normalise import shape_of, times

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """How often each position is hit: of the output, or of the input by its gradient.

    Attributes:
        subject: the layer or network.
        side: 'output' for layers that upsample, 'gradient' for the inputs of convolutions and pools.
        axes: each axis by itself.
    """

    subject: Layer | Network
    side: str
    axes: tuple[AxisOverlap, ...]

    @cached_property
    def counts(self) -> tuple[tuple[int, ...], ...] | None:
        """Of each axis the count at every position, borders included; None without an input size.

        Those of several axes multiply, but for a network whose branches meet (see `separable`).

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, padding=1), 4).counts
        ((1, 2, 1, 2, 1, 2, 1),)
        """
        found = tuple(axis.counts for axis in self.axes)
        return tuple(each for each in found if each is not None) if None not in found else None

    @cached_property
    def separable(self) -> bool:
        """Do the counts of the axes multiply? Of several axes not where branches meet: there products add."""
        return len(self.axes) == 1 or all(axis.single_path for axis in self.axes)

    def grid(self, inside: bool = False) -> list[Any]:
        """The count of every position, in nested lists; `inside` and without an input size those of one period.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2)).grid()
        [[4, 2], [2, 1]]
        """
        return self._grid(inside).nested()

    def _grid(self, inside: bool = False) -> Grid:
        inside = inside or self.counts is None
        if self.separable:
            return Grid.outer(self.interior if inside or self.counts is None else self.counts)
        whole = grid_of([axis for axis in self.axes if isinstance(axis, Stack)], inside)
        return Grid(self.period, whole.repeated(self.period)) if inside else whole

    @cached_property
    def _inner_values(self) -> list[int]:
        """All counts of one period, where they are no products."""
        return self._grid(inside=True).values

    def map(self) -> NDArray[Any]:
        """The counts of every position as a numpy array, in the smallest signed integers that hold them.

        Without an input size those of one period.

        Raises MissingDependencyError without numpy.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2), 2).map().tolist()
        [[1, 1, 2, 1, 1], [1, 1, 2, 1, 1], [2, 2, 4, 2, 2], [1, 1, 2, 1, 1], [1, 1, 2, 1, 1]]
        """
        np = require_numpy()
        smallest = np.min_scalar_type(-1 - self.max)
        if not self.separable:
            whole: NDArray[Any] = np.array(self.grid(), dtype=smallest)
            return whole
        first, *others = (np.array(counts, dtype=smallest) for counts in self.counts or self.interior)
        found: NDArray[Any] = first
        for counts in others:
            found = np.multiply.outer(found, counts)
        return found

    @cached_property
    def shares(self) -> tuple[tuple[Fraction, ...], ...] | None:
        """Of an average or max pool, for each axis and input the sum of 1/(size of the window); None without a size.

        Multiplied over the axes: an average pool's gradient, and a max pool's expected one.

        Raises ParameterError for every other layer.

        >>> import convarith as ca
        >>> [str(share) for share in ca.overlap(ca.AvgPool(kernel_size=2), 5).shares[0]]
        ['1/2', '1/2', '1/2', '1/2', '0']
        """
        if isinstance(self.subject, Network):
            raise ParameterError("a network shares no window out: ask for one of its average or max pools")
        return shares(self.subject, () if self.counts is None else tuple(map(len, self.counts))) or None

    @cached_property
    def interior(self) -> tuple[tuple[int, ...], ...]:
        """Of each axis one period of the inner counts: that of position o is interior[axis][o % period[axis]]."""
        return tuple(axis.interior for axis in self.axes)

    @cached_property
    def period(self) -> tuple[int, ...]:
        """Of each axis, after how many positions the inner counts repeat; the smallest such number."""
        return tuple(axis.period for axis in self.axes)

    @cached_property
    def even(self) -> bool:
        """Is every position that the border does not reach hit equally often, in a network along every path?"""
        return all(axis.even for axis in self.axes)

    @cached_property
    def holes(self) -> bool:
        """Are there positions inside that are never hit?"""
        return any(axis.holes for axis in self.axes) if self.separable else 0 in self._inner_values

    @cached_property
    def border(self) -> tuple[tuple[int, int], ...]:
        """Of each axis, how far from its start and end the counts differ from the inner ones.

        Of an input that is large enough; in a small one the two meet. Without an input size the end is that of an
        input of which the stride leaves nothing unread.
        """
        return tuple(axis.border for axis in self.axes)

    def count(self, position: int | Sequence[int]) -> int:
        """The count at one position: without an input size that of an inner one.

        Raises ShapeError for a position outside.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2), (4, 4)).count((2, 4))
        4
        """
        place = shape_of((position,) if isinstance(position, int) else position, "position")
        if len(place) != len(self.axes):
            raise ShapeError(f"position {place} has {len(place)} numbers: give {len(self.axes)}, one an axis")
        if self.counts is None and not self.separable:
            return self._grid().at(place)
        if self.counts is None:
            return prod(pattern[at % len(pattern)] for pattern, at in zip(self.interior, place, strict=True))
        sizes = [len(counts) for counts in self.counts]
        if any(at >= size for at, size in zip(place, sizes, strict=True)):
            raise ShapeError(f"position {place} lies outside of {times(sizes)}")
        if not self.separable:
            return self._grid().at(place)
        return prod(counts[at] for counts, at in zip(self.counts, place, strict=True))

    @cached_property
    def max(self) -> int:
        """The largest count, borders included where an input size was given."""
        if not self.separable:
            return max(self._grid().values)
        return prod(max(counts) for counts in self.counts or self.interior)

    @cached_property
    def min(self) -> int:
        """The smallest count, borders included where an input size was given."""
        if not self.separable:
            return min(self._grid().values)
        return prod(min(counts) for counts in self.counts or self.interior)

    @cached_property
    def contrast(self) -> Fraction | None:
        """The largest inner count over the smallest; None where there are holes.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2)).contrast
        Fraction(4, 1)
        """
        if self.holes:
            return None
        if not self.separable:
            return Fraction(max(self._inner_values), min(self._inner_values))
        return prod((Fraction(max(each), min(each)) for each in self.interior), start=Fraction(1))

    @cached_property
    def hole_fraction(self) -> Fraction:
        """The share of the inner positions that are never hit; of a convolution: inputs that never get a gradient.

        >>> import convarith as ca
        >>> ca.overlap(ca.Conv(kernel_size=1, stride=2, ndim=2)).hole_fraction
        Fraction(3, 4)
        """
        if not self.separable:
            return Fraction(self._inner_values.count(0), len(self._inner_values))
        hit = (Fraction(sum(map(bool, each)), len(each)) for each in self.interior)
        return 1 - prod(hit, start=Fraction(1))

    @cached_property
    def missed(self) -> tuple[tuple[int, ...], ...]:
        """Of each axis the positions that are never hit: all of them, or those of one period without an input size.

        >>> import convarith as ca
        >>> ca.overlap(ca.MaxPool(kernel_size=2), 7).missed
        ((6,),)
        """
        return tuple(tuple(at for at, count in enumerate(each) if not count) for each in self.counts or self.interior)

    @cached_property
    def why(self) -> str:
        """The reason, from the divisors of kernel size, stride and dilation.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2)).why
        'stride 2 does not divide kernel_size 3: counts of 1 and 2'
        """
        noun = "output" if self.side == "output" else "input"
        reasons = [axis.why(noun) for axis in self.axes]
        if len(set(reasons)) == 1:
            return reasons[0]
        return "; ".join(f"axis {number}: {reason}" for number, reason in enumerate(reasons))

    @cached_property
    def frequencies(self) -> tuple[tuple[Frequency, ...], ...]:
        """Of each axis of a network the frequencies that a layer brings, and what cures them."""
        return tuple(axis.frequencies for axis in self.axes)

    @cached_property
    def repairs(self) -> list[Repair]:
        """What may stand in the place of an uneven layer; in a network, of each whose unevenness is left.

        Of a layer whose dimension is open, those that fit every dimension.

        >>> import convarith as ca
        >>> up = ca.parse("ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)")
        >>> for repair in ca.overlap(up).repairs:
        ...     print(repair.name, *repair.layers)
        even ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        resize Upsample(scale_factor=2.0) Conv2d(8, 4, 3, padding=1)
        pixel-shuffle Conv2d(8, 16, 3, padding=1) PixelShuffle(2)
        """
        if isinstance(self.subject, Layer):
            return repairs_of(self.subject)
        left = {each.brought_by for axis in self.frequencies for each in axis if each.cured_by is None}
        return [
            repair._replace(node=node.name) for node in self.subject.nodes if node.name in left
            for repair in repairs_of(node.layer)
        ]  # fmt: skip


def overlap(subject: Layer | Network, input_size: int | Sequence[int] | None = None) -> Overlap:
    """How often each output of a transposed convolution, or of a network of layers that upsample, is hit.

    For a convolution or a pool, and a network that only goes down: how many windows read each input, which is how
    often its gradient is hit. With the (spatial) input size the counts are those of every position, borders included;
    a Fold knows its own, an adaptive pool needs it.

    Where a network branches, every path through it counts: its frequencies are those of all paths, and it is even
    when each path is. Where branches meet their counts add.

    Raises ParameterError for a layer that has no such counts, ShapeError where the layer refuses the input size.

    >>> import convarith as ca
    >>> found = ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2))
    >>> found.even, found.interior, found.period
    (False, ((2, 1),), (2,))
    >>> ca.overlap(ca.ConvTranspose(kernel_size=4, stride=2, padding=1), 4).counts
    ((1, 2, 2, 2, 2, 2, 2, 1),)
    """
    if isinstance(subject, Network):
        side, stacks = stacks_of(subject, input_size)
        return Overlap(subject, side, stacks)
    if not isinstance(subject, SpatialLayer):
        scatter_of(subject, 0)  # raises
        raise AssertionError("every layer that hits a pattern of positions has a size rule for each axis")
    if subject.windows_follow_size:
        if input_size is None:
            raise ParameterError(f"which inputs the windows of {subject} share follows from the size: give the input's")
        sizes = subject.spatial_size(input_size)
        pairs = zip(sizes, subject.output_size(sizes), strict=True)
        return Overlap(subject, "gradient", tuple(Adaptive(*pair) for pair in pairs))
    if subject.overlap_side == "gradient" and subject.pad_mode != "zeros":
        return Overlap(subject, "gradient", gradient_of(subject, input_size))
    scatters = [scatter_of(subject, axis) for axis in range(subject.ndim or 1)]
    if input_size is not None and any(scatter.given for scatter in scatters):
        subject.output_size(input_size)  # refuses a size that is not the given one
    elif input_size is not None:
        scatters = _at_size(subject, scatters, input_size)
    return Overlap(subject, subject.overlap_side, tuple(scatters))


def _at_size(layer: SpatialLayer, scatters: Sequence[Scatter], input_size: int | Sequence[int]) -> list[Scatter]:
    """The overlap of each axis with the numbers of inputs and positions."""
    sizes = layer.spatial_size(input_size)
    outputs = layer.outputs_along(sizes)
    if 0 in sizes or 0 in outputs:
        raise ShapeError(f"{layer} has no positions to count at {times(sizes)}: give an input of at least 1")
    forwards = layer.overlap_side == "output"
    left = (0,) * len(sizes) if forwards else layer.leftover(sizes)
    along = [*scatters] * (len(sizes) if layer.ndim is None else 1)
    return [
        scatter._replace(after=scatter.after - unread, given=(size, output) if forwards else (output, size))
        for scatter, unread, size, output in zip(along, left, sizes, outputs, strict=True)
    ]
