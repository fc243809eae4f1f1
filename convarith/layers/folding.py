"""Sliding blocks as columns, and columns summed back to an image: Unfold and Fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from convarith.errors import ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.window import WindowLayer, window_too_large
from convarith.sizes.normalise import Ints, shape_of, times
from convarith.sizes.rules import AxisRule, FloorRule
from convarith.sizes.sets import SizeRange


class _Blocks(WindowLayer):
    """Blocks of a 2-D map: how many there are along each axis."""

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

    def blocks(self, size: int | Sequence[int]) -> tuple[int, ...]:
        """Blocks along each axis of a map of this size."""
        return SpatialLayer.output_size(self, size)


@dataclass(frozen=True, kw_only=True, repr=False)
class Unfold(_Blocks):
    """Every sliding block of a 2-D map as a column (im2col): torch's Unfold.

    >>> import convarith as ca
    >>> ca.Unfold(kernel_size=(2, 3)).output_shape((1, 4, 5, 6))
    (1, 24, 16)
    """

    kernel_size: Ints
    dilation: Ints = 1
    padding: Ints = 0
    stride: Ints = 1

    rule_text: ClassVar[str] = "every block of the height and width becomes one column"
    torch_name: ClassVar[str] = "Unfold"
    signature: ClassVar[tuple[str, ...]] = ("kernel_size", "dilation", "padding", "stride")
    source: ClassVar[str] = "torch.nn.Unfold: the columns are the product over both axes"

    def __post_init__(self) -> None:
        self._settle_blocks()

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """(columns,) of (height, width)."""
        return (prod(self.blocks(input_size)),)

    def inputs_for(self, output_size: int | Sequence[int]) -> tuple[SizeRange, ...]:
        """Columns do not tell the height from the width: refused."""
        raise ShapeError("Unfold turns positions into columns: many input sizes give the same number of them")

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """Fold, to this size."""
        self.output_size(input_size)
        return (
            Fold(
                output_size=self._sizes(input_size), kernel_size=self.kernel_size,
                dilation=self.dilation, padding=self.padding, stride=self.stride,
            ),
        )  # fmt: skip

    def _channels(self, channels: int) -> int:
        return channels * self.at("kernel_size", 0) * self.at("kernel_size", 1)


@dataclass(frozen=True, init=False, repr=False)
class Fold(_Blocks):
    """Columns summed back into a 2-D map (col2im): torch's Fold.

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

    def __init__(
        self, *, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        for name, value in (
            ("target", output_size), ("kernel_size", kernel_size), ("dilation", dilation),
            ("padding", padding), ("stride", stride),
        ):  # fmt: skip
            object.__setattr__(self, name, value)
        self._settle_blocks("target")

    def default(self, name: str) -> object:
        """As torch has them, spread over both axes."""
        return {"dilation": (1, 1), "padding": (0, 0), "stride": (1, 1)}.get(name)

    @property
    def columns(self) -> int:
        """How many columns the input must have.

        >>> import convarith as ca
        >>> ca.Fold(output_size=(5, 6), kernel_size=(2, 3)).columns
        16
        """
        return prod(self.blocks(self._target))

    @property
    def _target(self) -> tuple[int, int]:
        return self.at("target", 0), self.at("target", 1)

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """(height, width) of (columns,)."""
        given = (input_size,) if isinstance(input_size, int) else shape_of(input_size, "input size")
        if given != (self.columns,):
            raise ShapeError(f"Fold to {times(self._target)} needs {self.columns} columns, got {times(given)}")
        return self._target

    def inputs_for(self, output_size: int | Sequence[int]) -> tuple[SizeRange, ...]:
        """The one number of columns."""
        if self._sizes(output_size) != self._target:
            raise ShapeError(f"{self} gives {times(self._target)}, whatever the input")
        return (SizeRange(self.columns, self.columns),)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (2, 3):
            raise ShapeError(f"Fold takes (N, C*k*k, columns) or (C*k*k, columns), got {times(shape)}")
        volume = self.at("kernel_size", 0) * self.at("kernel_size", 1)
        channels = shape[-2]
        if channels == 0 or channels % volume:
            raise ShapeError(f"Fold got {channels} rows, which the kernel's {volume} taps do not divide")
        return (*shape[:-2], channels // volume, *self.output_size(shape[-1:]))
