"""How often a transposed convolution hits each output: checkerboards from the parameters alone, and what cures them.

Where the counts differ from position to position, random weights paint a checkerboard (https://distill.pub/2016/
deconv-checkerboard/). A convolution or a pool has the same counts on its gradient's way back: how many windows read an
input. Along one axis everything has a closed form; the counts of several axes multiply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce
from math import gcd, prod
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from convarith.errors import MissingDependencyError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.window import WindowLayer
from convarith.networks.network import Network
from convarith.sizes.normalise import shape_of, times
from convarith.sizes.rules import hits_evenly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convarith.checkerboards.pools import Adaptive
    from convarith.checkerboards.repairs import Repair
    from convarith.checkerboards.stack import Frequency, Stack
    from convarith.layers.folding import Fold

UPSAMPLING = ("conv-transpose", "upsample", "pixel-shuffle", "zero-insert", "fold")
READING = ("conv", "max-pool", "avg-pool", "lp-pool", "unfold", "pixel-unshuffle")
"""Layers whose windows slide: their overlap is that of the gradient's way back."""


class Scatter(NamedTuple):
    """One axis: every input x adds to the positions s*x + d*j, j < k, of which `before` and `after` are cut off.

    Attributes:
        kernel, stride, dilation: k, s and d.
        before, after: how much is cut off at each end; below 0 adds positions.
        given: (inputs, positions) where an input size was given.

    >>> scatter = Scatter(kernel=3, stride=2, given=(3, 7))
    >>> scatter.interior, scatter.border, scatter.counts
    ((2, 1), (1, 1), (1, 1, 2, 1, 2, 1, 1))
    """

    kernel: int
    stride: int
    dilation: int = 1
    before: int = 0
    after: int = 0
    given: tuple[int, int] | None = None

    @property
    def even(self) -> bool:
        """Is every inner position hit equally often?"""
        return hits_evenly(self.kernel, self.stride, self.dilation)

    @property
    def holes(self) -> bool:
        """Are there inner positions that are never hit?"""
        common = gcd(self.dilation, self.stride)
        return common > 1 or self.kernel < self.stride

    @property
    def period(self) -> int:
        """After how many positions the inner counts repeat."""
        common = gcd(self.dilation, self.stride)
        return self.stride if self.kernel % (self.stride // common) else common

    @property
    def interior(self) -> tuple[int, ...]:
        """One period: the count of an inner position o is interior[o % period]."""
        common = gcd(self.dilation, self.stride)
        stride = self.stride // common
        inverse = pow(self.dilation // common, -1, stride)
        whole, rest = divmod(self.kernel, stride)
        return tuple(
            0 if place % common else whole + (place // common * inverse % stride < rest)
            for place in range(self.before, self.before + self.period)
        )

    @property
    def border(self) -> tuple[int, int]:
        """How many positions at each end lack hits that an endless input would give."""
        reach = self.dilation * (self.kernel - 1) - (self.stride - 1)
        return max(0, reach - self.before), max(0, reach - self.after)

    @property
    def counts(self) -> tuple[int, ...] | None:
        """The count at every position; None without an input size."""
        if self.given is None:
            return None
        (_, size), (left, right), interior = self.given, self.border, self.interior
        if left + right >= size:
            return tuple(map(self._count, range(size)))
        period = len(interior)
        start = left % period
        inner = interior[start:] + interior[:start]
        middle = (inner * (-(-(size - left - right) // period)))[: size - left - right]
        ends = range(left), range(size - right, size)
        first, last = (tuple(map(self._count, end)) for end in ends)
        return first + middle + last

    def _count(self, position: int) -> int:
        """The closed form: taps j with d*j = u (mod s) between those that the first and last input allow."""
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        place, common = position + self.before, gcd(dilation, stride)
        if place % common:
            return 0
        inputs = self.given[0] if self.given else 0
        step = stride // common
        tap = place // common * pow(dilation // common, -1, step) % step
        first = max(0, -((stride * (inputs - 1) - place) // dilation))
        last = min(kernel - 1, place // dilation)
        return max(0, (last - tap) // step - (first - 1 - tap) // step)

    def why(self, noun: str) -> str:
        """What the divisors of the numbers make of it."""
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        common = gcd(dilation, stride)
        if stride == 1:
            return f"stride 1 hits every {noun} equally often"
        if self.even:
            apart = "" if dilation == 1 else f" and has no factor in common with dilation {dilation}"
            return f"stride {stride} divides kernel_size {kernel}{apart}"
        reasons = []
        if common > 1:
            reasons.append(f"dilation {dilation} and stride {stride} share the factor {common}: 1 {noun} in {common}")
            reasons[0] += f" is hit{' at most' if kernel < stride // common else ''}"
        if kernel < stride // common:
            reasons.append(f"kernel_size {kernel} is less than {_steps(stride, common)}: {noun}s between are never hit")
        elif kernel % (stride // common):
            few, many = kernel // (stride // common), -(-kernel // (stride // common))
            reasons.append(f"{_steps(stride, common)} does not divide kernel_size {kernel}: counts of {few} and {many}")
        return "; ".join(reasons)


def _steps(stride: int, common: int) -> str:
    return f"stride {stride}" if common == 1 else f"stride {stride}/{common}"


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
    axes: tuple[Scatter, ...] | tuple[Stack, ...] | tuple[Adaptive, ...]

    @cached_property
    def counts(self) -> tuple[tuple[int, ...], ...] | None:
        """Of each axis the count at every position, borders included; None without an input size.

        Those of several axes multiply, but for a network whose branches meet (see `separable`).

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, padding=1), 4).counts
        ((1, 2, 1, 2, 1, 2, 1),)
        """
        found = tuple(axis.counts for axis in self.axes)
        return None if None in found else cast("tuple[tuple[int, ...], ...]", found)

    @cached_property
    def separable(self) -> bool:
        """Do the counts of the axes multiply? Of several axes not where branches meet: there products add."""
        return len(self.axes) == 1 or all(
            len(step.reads) == 1 for axis in self.axes for step in getattr(axis, "steps", ())
        )

    def grid(self, inside: bool = False) -> list[Any]:
        """The count of every position, in nested lists; `inside` and without an input size those of one period.

        >>> import convarith as ca
        >>> ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2)).grid()
        [[4, 2], [2, 1]]
        """
        inside = inside or self.counts is None
        axes = self.interior if inside or self.counts is None else self.counts
        if self.separable:
            return cast("list[Any]", _outer(axes))
        from convarith.checkerboards.stack import grid_of

        whole = grid_of(cast("tuple[Stack, ...]", self.axes), inside)
        return cast("list[Any]", _cut(whole, self.period) if inside else whole)

    @cached_property
    def _inner_values(self) -> list[int]:
        """All counts of one period, where they are no products."""
        return _flat(self.grid(inside=True))

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
            return np.array(self.grid(inside=self.counts is None), dtype=smallest)  # type: ignore[no-any-return]
        axes = [np.array(counts, dtype=smallest) for counts in self.counts or self.interior]
        return cast("NDArray[Any]", reduce(np.multiply.outer, axes))

    @cached_property
    def shares(self) -> tuple[tuple[Fraction, ...], ...] | None:
        """Of an average or max pool, for each axis and input the sum of 1/(size of the window); None without a size.

        Multiplied over the axes: an average pool's gradient, and a max pool's expected one.

        Raises ParameterError for every other layer.

        >>> import convarith as ca
        >>> [str(share) for share in ca.overlap(ca.AvgPool(kernel_size=2), 5).shares[0]]
        ['1/2', '1/2', '1/2', '1/2', '0']
        """
        from convarith.checkerboards.pools import shares

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
            return cast("int", reduce(lambda grid, at: grid[at % len(grid)], place, cast(Any, self.grid())))
        if self.counts is None:
            return prod(pattern[at % len(pattern)] for pattern, at in zip(self.interior, place, strict=True))
        sizes = [len(counts) for counts in self.counts]
        if any(at >= size for at, size in zip(place, sizes, strict=True)):
            raise ShapeError(f"position {place} lies outside of {times(sizes)}")
        if not self.separable:
            return cast("int", reduce(lambda grid, at: grid[at], place, cast(Any, self.grid())))
        return prod(counts[at] for counts, at in zip(self.counts, place, strict=True))

    @cached_property
    def max(self) -> int:
        """The largest count, borders included where an input size was given."""
        if not self.separable:
            return max(_flat(self.grid()))
        return prod(max(counts) for counts in self.counts or self.interior)

    @cached_property
    def min(self) -> int:
        """The smallest count, borders included where an input size was given."""
        if not self.separable:
            return min(_flat(self.grid()))
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
        return tuple(getattr(axis, "frequencies", ()) for axis in self.axes)

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
        from convarith.checkerboards.repairs import repairs_of

        if isinstance(self.subject, Layer):
            return repairs_of(self.subject)
        left = {each.brought_by for axis in self.frequencies for each in axis if each.cured_by is None}
        return [
            repair._replace(node=node.name) for node in self.subject.nodes if node.name in left
            for repair in repairs_of(node.layer)
        ]  # fmt: skip


def _outer(axes: Sequence[Sequence[int]]) -> Any:
    """The products of one count an axis, in nested lists."""
    first, *rest = axes
    if not rest:
        return list(first)

    def scaled(grid: Any, factor: int) -> Any:
        return [scaled(each, factor) for each in grid] if isinstance(grid, list) else grid * factor

    behind = _outer(rest)
    return [scaled(behind, count) for count in first]


def _cut(grid: Any, sizes: Sequence[int]) -> Any:
    return [_cut(each, sizes[1:]) for each in grid[: sizes[0]]] if sizes else grid


def _flat(grid: Any) -> list[int]:
    return [count for each in grid for count in _flat(each)] if isinstance(grid, list) else [grid]


def require_numpy() -> ModuleType:
    """numpy itself, or MissingDependencyError with the line that installs it."""
    try:
        import numpy
    except ImportError:
        raise MissingDependencyError(
            "numpy is not installed: run  pip install 'convarith[numpy]'  in this environment"
        ) from None
    return numpy


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
        from convarith.checkerboards.from_network import stacks_of

        side, stacks = stacks_of(subject, input_size)
        return Overlap(subject, side, stacks)
    if subject.kind.startswith("adaptive"):
        from convarith.checkerboards.pools import Adaptive

        if input_size is None:
            raise ParameterError(f"which inputs the windows of {subject} share follows from the size: give the input's")
        sizes = cast(SpatialLayer, subject)._sizes(input_size)
        pairs = zip(sizes, subject.output_size(sizes), strict=True)
        return Overlap(subject, "gradient", tuple(Adaptive(*pair) for pair in pairs))
    if subject.kind in READING and getattr(subject, "padding_mode", "zeros") != "zeros":
        from convarith.checkerboards.from_network import gradient_of

        return Overlap(subject, "gradient", gradient_of(subject, input_size))
    side = "gradient" if subject.kind in READING else "output"
    scatters = [scatter_of(subject, axis) for axis in range(subject.ndim or 1)]
    if input_size is None:
        return Overlap(subject, side, tuple(scatters))
    layer = cast(SpatialLayer, subject)
    if layer.kind == "fold":
        layer.output_size(input_size)  # refuses another number of columns
        return Overlap(subject, side, tuple(scatters))
    sizes = layer._sizes(input_size)
    outputs = SpatialLayer.output_size(layer, sizes)  # of Unfold: how many blocks lie along each axis
    scatters *= len(sizes) if layer.ndim is None else 1
    left = layer.leftover(sizes) if side == "gradient" and isinstance(layer, WindowLayer) else (0,) * len(sizes)
    axes = tuple(
        scatter._replace(after=scatter.after - unread, given=(output, size) if side == "gradient" else (size, output))
        for scatter, unread, size, output in zip(scatters, left, sizes, outputs, strict=True)
    )
    return Overlap(subject, side, axes)


def scatter_of(layer: Layer, axis: int) -> Scatter:
    """What a layer hits along one axis, or its gradient.

    Raises ParameterError for a layer that does not hit a fixed pattern of positions.

    >>> import convarith as ca
    >>> scatter_of(ca.PixelShuffle(upscale_factor=2), 0)
    Scatter(kernel=2, stride=2, dilation=1, before=0, after=0, given=None)
    """
    if layer.kind == "pixel-unshuffle":
        factor = layer.downscale_factor  # type: ignore[attr-defined]
        return Scatter(factor, factor)
    if layer.kind in ("conv-transpose", "fold", *READING):
        window = cast(WindowLayer, layer)
        before, after = window.pads(axis)
        kernel, stride, dilation = (window.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        given = None
        if layer.kind == "conv-transpose":
            after -= window.at("output_padding", axis)
        if layer.kind == "fold":
            size = cast("Fold", layer).at("target", axis)
            blocks = window.rules()[axis](size) or 0
            given, after = (blocks, size), (blocks - 1) * stride + window.span(axis) - before - size
        return Scatter(kernel, stride, dilation, before, after, given)
    if layer.kind in UPSAMPLING:
        factor = layer.factor_at(axis) if layer.kind == "upsample" else None  # type: ignore[attr-defined]
        if layer.kind == "pixel-shuffle":
            factor = layer.upscale_factor  # type: ignore[attr-defined]
        if layer.kind == "zero-insert":
            stride = layer.at("stride", axis)  # type: ignore[attr-defined]
            return Scatter(1, stride, after=1 - stride)
        if factor is not None and factor == int(factor) and getattr(layer, "mode", "nearest") == "nearest":
            return Scatter(int(factor), int(factor))
    raise ParameterError(
        f"{layer} hits no fixed pattern of positions: ask for a transposed convolution, a convolution or a pool, "
        "Upsample to the nearest by a whole factor, PixelShuffle or ZeroInsert"
    )
