"""How often a transposed convolution hits each output: checkerboards from the parameters alone, and their repairs.

If the counts differ between positions, random weights produce a checkerboard (https://distill.pub/2016/
deconv-checkerboard/). For a convolution or a pool, the same counts describe the gradient: the number of windows that
read an input. Along one axis there is a closed form for everything; the counts of several axes multiply.
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
from convarith.layers.base import AXIS_NAMES, Layer, SpatialLayer
from convarith.networks.network import Network
from convarith.sizes.normalise import counted, shape_of, times

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """How often each position is hit: each output, or each input by its gradient.

    Attributes:
        subject: the layer or network.
        side: 'output' for layers that upsample, 'gradient' for the inputs of convolutions and pools.
        axes: the overlap along each axis.
    """

    subject: Layer | Network
    side: str
    axes: tuple[AxisOverlap, ...]

    @cached_property
    def counts(self) -> tuple[tuple[int, ...], ...] | None:
        """For each axis, the count at every position, including the border; None without an input size.

        The counts of several axes multiply, except in a network whose branches meet (see `separable`).

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, padding=1), 4).counts
        ((1, 2, 1, 2, 1, 2, 1),)
        """
        found = tuple(axis.counts for axis in self.axes)
        return tuple(each for each in found if each is not None) if None not in found else None

    @cached_property
    def separable(self) -> bool:
        """Whether the counts of the axes multiply. They do not if branches meet, because there products are added."""
        return len(self.axes) == 1 or all(axis.single_path for axis in self.axes)

    def grid(self, inside: bool = False) -> list[Any]:
        """The count at every position as nested lists; with `inside` or without an input size, one period.

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
        """All counts of one period, for counts that are not products."""
        return self._grid(inside=True).values

    def map(self) -> NDArray[Any]:
        """The count at every position as a numpy array of the smallest signed integer type that holds them.

        Without an input size, one period.

        Raises MissingDependencyError if numpy is not installed.

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
        """For a pool, for each axis and input the sum of 1/(window size) over the windows; None without a size.

        The product over the axes is the gradient of an average pool, and the expected gradient of a max pool.

        Raises ParameterError if the subject is not an average or max pool.

        >>> import convarith as ca
        >>> [str(share) for share in ca.overlap(ca.AvgPool(kernel_size=2), 5).shares[0]]
        ['1/2', '1/2', '1/2', '1/2', '0']
        """
        if isinstance(self.subject, Network):
            raise ParameterError(
                "a network does not distribute its gradient over windows: use one of its average or max pools"
            )
        return shares(self.subject, () if self.counts is None else tuple(map(len, self.counts))) or None

    @cached_property
    def interior(self) -> tuple[tuple[int, ...], ...]:
        """For each axis, one period of the inner counts; position o has the count interior[axis][o % period[axis]]."""
        return tuple(axis.interior for axis in self.axes)

    @cached_property
    def period(self) -> tuple[int, ...]:
        """For each axis, the smallest number of positions after which the inner counts repeat."""
        return tuple(axis.period for axis in self.axes)

    @cached_property
    def even(self) -> bool:
        """Whether every position outside the border is hit equally often; in a network, along every path."""
        return all(axis.even for axis in self.axes)

    @cached_property
    def holes(self) -> bool:
        """Whether there are inner positions that are never hit."""
        return any(axis.holes for axis in self.axes) if self.separable else 0 in self._inner_values

    @cached_property
    def border(self) -> tuple[tuple[int, int], ...]:
        """For each axis, how far from the start and the end the counts differ from the inner ones.

        This holds for a sufficiently large input; in a small one, the two borders meet. Without an input size, the end
        is that of an input of which the stride leaves no position unread.
        """
        return tuple(axis.border for axis in self.axes)

    def count(self, position: int | Sequence[int]) -> int:
        """The count at one position; without an input size, at an inner position.

        Raises ShapeError if the position lies outside.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2), (4, 4)).count((2, 4))
        4
        """
        place = shape_of((position,) if isinstance(position, int) else position, "position")
        if len(place) != len(self.axes):
            raise ShapeError(
                f"position {place} has {counted(len(place), 'number')}: give {len(self.axes)}, one per axis"
            )
        if self.counts is None and not self.separable:
            return self._grid().at(place)
        if self.counts is None:
            return prod(pattern[at % len(pattern)] for pattern, at in zip(self.interior, place, strict=True))
        sizes = [len(counts) for counts in self.counts]
        if any(at >= size for at, size in zip(place, sizes, strict=True)):
            raise ShapeError(f"position {place} lies outside {times(sizes)}: positions are counted from 0")
        if not self.separable:
            return self._grid().at(place)
        return prod(counts[at] for counts, at in zip(self.counts, place, strict=True))

    @cached_property
    def max(self) -> int:
        """The largest count, including the border if an input size was given."""
        if not self.separable:
            return max(self._grid().values)
        return prod(max(counts) for counts in self.counts or self.interior)

    @cached_property
    def min(self) -> int:
        """The smallest count, including the border if an input size was given."""
        if not self.separable:
            return min(self._grid().values)
        return prod(min(counts) for counts in self.counts or self.interior)

    @cached_property
    def contrast(self) -> Fraction | None:
        """The largest inner count divided by the smallest; None if there are holes.

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
        """The fraction of inner positions that are never hit; for a convolution, of inputs that never get a gradient.

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
        """For each axis, the positions that are never hit; without an input size, those of one period.

        >>> import convarith as ca
        >>> ca.overlap(ca.MaxPool(kernel_size=2), 7).missed
        ((6,),)
        """
        return tuple(tuple(at for at, count in enumerate(each) if not count) for each in self.counts or self.interior)

    @cached_property
    def why(self) -> str:
        """The reason for the verdict, from the divisors of kernel size, stride and dilation.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2)).why
        'stride 2 does not divide kernel_size 3: counts of 1 and 2'
        """
        noun = "output" if self.side == "output" else "input"
        reasons = [axis.why(noun) for axis in self.axes]
        if len(set(reasons)) == 1:
            return reasons[0]
        names = AXIS_NAMES.get(len(reasons)) or tuple(f"axis {axis}" for axis in range(len(reasons)))
        return "; ".join(f"{name}: {reason}" for name, reason in zip(names, reasons, strict=True))

    @cached_property
    def frequencies(self) -> tuple[tuple[Frequency, ...], ...]:
        """For each axis of a network, the frequencies that layers add, and the layers that remove them."""
        return tuple(axis.frequencies for axis in self.axes)

    @cached_property
    def repairs(self) -> list[Repair]:
        """Layers that can replace an uneven layer; in a network, each layer whose pattern remains.

        If the layer's dimension is open, only the repairs that are valid in every dimension.

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
    """Count how often each output of a transposed convolution, or of a network that upsamples, is hit.

    For a convolution, a pool, or a network that only downsamples: how many windows read each input, which is how often
    its gradient is hit. With a spatial input size, there is a count for every position, including the border. A Fold
    knows its own size; an adaptive pool needs one.

    If a network branches, every path through it counts: it has the frequencies of all paths, and it is even if each
    path is even. Where branches meet, their counts are added.

    Raises ParameterError if a layer has no such counts, ShapeError if the layer does not accept the input size.

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
            raise ParameterError(f"the windows of {subject} depend on the input size: give one")
        sizes = subject.spatial_size(input_size)
        pairs = zip(sizes, subject.output_size(sizes), strict=True)
        return Overlap(subject, "gradient", tuple(Adaptive(*pair) for pair in pairs))
    if subject.overlap_side == "gradient" and subject.pad_mode != "zeros":
        return Overlap(subject, "gradient", gradient_of(subject, input_size))
    scatters = [scatter_of(subject, axis) for axis in range(subject.ndim or 1)]
    if input_size is not None and any(scatter.given for scatter in scatters):
        subject.output_size(input_size)  # raises ShapeError for any other size
    elif input_size is not None:
        scatters = _at_size(subject, scatters, input_size)
    return Overlap(subject, subject.overlap_side, tuple(scatters))


def _at_size(layer: SpatialLayer, scatters: Sequence[Scatter], input_size: int | Sequence[int]) -> list[Scatter]:
    """The overlap of each axis, with the numbers of inputs and positions filled in."""
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
