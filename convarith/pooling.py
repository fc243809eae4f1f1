"""Pools and their reverse: max, average, power-average, fractional, adaptive, unpooling."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass
from math import floor
from typing import Any, ClassVar

from convarith.axis import AxisRule, FloorRule, ScaleRule, first_size
from convarith.errors import ParameterError, ShapeError
from convarith.layer import Layer, SpatialLayer
from convarith.values import Ints, integer, shape_of, spread, times
from convarith.window import WindowLayer, window_too_large


def integer_or_none(value: object, name: str) -> int | None:
    """An adaptive pool's size along one axis: None keeps the input's."""
    return None if value is None else integer(value, name)


def ratio(value: object, name: str) -> float:
    """A fractional pool's output over input, strictly between 0 and 1 as in torch."""
    if not isinstance(value, float) or not 0 < value < 1:
        raise ParameterError(f"{name} must be a number between 0 and 1, got {value!r}")
    return value


class _Pool(WindowLayer):
    """A window that slides: the pools whose size follows from kernel, stride, padding, dilation and ceil_mode."""

    padding: Ints = 0
    ceil_mode: bool
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    source: ClassVar[str] = "arXiv 1603.07285, relationship 7, with torch's padding, dilation and ceil_mode"

    def _settle_pool(self, *names: str) -> None:
        if self.stride is None or self.stride == ():
            object.__setattr__(self, "stride", self.kernel_size)
        self._settle("kernel_size", "stride", *names, kernel_size=1, stride=1, padding=0, dilation=1)
        for axis in range(self.ndim or 1):
            kernel, padding = self.at("kernel_size", axis), self.at("padding", axis)
            if 2 * padding > kernel:
                raise ParameterError(
                    f"padding is {padding}: it must be at most half the kernel (kernel_size {kernel}), {kernel // 2}"
                )
        self._set_rules()

    def default(self, name: str) -> object:
        """As for every layer; the stride follows the kernel."""
        return self.kernel_size if name == "stride" else super().default(name)

    def _shift(self, axis: int) -> int:
        stride, padding = self.at("stride", axis), self.at("padding", axis)
        shift = 2 * padding - self.span(axis)
        # ceil_mode rounds up, and drops a window that would start beyond the input and its left padding.
        return min(shift + stride - 1, padding - 1) if self.ceil_mode else shift

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        shift = self._shift(axis)
        whole = self.at("kernel_size", axis) if self.ndim_matters and ndim == 3 else 1  # torch's 3-D averages want it
        return FloorRule(shift=shift, step=self.at("stride", axis), offset=1, minimum=max(whole, -shift))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        kernel, dilation, padding = (self.at(name, axis) for name in ("kernel_size", "dilation", "padding"))
        if size >= 1 and size + 2 * padding < self.span(axis):
            return window_too_large(size, (padding, padding), kernel, dilation, most_padding=kernel // 2)
        if self.ndim_matters and least == kernel > 1:
            return f"the input is {size}: in 3-D it must be at least the kernel, {kernel}, padding left aside"
        return f"the input is {size}: it must be at least {least}"

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """The transposed convolution with the pool's window."""
        from convarith.transposed import transposed

        return transposed(self, input_size)

    def formula_text_at(self, axis: int) -> str:
        """Both roundings in one form; ceil_mode is the one with the smaller of two shifts."""
        if self.ceil_mode:
            return "floor(({i} + min(2*{p} - {d}*({k} - 1) + {s} - 2, {p} - 1))/{s}) + 1"
        return self.formula_text


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxPool(_Pool):
    """A max pool: torch's MaxPool1d, MaxPool2d, MaxPool3d. The stride is the kernel size unless it is given.

    Raises ParameterError where torch refuses the parameters: the padding may be half the kernel, undilated, at most.

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

    kind: ClassVar[str] = "max-pool"
    torch_name: ClassVar[str] = "MaxPool"
    signature: ClassVar[tuple[str, ...]] = (
        "kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode",
    )  # fmt: skip

    def __post_init__(self) -> None:
        self._settle_pool("padding", "dilation")


@dataclass(frozen=True, kw_only=True, repr=False)
class AvgPool(_Pool):
    """An average pool: torch's AvgPool1d, AvgPool2d, AvgPool3d.

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

    kind: ClassVar[str] = "avg-pool"
    torch_name: ClassVar[str] = "AvgPool"
    ndim_matters: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = (
        "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.divisor_override is not None and integer(self.divisor_override, "divisor_override") == 0:
            raise ParameterError("divisor_override is 0: the sum of a window is divided by it")
        self._settle_pool("padding")
        if self.divisor_override is not None and self.ndim == 1:
            raise ParameterError("AvgPool1d has no divisor_override: torch knows it in 2-D and 3-D only")


@dataclass(frozen=True, kw_only=True, repr=False)
class LPPool(_Pool):
    """A power-average pool: torch's LPPool1d, LPPool2d, LPPool3d.

    >>> import convarith as ca
    >>> ca.LPPool(norm_type=2, kernel_size=3, stride=2).output_size((28, 28))
    (13, 13)
    """

    norm_type: float
    kernel_size: Ints
    stride: Ints | None = None
    ceil_mode: bool = False
    ndim: int | None = None

    kind: ClassVar[str] = "lp-pool"
    torch_name: ClassVar[str] = "LPPool"
    ndim_matters: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("norm_type", "kernel_size", "stride", "ceil_mode")
    leading: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not isinstance(self.norm_type, (int, float)) or self.norm_type == 0:
            raise ParameterError(f"norm_type must be a number other than 0, got {self.norm_type!r}")
        self._settle_pool()


@dataclass(frozen=True, init=False, repr=False)
class FractionalMaxPool(SpatialLayer):
    """A fractional max pool: torch's FractionalMaxPool2d, FractionalMaxPool3d, with output_size or output_ratio.

    >>> import convarith as ca
    >>> ca.FractionalMaxPool(kernel_size=2, output_ratio=0.7).output_size((10, 11))
    (7, 7)
    """

    kernel_size: Ints
    target: Ints | None
    output_ratio: float | tuple[float, ...] | None
    return_indices: bool
    ndim: int | None

    kind: ClassVar[str] = "fractional-max-pool"
    torch_name: ClassVar[str] = "FractionalMaxPool"
    empty_channels: ClassVar[str] = "unbatched"
    ndim_matters: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("kernel_size", "output_size", "output_ratio", "return_indices")
    fields_of: ClassVar[dict[str, str]] = {"output_size": "target"}
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    source: ClassVar[str] = "torch.nn.FractionalMaxPool2d"

    def __init__(
        self,
        *,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        ndim: int | None = None,
    ) -> None:
        for name, value in (
            ("kernel_size", kernel_size), ("target", output_size), ("output_ratio", output_ratio),
            ("return_indices", return_indices), ("ndim", ndim),
        ):  # fmt: skip
            object.__setattr__(self, name, value)
        if (output_size is None) == (output_ratio is None):
            raise ParameterError(f"{self.torch_name} needs one of output_size and output_ratio")
        self._settle("kernel_size", "target" if output_ratio is None else "output_ratio", kernel_size=1, target=0)
        self._set_rules()

    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"output_ratio": ratio}

    def default(self, name: str) -> object:
        """As for every layer."""
        return False if name == "return_indices" else None

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        room = self.at("kernel_size", axis) - (0 if ndim == 3 else 1)  # torch's 3-D pool wants one position more
        if self.output_ratio is None:
            output = self.at("target", axis)
            return FloorRule(rise=0, offset=output, minimum=max(1, output + room))
        factor = spread(self.output_ratio, axis + 1)[axis]
        # The windows fit once i - floor(i * ratio) >= room; that difference never falls, so halving finds the first.
        return ScaleRule(factor, minimum=first_size(lambda size: size - floor(size * factor) >= room))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        kernel = self.at("kernel_size", axis)
        return f"windows of {kernel} do not fit an input of {size} for this output: needs an input >= {least}"

    def letters(self, axis: int) -> dict[str, int]:
        """i, and o or the ratio as a number in the formula."""
        return {} if self.output_ratio is not None else {"o": self.at("target", axis)}

    def formula_text_at(self, axis: int) -> str:
        """The output size itself, or its ratio of the input."""
        return "{o}" if self.output_ratio is None else f"floor({{i}}*{spread(self.output_ratio, axis + 1)[axis]!r})"


class _AdaptivePool(SpatialLayer):
    """A pool that gives the output size it is told; None keeps the input's."""

    target: Ints | tuple[int | None, ...] | None
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    signature: ClassVar[tuple[str, ...]] = ("output_size",)
    fields_of: ClassVar[dict[str, str]] = {"output_size": "target"}
    never_spread: ClassVar[tuple[str, ...]] = ("target",)
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"target": integer_or_none}

    def _set(self, output_size: object, ndim: int | None) -> None:
        object.__setattr__(self, "target", output_size)
        object.__setattr__(self, "ndim", ndim)
        self._settle("target", target=0)
        if self.ndim == 1 and None in spread(self.target, 1):
            raise ParameterError(f"{self.name} needs an integer as output_size: torch takes None in 2-D and 3-D only")
        self._set_rules()

    def default(self, name: str) -> object:
        """output_size has none; return_indices is off."""
        return MISSING if name == "output_size" else False

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """As for every layer; an output size of None is one to write."""
        target = spread(self.target, 1)
        yield "output_size", target[0] if len(set(target)) == 1 else target
        yield from (pair for pair in super().arguments() if pair[0] != "output_size")

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        target = spread(self.target, axis + 1)[axis]
        return FloorRule() if target is None else FloorRule(rise=0, offset=target)

    def letters(self, axis: int) -> dict[str, int]:
        """o, the output size that is asked for."""
        target = spread(self.target, axis + 1)[axis]
        return {} if target is None else {"o": target}

    def formula_text_at(self, axis: int) -> str:
        """o = o, or o = i."""
        return "{o}" if self.letters(axis) else "{i}"


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveAvgPool(_AdaptivePool):
    """An adaptive average pool: torch's AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d.

    >>> import convarith as ca
    >>> ca.AdaptiveAvgPool(output_size=(1, None)).output_size((28, 30))
    (1, 30)
    """

    target: Ints | tuple[int | None, ...] | None
    ndim: int | None

    kind: ClassVar[str] = "adaptive-avg-pool"
    torch_name: ClassVar[str] = "AdaptiveAvgPool"
    source: ClassVar[str] = "torch.nn.AdaptiveAvgPool2d"

    def __init__(self, *, output_size: object, ndim: int | None = None) -> None:
        self._set(output_size, ndim)

    @property
    def empty_channels(self) -> str:  # type: ignore[override]
        """torch's 3-D pool is the stricter one."""
        return "unbatched" if self.ndim == 3 else "always"

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.ndim is not None and len(shape) >= self.ndim and (self.ndim > 1 or len(shape) in (2, 3)):
            # To a size of 1 torch takes the mean over the last axes, of any tensor, an empty one too.
            targets = zip(spread(self.target, self.ndim), shape[-self.ndim :], strict=True)
            if all((size if target is None else target) == 1 for target, size in targets):
                return (*shape[: -self.ndim], *(1,) * self.ndim)
        return super()._shape(shape)


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveMaxPool(_AdaptivePool):
    """An adaptive max pool: torch's AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d.

    >>> import convarith as ca
    >>> ca.AdaptiveMaxPool(output_size=7).output_size((28, 30))
    (7, 7)
    """

    target: Ints | tuple[int | None, ...] | None
    return_indices: bool
    ndim: int | None

    kind: ClassVar[str] = "adaptive-max-pool"
    torch_name: ClassVar[str] = "AdaptiveMaxPool"
    signature: ClassVar[tuple[str, ...]] = ("output_size", "return_indices")
    empty_channels: ClassVar[str] = "unbatched"
    source: ClassVar[str] = "torch.nn.AdaptiveMaxPool2d"

    def __init__(self, *, output_size: object, return_indices: bool = False, ndim: int | None = None) -> None:
        object.__setattr__(self, "return_indices", return_indices)
        self._set(output_size, ndim)


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxUnpool(SpatialLayer):
    """Max unpooling with the indices of a max pool: torch's MaxUnpool1d, MaxUnpool2d, MaxUnpool3d.

    A kernel or stride below 1 is refused in every dimension (torch refuses it in 3-D and gives sizes without meaning
    in 1-D and 2-D).

    >>> import convarith as ca
    >>> unpool = ca.MaxUnpool(kernel_size=2)
    >>> unpool.output_size((3, 3)), unpool.output_size((3, 3), output_size=(7, 7))
    ((6, 6), (7, 7))
    """

    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0
    ndim: int | None = None

    kind: ClassVar[str] = "max-unpool"
    torch_name: ClassVar[str] = "MaxUnpool"
    signature: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding")
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    empty_channels: ClassVar[str] = "unbatched"
    formula_text: ClassVar[str] = "({i} - 1)*{s} - 2*{p} + {k}"
    source: ClassVar[str] = "torch.nn.MaxUnpool2d"

    def __post_init__(self) -> None:
        if self.stride is None or self.stride == ():
            object.__setattr__(self, "stride", self.kernel_size)
        self._settle("kernel_size", "stride", "padding", kernel_size=1, stride=1)
        self._set_rules()

    def default(self, name: str) -> object:
        """As for every layer; the stride follows the kernel."""
        return self.kernel_size if name == "stride" else super().default(name)

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        stride, offset = self.at("stride", axis), self._plain(axis, 0)
        return FloorRule(rise=stride, offset=offset, minimum=max(1, -(offset // stride)))

    def _plain(self, axis: int, size: int) -> int:
        """The output size where no other is asked for."""
        return (size - 1) * self.at("stride", axis) - 2 * self.at("padding", axis) + self.at("kernel_size", axis)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        return f"the output would be {self._plain(axis, size)} (i={size}): needs an input >= {least}"

    def output_size(self, input_size: int | Sequence[int], output_size: Sequence[int] | None = None) -> tuple[int, ...]:
        """The output size; or `output_size` itself, when torch's forward would take it as its third argument.

        torch takes the sizes less than a stride away from its own, on both sides.
        """
        if output_size is None:
            return super().output_size(input_size)
        inputs, wanted = self._sizes(input_size), shape_of(output_size, "output_size")
        if len(wanted) != len(self.rules(len(inputs))):
            raise ShapeError(f"output_size {times(wanted)} has {len(wanted)} sizes, the input {len(inputs)}")
        for axis, (size, target) in enumerate(zip(inputs, wanted, strict=True)):
            plain, stride = self._plain(axis, size), self.at("stride", axis)
            if size < 1 or not plain - stride < target < plain + stride:
                reach = f"{max(0, plain - stride + 1)} to {plain + stride - 1}"
                raise ShapeError(f"{self.name}, axis {axis}: output_size {target} is out of reach, choose from {reach}")
        return wanted

    def letters(self, axis: int) -> dict[str, int]:
        """i, k, s and p."""
        return {
            letter: self.at(name, axis) for letter, name in {"k": "kernel_size", "s": "stride", "p": "padding"}.items()
        }
