"""Pools with a sliding window: max, average, power-average."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.window import WindowLayer, window_too_large
from convarith.sizes.normalise import Ints, integer
from convarith.sizes.rules import AxisRule, FloorRule


class SlidingPool(WindowLayer):
    """The common base of pools whose size depends on kernel, stride, padding, dilation and ceil_mode."""

    padding: Ints = 0
    ceil_mode: bool
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    searched: ClassVar[dict[str, list[Any]] | None] = {"ceil_mode": [False, True]}
    source: ClassVar[str] = "arXiv 1603.07285, relationship 7, with torch's padding, dilation and ceil_mode"

    def _settle_pool(self, *names: str) -> None:
        if self.stride is None or self.stride == ():
            object.__setattr__(self, "stride", self.kernel_size)
        self._settle("kernel_size", "stride", *names, kernel_size=1, stride=1, padding=0, dilation=1)
        for axis in range(self.ndim or 1):
            kernel, padding = self.at("kernel_size", axis), self.at("padding", axis)
            if 2 * padding > kernel:
                raise ParameterError(
                    f"padding is {padding}: it must be at most half the kernel size {kernel}, so at most {kernel // 2}"
                )
        self._set_rules()

    def default(self, name: str) -> object:
        """The default of a parameter; that of the stride is the kernel size."""
        return self.kernel_size if name == "stride" else super().default(name)

    def _shift(self, axis: int) -> int:
        stride, padding = self.at("stride", axis), self.at("padding", axis)
        shift = 2 * padding - self.span(axis)
        # ceil_mode rounds up, and drops a window that would start after the left padding and the input.
        return min(shift + stride - 1, padding - 1) if self.ceil_mode else shift

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        shift = self._shift(axis)
        # torch's 3-D average pools need an input of at least the kernel size.
        whole = self.at("kernel_size", axis) if self.ndim_matters and ndim == 3 else 1
        return FloorRule(shift=shift, step=self.at("stride", axis), offset=1, minimum=max(whole, -shift))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        kernel, dilation, padding = (self.at(name, axis) for name in ("kernel_size", "dilation", "padding"))
        if size >= 1 and size + 2 * padding < self.span(axis):
            return window_too_large(size, (padding, padding), kernel, dilation, most_padding=kernel // 2)
        if self.ndim_matters and least == kernel > 1:
            return f"the input is {size}: in 3-D it must be at least the kernel size {kernel}, without the padding"
        return f"the input is {size}: it must be at least {least}"

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """The transposed convolution with the same window."""
        from convarith.layers.convolution import transposed

        return transposed(self, input_size)

    def formula_text_at(self, axis: int) -> str:
        """The formula; ceil_mode replaces its shift by the smaller of two."""
        if self.ceil_mode:
            return "floor(({i} + min(2*{p} - {d}*({k} - 1) + {s} - 2, {p} - 1))/{s}) + 1"
        return self.formula_text


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxPool(SlidingPool):
    """A max pool: torch's MaxPool1d, MaxPool2d and MaxPool3d. The stride defaults to the kernel size.

    Raises ParameterError if torch rejects the parameters; the padding is at most half the kernel size (undilated).

    >>> import convarith as ca
    >>> ca.MaxPool(kernel_size=2).output_size((7, 8)), ca.MaxPool(kernel_size=2, ceil_mode=True).output_size((7, 8))
    ((3, 4), (4, 4))
    """

    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0
    dilation: Ints = 1
    return_indices: bool = False
    ceil_mode: bool = False
    ndim: int | None = None

    torch_name: ClassVar[str] = "MaxPool"
    title: ClassVar[str] = "Max pooling"
    combines: ClassVar[str] = "max"
    keeps_indices: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = (
        "kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode",
    )  # fmt: skip

    def __post_init__(self) -> None:
        self._settle_pool("padding", "dilation")


@dataclass(frozen=True, kw_only=True, repr=False)
class AvgPool(SlidingPool):
    """An average pool: torch's AvgPool1d, AvgPool2d and AvgPool3d.

    >>> import convarith as ca
    >>> ca.AvgPool(kernel_size=3, stride=2, padding=1).output_size((28, 28))
    (14, 14)
    """

    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None
    ndim: int | None = None

    torch_name: ClassVar[str] = "AvgPool"
    title: ClassVar[str] = "Average pooling"
    combines: ClassVar[str] = "mean"
    has_matrix: ClassVar[bool] = True
    ndim_matters: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = (
        "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.divisor_override is not None and integer(self.divisor_override, "divisor_override") == 0:
            raise ParameterError("divisor_override is 0: it must not be 0, as every sum is divided by it")
        self._settle_pool("padding")
        if self.divisor_override is not None and self.ndim == 1:
            raise ParameterError("AvgPool1d has no divisor_override: torch has it only in 2-D and 3-D")

    @property
    def averages(self) -> str:
        """Whether the padding counts in the divisor; empty if divisor_override replaces the divisor."""
        if self.divisor_override is not None:
            return ""
        return "padded" if self.count_include_pad else "inside"

    def constant_share(self, axis: int) -> Fraction:
        """1/divisor_override along the first axis, otherwise 1."""
        return Fraction(1, 1 if axis or self.divisor_override is None else self.divisor_override)


@dataclass(frozen=True, kw_only=True, repr=False)
class LPPool(SlidingPool):
    """A power-average pool: torch's LPPool1d, LPPool2d and LPPool3d.

    >>> import convarith as ca
    >>> ca.LPPool(norm_type=2, kernel_size=3, stride=2).output_size((28, 28))
    (13, 13)
    """

    norm_type: float
    kernel_size: Ints
    stride: Ints | None = None
    ceil_mode: bool = False
    ndim: int | None = None

    torch_name: ClassVar[str] = "LPPool"
    combines: ClassVar[str] = "norm"
    searched: ClassVar[dict[str, list[Any]] | None] = {"ceil_mode": [False, True], "norm_type": [2]}
    ndim_matters: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("norm_type", "kernel_size", "stride", "ceil_mode")
    leading: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not isinstance(self.norm_type, (int, float)) or self.norm_type == 0:
            raise ParameterError(f"norm_type must be a number other than 0, got {self.norm_type!r}")
        self._settle_pool()
