"""Transposed convolution, and the way back from any layer with a window."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import gcd, prod
from typing import ClassVar

from convarith.axis import AxisRule, FloorRule, is_even
from convarith.convolution import Conv, ConvolutionLayer
from convarith.errors import ParameterError, ShapeError
from convarith.layer import Layer
from convarith.values import Ints
from convarith.window import WindowLayer


@dataclass(frozen=True, kw_only=True, repr=False)
class ConvTranspose(ConvolutionLayer):
    """A transposed convolution: torch's ConvTranspose1d, ConvTranspose2d, ConvTranspose3d.

    An empty output is refused, as torch's own kernels refuse it (its oneDNN path lets some such layers pass and
    returns a tensor without values).

    Raises ParameterError where torch cannot build or run such a layer.

    >>> import convarith as ca
    >>> up = ca.ConvTranspose(kernel_size=5, stride=2, padding=2, output_padding=1)
    >>> up.output_size((64, 64))
    (128, 128)
    """

    kernel_size: Ints
    stride: Ints = 1
    padding: Ints = 0
    output_padding: Ints = 0
    groups: int = 1
    bias: bool = True
    dilation: Ints = 1
    in_channels: int | None = None
    out_channels: int | None = None
    padding_mode: str = "zeros"
    ndim: int | None = None

    kind: ClassVar[str] = "conv-transpose"
    torch_name: ClassVar[str] = "ConvTranspose"
    signature: ClassVar[tuple[str, ...]] = (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias",
        "dilation", "padding_mode",
    )  # fmt: skip
    formula_text: ClassVar[str] = "({i} - 1)*{s} - 2*{p} + {d}*({k} - 1) + {op} + 1"
    source: ClassVar[str] = "arXiv 1603.07285, relationship 14, with dilation"

    def __post_init__(self) -> None:
        if isinstance(self.padding, str):
            raise ParameterError(f"a transposed convolution takes its padding as a number, got {self.padding!r}")
        if self.padding_mode != "zeros":
            raise ParameterError(f"a transposed convolution knows padding_mode 'zeros' only, got {self.padding_mode!r}")
        self._settle(
            "kernel_size", "stride", "padding", "output_padding", "dilation",
            kernel_size=1, stride=1, padding=0, output_padding=0, dilation=1,
        )  # fmt: skip
        self._check_channels(least_in=1)
        for axis in range(self.ndim or 1):
            extra, stride, dilation = (self.at(name, axis) for name in ("output_padding", "stride", "dilation"))
            if extra >= stride and extra >= dilation:
                raise ParameterError(
                    f"output_padding is {extra}: it must be less than the stride ({stride}) or the dilation "
                    f"({dilation}), so at most {max(stride, dilation) - 1}"
                )
        self._set_rules()

    def _constant(self, axis: int) -> int:
        """What the output has beyond s * (i - 1)."""
        return self.span(axis) - 2 * self.at("padding", axis) + self.at("output_padding", axis)

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        stride, constant = self.at("stride", axis), self._constant(axis)
        # The smallest i with s(i - 1) + constant >= 1.
        return FloorRule(rise=stride, offset=constant - stride, minimum=max(1, 1 - (constant - 1) // stride))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        output = self.at("stride", axis) * (size - 1) + self._constant(axis)
        if size < 1:
            return f"the input is {size}: it must be at least {least}"
        return (
            f"the output would be {output} (i={size}, k={self.at('kernel_size', axis)}, s={self.at('stride', axis)}, "
            f"p={self.at('padding', axis)}): it must be at least 1, needs an input >= {least} "
            f"or less padding"
        )

    def output_size(self, input_size: int | Sequence[int], output_size: Sequence[int] | None = None) -> tuple[int, ...]:
        """The output size; or `output_size` itself, when torch's forward would take it as its second argument.

        torch takes s sizes an axis, from the one that output_padding 0 gives.

        >>> import convarith as ca
        >>> up = ca.ConvTranspose(kernel_size=3, stride=2, padding=1)
        >>> up.output_size((14, 14)), up.output_size((14, 14), output_size=(28, 28))
        ((27, 27), (28, 28))
        """
        if output_size is None:
            return super().output_size(input_size)
        asked = self._asked(input_size, output_size)
        for axis, (size, target) in enumerate(asked):
            stride = self.at("stride", axis)
            least = stride * (size - 1) + self._constant(axis) - self.at("output_padding", axis)
            if size < 1 or target < 1 or not least <= target < least + stride:
                reach = f"{max(1, least)} to {least + stride - 1}"
                raise ShapeError(f"{self.name}, axis {axis}: output_size {target} is out of reach, choose from {reach}")
        return tuple(target for _, target in asked)

    def letters(self, axis: int) -> dict[str, int]:
        """i, k, s, p, d and op, the output padding."""
        return super().letters(axis) | {"op": self.at("output_padding", axis)}

    def leftover(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """A transposed convolution reads its whole input."""
        return (0,) * len(self.output_size(input_size))

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """The convolution of the same parameters; where output_padding reaches the stride, its further outputs cropped.

        >>> import convarith as ca
        >>> ca.ConvTranspose(kernel_size=3, stride=2, output_padding=1, in_channels=8, out_channels=4).back(7)
        (Conv(4, 8, 3, stride=2),)
        """
        self.output_size(input_size)
        names = ("kernel_size", "stride", "padding", "dilation", "groups", "bias", "ndim")
        conv = Conv(
            **{name: getattr(self, name) for name in names},
            in_channels=self.out_channels, out_channels=self.in_channels,
        )  # fmt: skip
        axes = range(len(self._sizes(input_size)))
        further = [self.at("output_padding", axis) // self.at("stride", axis) for axis in axes]
        return (conv, _crop([(0, -size) for size in further])) if any(further) else (conv,)

    def macs(self, *shapes: Sequence[int]) -> int:
        """Every input position multiplies each tap: positions * in * out/groups * kernel.

        >>> import convarith as ca
        >>> ca.parse("ConvTranspose2d(32, 1, 5)").macs((32, 24, 24))
        460800
        """
        self.output_shape(*shapes)
        batch, channels, spatial = self._split(tuple(shapes[0]))
        return prod(batch) * prod(spatial) * self._weights(channels, len(spatial))


def transposed(layer: WindowLayer, input_size: int | Sequence[int], evenly: bool = False) -> tuple[Layer, ...]:
    """The transposed convolution that leads a window layer's output back to its input size, tap for tap.

    Its output_padding is what the stride left unread. Where the two sides of the padding differ, or ceil_mode let a
    window hang over the end, a crop follows. `evenly` takes the nearest kernel that hits every output equally often
    in place of the layer's own.

    >>> import convarith as ca
    >>> transposed(ca.Conv(kernel_size=4, padding="same"), 7)
    (ConvTranspose1d(kernel_size=4, padding=1), ZeroPad1d((0, -1)))
    >>> transposed(ca.Conv(kernel_size=3, stride=2, padding=1), 28, evenly=True)
    (ConvTranspose(kernel_size=4, stride=2, padding=1),)
    """
    axes = []
    for axis, left in enumerate(layer.leftover(input_size)):
        kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        before, after = layer.pads(axis)
        sides = before, after - left
        if evenly and not is_even(kernel, stride, dilation):
            span = layer.span(axis)
            kernel, dilation = even_window(kernel, stride, dilation)
            total = sum(sides) + dilation * (kernel - 1) + 1 - span
            sides = -(-total // 2), total // 2
        axes.append((kernel, dilation, *_cut(*sides, max(stride, dilation))))
    kernels, dilations, paddings, extras, crops = zip(*axes, strict=True)
    cropped = any(crop != (0, 0) for crop in crops)
    ndim = len(axes) if cropped or len(set(axes)) > 1 else layer.ndim
    conv = ConvTranspose(
        kernel_size=kernels if ndim else kernels[0], dilation=dilations if ndim else dilations[0],
        stride=layer.stride or 1,
        padding=paddings if ndim else paddings[0], output_padding=extras if ndim else extras[0],
        in_channels=getattr(layer, "out_channels", None), out_channels=getattr(layer, "in_channels", None) or None,
        groups=getattr(layer, "groups", 1), bias=getattr(layer, "bias", True), ndim=ndim,
    )  # fmt: skip
    return (conv, _crop(crops)) if cropped else (conv,)


def _cut(before: int, after: int, extras: int) -> tuple[int, int, tuple[int, int]]:
    """(padding, output_padding, crop) that cut so much off a transposed convolution's whole output; below 0 adds.

    torch's padding cuts both sides alike, its output_padding (less than `extras`) leaves some of that at the end.
    """
    if 0 <= before - after < extras and before >= 0:
        return before, before - after, (0, 0)
    padding = max(0, min(before, after))
    extra = min(max(0, padding - after), extras - 1)
    return padding, extra, (padding - before, padding - after - extra)


def even_window(kernel: int, stride: int, dilation: int = 1, extra: int = 0) -> tuple[int, int]:
    """The nearest (kernel, dilation) that hits every position equally often and spans at least as much.

    Even is a kernel that the stride divides, under a dilation that has no factor in common with it. An output_padding
    `extra` that the stride does not allow needs a dilation beyond it.

    >>> even_window(3, 2), even_window(4, 2), even_window(3, 2, dilation=2)
    ((4, 1), (4, 1), (4, 3))
    """
    span = dilation * (kernel - 1) + 1
    kernel = -(-kernel // stride) * stride
    least = -(-(span - 1) // (kernel - 1)) if kernel > 1 else dilation
    least = max(1, least, extra + 1 if extra >= stride else 1)
    return kernel, next(each for each in count(least) if gcd(each, stride) == 1)


def even(layer: ConvTranspose) -> ConvTranspose:
    """The nearest transposed convolution of the same output sizes that hits every inner position equally often.

    An even layer is returned as it is. The formula: k2 = ceil(k/s)*s, t = 2p - op + k2 - k, p2 = ceil(t/2),
    op2 = 2*p2 - t.

    >>> import convarith as ca
    >>> even(ca.ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1))
    ConvTranspose(kernel_size=4, stride=2, padding=1)
    """
    axes = []
    for axis in range(layer.ndim or 1):
        names = ("kernel_size", "stride", "dilation", "padding", "output_padding")
        kernel, stride, dilation, padding, extra = (layer.at(name, axis) for name in names)
        if not is_even(kernel, stride, dilation):
            span = layer.span(axis)
            kernel, dilation = even_window(kernel, stride, dilation, extra)
            total = 2 * padding - extra + dilation * (kernel - 1) + 1 - span
            padding = max(0, -(-total // 2))
            extra = 2 * padding - total
        axes.append((kernel, dilation, padding, extra))
    kernels, dilations, paddings, extras = zip(*axes, strict=True)
    if layer.ndim is None:
        kernels, dilations, paddings, extras = kernels[0], dilations[0], paddings[0], extras[0]
    return replace(layer, kernel_size=kernels, dilation=dilations, padding=paddings, output_padding=extras)


def _crop(sides: Sequence[tuple[int, int]]) -> Layer:
    from convarith.padding import Pad  # rarely needed

    return Pad(padding=tuple(sides), ndim=len(sides))
