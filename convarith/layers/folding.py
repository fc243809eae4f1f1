"""Unfold turns sliding blocks into columns; Fold sums columns back into an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from convarith.errors import ShapeError
from convarith.layers.base import Layer
from convarith.layers.reads import Reads, Scattering
from convarith.layers.ways_back import Passage, Way
from convarith.layers.window import WindowLayer, window_too_large
from convarith.sizes.normalise import Ints, counted, shape_of, times
from convarith.sizes.rules import AxisRule, FloorRule
from convarith.sizes.sets import SizeRange

if TYPE_CHECKING:
    from convarith.sizes.letters import Limits, OpenShape


class _Blocks(WindowLayer):
    """The common base of Unfold and Fold: the number of blocks along each axis of a 2-D map."""

    never_spread: ClassVar[tuple[str, ...]] = ("kernel_size", "dilation", "padding", "stride", "target")

    def _settle_blocks(self, *names: str) -> None:
        object.__setattr__(self, "ndim", 2)
        self._settle(
            "kernel_size", "dilation", "padding", "stride", *names,
            kernel_size=1, dilation=1, padding=0, stride=1, target=1,
        )  # fmt: skip
        self._set_rules()

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        shift = 2 * self.at("padding", axis) - self.span(axis)
        return FloorRule(shift=shift, step=self.at("stride", axis), offset=1, minimum=max(1, -shift))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        if size < 1:
            return f"the input is {size}: it must be at least {least}"
        kernel, dilation, padding = (self.at(name, axis) for name in ("kernel_size", "dilation", "padding"))
        return window_too_large(size, (padding, padding), kernel, dilation)


@dataclass(frozen=True, kw_only=True, repr=False)
class Unfold(_Blocks):
    """Turn every sliding block of a 2-D map into a column (im2col): torch's Unfold.

    >>> import convarith as ca
    >>> ca.Unfold(kernel_size=(2, 3)).output_shape((1, 4, 5, 6))
    (1, 24, 16)
    """

    kernel_size: Ints
    dilation: Ints = 1
    padding: Ints = 0
    stride: Ints = 1

    rule_text: ClassVar[str] = "every block becomes one column"
    torch_name: ClassVar[str] = "Unfold"
    has_matrix: ClassVar[bool] = True
    row_per_tap: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("kernel_size", "dilation", "padding", "stride")
    source: ClassVar[str] = "torch.nn.Unfold: the columns are the product over both axes"

    def __post_init__(self) -> None:
        self._settle_blocks()

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """(columns,) for (height, width)."""
        return (prod(self.outputs_along(input_size)),)

    def inputs_for(self, output_size: int | Sequence[int]) -> tuple[SizeRange, ...]:
        """Raises ShapeError, because many input sizes give the same number of columns."""
        raise ShapeError("Unfold turns positions into columns: many input sizes give the same number of columns")

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """A Fold to this size."""
        self.output_size(input_size)
        return (
            Fold(
                output_size=self.spatial_size(input_size), kernel_size=self.kernel_size,
                dilation=self.dilation, padding=self.padding, stride=self.stride,
            ),
        )  # fmt: skip

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The number of columns is the product of the blocks along both axes."""
        from convarith.sizes.letters import product

        *lead, rows, height, width = super().open_shape(shapes, limits)
        return (*lead, rows, product((height, width)))

    def way_back(self, passage: Passage) -> Way | None:
        """A Fold to the input size."""
        return Way.exact(*self.back(passage.before[1:]))

    def _channels(self, channels: int) -> int:
        return channels * self.at("kernel_size", 0) * self.at("kernel_size", 1)


@dataclass(frozen=True, init=False, repr=False)
class Fold(_Blocks):
    """Sum columns back into a 2-D map (col2im): torch's Fold.

    >>> import convarith as ca
    >>> ca.Fold(output_size=(5, 6), kernel_size=(2, 3)).output_shape((1, 24, 16))
    (1, 4, 5, 6)
    """

    target: Ints
    kernel_size: Ints
    dilation: Ints
    padding: Ints
    stride: Ints

    rule_text: ClassVar[str] = "the columns are summed back into a map of output_size"
    torch_name: ClassVar[str] = "Fold"
    signature: ClassVar[tuple[str, ...]] = ("output_size", "kernel_size", "dilation", "padding", "stride")
    fields_of: ClassVar[dict[str, str]] = {"output_size": "target"}
    source: ClassVar[str] = "torch.nn.Fold: the columns are the product over both axes"
    overlap_side: ClassVar[str] = "output"
    hides_axes: ClassVar[bool] = True

    def __init__(
        self, *, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        for name, value in (
            ("target", output_size), ("kernel_size", kernel_size), ("dilation", dilation),
            ("padding", padding), ("stride", stride),
        ):  # fmt: skip
            object.__setattr__(self, name, value)
        self._settle_blocks("target")

    @property
    def columns(self) -> int:
        """The number of columns that the input must have.

        >>> import convarith as ca
        >>> ca.Fold(output_size=(5, 6), kernel_size=(2, 3)).columns
        16
        """
        return prod(self.outputs_along(self._target))

    @property
    def _target(self) -> tuple[int, int]:
        return self.at("target", 0), self.at("target", 1)

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """(height, width) for (columns,)."""
        given = (input_size,) if isinstance(input_size, int) else shape_of(input_size, "input size")
        if given != (self.columns,):
            columns = counted(self.columns, "column")
            raise ShapeError(f"Fold to {times(self._target)} needs {columns}, got {times(given)}")
        return self._target

    @property
    def input_ndim(self) -> int | None:
        """None, because columns are not a spatial axis."""
        return None

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """None, because columns have no positions."""
        return None

    def carried(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """No inputs, because columns have no positions to keep."""
        return ()

    def scattering(self, axis: int) -> Scattering | None:
        """Every block adds to the map of output_size."""
        kernel, stride, dilation = (self.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        before, size = self.at("padding", axis), self.at("target", axis)
        blocks = self.rules()[axis](size) or 0
        after = (blocks - 1) * stride + self.span(axis) - before - size
        return Scattering(kernel, stride, dilation, before, after, (blocks, size))

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The map of output_size, which requires one number of columns."""
        from convarith.sizes.letters import Unknown

        (shape,) = shapes
        limits.must_be(shape[-1], self.columns)
        volume = self.at("kernel_size", 0) * self.at("kernel_size", 1)
        rows = shape[-2]
        return (*shape[:-2], rows // volume if isinstance(rows, int) else Unknown(), *self._target)

    def way_back(self, passage: Passage) -> Way | None:
        """An Unfold with the same windows."""
        names = ("kernel_size", "dilation", "padding", "stride")
        return Way.exact(Unfold(**{name: getattr(self, name) for name in names}))

    def inputs_for(self, output_size: int | Sequence[int]) -> tuple[SizeRange, ...]:
        """The only number of columns that Fold accepts."""
        if self.spatial_size(output_size) != self._target:
            raise ShapeError(f"{self} always gives {times(self._target)}")
        return (SizeRange(self.columns, self.columns),)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (2, 3):
            raise ShapeError(f"Fold takes (N, C*k*k, columns) or (C*k*k, columns), got {times(shape)}")
        volume = self.at("kernel_size", 0) * self.at("kernel_size", 1)
        channels = shape[-2]
        if channels == 0 or channels % volume:
            given, taps = counted(channels, "row"), counted(volume, "tap")
            raise ShapeError(f"Fold got {given}, which is not a positive multiple of the kernel's {taps}")
        return (*shape[:-2], channels // volume, *self.output_size(shape[-1:]))
