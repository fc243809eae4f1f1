"""Convolution, transposed convolution, and the transposed convolution that inverts any layer with a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import gcd, prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer
from convarith.layers.window import PADDING_MODES, Padding, WindowLayer, window_too_large
from convarith.sizes.normalise import Ints, counted, integer, nearest, side, spread
from convarith.sizes.rules import AxisRule, FloorRule, hits_evenly

if TYPE_CHECKING:
    from convarith.layers.reads import Reads, Scattering
    from convarith.layers.ways_back import Passage, Way
    from convarith.sizes.letters import Dim


class ConvolutionLayer(WindowLayer):
    """The common base of both convolutions: channels, groups, weights."""

    in_channels: int | None
    out_channels: int | None
    groups: int
    bias: bool
    padding_mode: str
    empty_channels: ClassVar[str] = "always"
    searched: ClassVar[dict[str, list[Any]] | None] = {}
    has_matrix: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    leading: ClassVar[int] = 3
    never_spread: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def _check_channels(self, least_in: int) -> None:
        if self.bias not in (True, False, None):  # torch treats None as False
            raise ParameterError(f"bias must be True or False, got {self.bias!r}")
        object.__setattr__(self, "bias", bool(self.bias))
        for name, least in (("groups", 1), ("in_channels", least_in), ("out_channels", 1)):
            value = getattr(self, name)
            if value is None and name != "groups":
                continue
            value = integer(value, name)
            object.__setattr__(self, name, value)
            if value < least:
                raise ParameterError(f"{name} is {value}: it must be at least {least}")
            if value % self.groups:
                raise ParameterError(f"{name} is {value}, which is not divisible by groups={self.groups}")

    def _channels(self, channels: int) -> int:
        if self.in_channels is not None and channels != self.in_channels:
            expected = counted(self.in_channels, "channel")
            raise ShapeError(f"{self.name} expects {expected} (in_channels), got {channels:,}")
        if self.out_channels is None:
            raise ShapeError(f"{self.name} has no out_channels: set it to get the number of output channels")
        if channels % self.groups:
            given = counted(channels, "channel")
            raise ShapeError(f"{self.name} got {given}, which is not divisible by groups={self.groups}")
        if channels == 0 and self.padding_mode in ("reflect", "replicate"):
            raise ShapeError(f"{self.name} got zero channels: padding_mode={self.padding_mode!r} needs at least 1")
        return self.out_channels if channels else 0  # in torch, zero channels stay zero channels

    def _open_channels(self, channels: Dim) -> Dim:
        from convarith.sizes.letters import AxisSize, Unknown

        if isinstance(channels, AxisSize):
            return channels
        if isinstance(channels, int) and self.out_channels is not None:
            return self._channels(channels)
        return Unknown() if self.out_channels is None else self.out_channels

    def _grouped(self) -> tuple[int, int]:
        """(input, output) channels, with open ones counted as one per group."""
        in_channels = self.groups if self.in_channels is None else self.in_channels
        return in_channels, self.groups if self.out_channels is None else self.out_channels

    def _weights(self, channels: int, ndim: int) -> int:
        """The weights of all taps; each is used once per position of the strided side."""
        return channels * self._channels(channels) // self.groups * prod(spread(self.kernel_size, ndim))

    @property
    def parameter_count(self) -> int:
        """The number of weights and biases: in * out/groups * kernel + out.

        Raises ParameterError if the channels or the dimension are open.

        >>> import convarith as ca
        >>> ca.parse("Conv2d(1, 32, 5)").parameter_count
        832
        """
        if self.in_channels is None or self.out_channels is None or self.ndim is None:
            raise ParameterError(f"{self} needs in_channels, out_channels and ndim to count its parameters")
        return self._weights(self.in_channels, self.ndim) + (self.out_channels if self.bias else 0)


@dataclass(frozen=True, kw_only=True, repr=False)
class Conv(ConvolutionLayer):
    """A convolution: torch's Conv1d, Conv2d, Conv3d.

    Unlike in torch, the padding of an axis may be a pair (before, after), which is equivalent to F.pad before the
    convolution; negative values crop. The channels and the dimension may stay open if only sizes are needed.

    Raises ParameterError if torch cannot build or run such a layer.

    >>> import convarith as ca
    >>> conv = ca.Conv(kernel_size=3, stride=2, padding=1, in_channels=16, out_channels=32)
    >>> conv.output_size((28, 28)), conv.output_shape((1, 16, 28, 28))
    ((14, 14), (1, 32, 14, 14))
    >>> ca.Conv(kernel_size=4, padding="same").output_size(7)
    (7,)
    >>> ca.Conv(kernel_size=2, padding=((1, 0),)).output_size(7)
    (7,)
    """

    kernel_size: Ints
    stride: Ints = 1
    padding: Padding = 0
    dilation: Ints = 1
    in_channels: int | None = None
    out_channels: int | None = None
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    ndim: int | None = None

    torch_name: ClassVar[str] = "Conv"
    signature: ClassVar[tuple[str, ...]] = (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode",
    )  # fmt: skip
    source: ClassVar[str] = "arXiv 1603.07285, relationship 15"
    title: ClassVar[str] = "Convolution"
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"padding": side}

    def __post_init__(self) -> None:
        if self.padding_mode not in PADDING_MODES:
            mode = str(self.padding_mode)
            raise ParameterError(f"padding_mode {mode!r} is unknown: {nearest(mode, PADDING_MODES)}")
        limits = {"kernel_size": 1, "stride": 1, "dilation": 1}
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise ParameterError(f"padding {self.padding!r} is unknown: {nearest(self.padding, ('same', 'valid'))}")
            self._settle("kernel_size", "stride", "dilation", **limits)
            if self.padding == "same" and any(stride != 1 for stride in spread(self.stride, 1)):
                raise ParameterError(f"padding='same' needs stride 1, got {self.stride}: give the padding as numbers")
        else:
            if self.padding_mode == "zeros":  # in its other modes torch crops; a pair crops in all modes
                limits["padding"] = 0
            self._settle("kernel_size", "stride", "padding", "dilation", **limits)
        self._check_channels(least_in=0)
        self._set_rules()

    @property
    def pad_mode(self) -> str:
        """How the padding is filled."""
        return self.padding_mode

    def weight_shape(self, ndim: int) -> tuple[int, ...] | None:
        """The shape of the weight: (out, in/groups, *kernel)."""
        in_channels, out_channels = self._grouped()
        return (out_channels, in_channels // self.groups, *spread(self.kernel_size, ndim))

    def channels_read(
        self, target: int, position: tuple[int, ...], channels: int, out_channels: int
    ) -> Iterator[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
        """Yield the input channels of the output channel's group."""
        own = channels // self.groups
        first = target // (out_channels // self.groups) * own
        for number in range(own):
            yield first + number, (target, number), None

    def torch_calls(self) -> tuple[str, ...]:
        """The calls that build the layer; asymmetric padding becomes a separate layer."""
        if not isinstance(self.padding, tuple) or all(isinstance(each, int) for each in self.padding):
            return super().torch_calls()
        from convarith.layers.padding import Pad

        pads = tuple(self.pads(axis) for axis in range(self.ndim or 0))
        pad = Pad(padding=pads, mode=self.padding_mode, ndim=self.ndim)
        return (*pad.torch_calls(), *self.changed(padding=0, padding_mode="zeros").torch_calls())

    def pads(self, axis: int) -> tuple[int, int]:
        """The padding before and after one axis.

        If 'same' needs an odd total, the extra position comes after, as in torch.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=4, padding="same").pads(0)
        (1, 2)
        """
        if self.padding == "valid":
            return 0, 0
        if self.padding == "same":
            total = self.at("dilation", axis) * (self.at("kernel_size", axis) - 1)
            return total // 2, total - total // 2
        entry = self.padding[axis] if isinstance(self.padding, tuple) else self.padding
        return (entry, entry) if isinstance(entry, int) else entry  # type: ignore[return-value]

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        before, after = self.pads(axis)
        span = self.span(axis)
        # Reflection needs an input larger than the padding, circular padding one at least as large.
        for_mode = {"reflect": max(before, after) + 1, "circular": max(before, after)}.get(self.padding_mode, 1)
        return FloorRule(
            shift=before + after - span,
            step=self.at("stride", axis),
            offset=1,
            minimum=max(1, for_mode, span - before - after),
        )

    def _refusal(self, axis: int, size: int, least: int) -> str:
        before, after = self.pads(axis)
        kernel, dilation, span = self.at("kernel_size", axis), self.at("dilation", axis), self.span(axis)
        if size + before + after < span:
            return window_too_large(size, (before, after), kernel, dilation)
        if size < 1:
            return f"the input is {size}: it must be at least 1"
        limit = "less than" if self.padding_mode == "reflect" else "at most"
        return (
            f"padding_mode={self.padding_mode!r} needs padding {limit} the input size, got padding "
            f"{max(before, after)} for an input of {size}: needs an input >= {least}"
        )

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """The transposed convolution with the same parameters; its output_padding is what the stride left unread."""
        return transposed(self, input_size)

    def letters(self, axis: int) -> dict[str, int]:
        """The letters k, s, d and the padding: p, or p1 before and p2 after."""
        before, after = self.pads(axis)
        padding = {"p": before} if before == after else {"p1": before, "p2": after}
        return {
            "k": self.at("kernel_size", axis),
            "s": self.at("stride", axis),
            **padding,
            "d": self.at("dilation", axis),
        }

    def formula_text_at(self, axis: int) -> str:
        """o = floor((i + 2p - d(k-1) - 1)/s) + 1, with p1 + p2 instead of 2p for asymmetric padding."""
        before, after = self.pads(axis)
        padding = "2*{p}" if before == after else "{p1} + {p2}"
        return "floor(({i} + " + padding + " - {d}*({k} - 1) - 1)/{s}) + 1"

    def macs(self, *shapes: Sequence[int]) -> int:
        """One multiplication per output position and tap: positions * out * in/groups * kernel.

        >>> import convarith as ca
        >>> ca.parse("Conv2d(1, 32, 5)").macs((1, 28, 28))
        460800
        """
        *_, spatial = self._split(self.output_shape(*shapes))
        batch, channels, _ = self._split(tuple(shapes[0]))
        return prod(batch) * prod(spatial) * self._weights(channels, len(spatial))


@dataclass(frozen=True, kw_only=True, repr=False)
class ConvTranspose(ConvolutionLayer):
    """A transposed convolution: torch's ConvTranspose1d, ConvTranspose2d, ConvTranspose3d.

    An empty output is an error, as in torch's own kernels (its oneDNN path accepts some such layers and returns an
    empty tensor).

    Raises ParameterError if torch cannot build or run such a layer.

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

    torch_name: ClassVar[str] = "ConvTranspose"
    signature: ClassVar[tuple[str, ...]] = (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias",
        "dilation", "padding_mode",
    )  # fmt: skip
    formula_text: ClassVar[str] = "({i} - 1)*{s} - 2*{p} + {d}*({k} - 1) + {op} + 1"
    source: ClassVar[str] = "arXiv 1603.07285, relationship 14, with dilation"
    title: ClassVar[str] = "Transposed convolution"
    overlap_side: ClassVar[str] = "output"
    forward_arguments: ClassVar[tuple[str, ...]] = ("output_size",)

    def __post_init__(self) -> None:
        if isinstance(self.padding, str):
            raise ParameterError(f"the padding of a transposed convolution must be a number, got {self.padding!r}")
        if self.padding_mode != "zeros":
            mode = self.padding_mode
            raise ParameterError(f"a transposed convolution only supports padding_mode 'zeros', got {mode!r}")
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

    def weight_shape(self, ndim: int) -> tuple[int, ...] | None:
        """The shape of the weight: (in, out/groups, *kernel)."""
        in_channels, out_channels = self._grouped()
        return (in_channels, out_channels // self.groups, *spread(self.kernel_size, ndim))

    def channels_read(
        self, target: int, position: tuple[int, ...], channels: int, out_channels: int
    ) -> Iterator[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
        """Yield the input channels of the output channel's group."""
        own, out = channels // self.groups, out_channels // self.groups
        for channel in range(target // out * own, (target // out + 1) * own):
            yield channel, (channel, target % out), None

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Every input adds to a window of outputs."""
        from convarith.layers.reads import Spread

        return Spread(
            size=self.at("kernel_size", axis), stride=self.at("stride", axis), dilation=self.at("dilation", axis),
            before=self.at("padding", axis),
        )  # fmt: skip

    def scattering(self, axis: int) -> Scattering | None:
        """Where the forward pass adds values; output_padding keeps some of what the padding removes."""
        from convarith.layers.reads import Scattering

        kernel, stride, dilation = (self.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        padding = self.at("padding", axis)
        return Scattering(kernel, stride, dilation, padding, padding - self.at("output_padding", axis))

    def way_back(self, passage: Passage) -> Way | None:
        """The convolution with the same parameters, if it restores the size."""
        from convarith.layers.ways_back import Way

        back = self.back(passage.before[1:])
        shape = (1, *passage.after)
        try:
            for layer in back:
                shape = layer.output_shape(shape)
        except ShapeError:
            return None
        return Way.exact(*back) if shape[1:] == passage.before else None

    def with_output(self, input_size: tuple[int, ...], output_size: tuple[int, ...]) -> Self:
        """The same layer with the output_padding that gives this output size."""
        plain = self.changed(output_padding=0)
        pairs = zip(output_size, plain.output_size(input_size), strict=True)
        return plain.changed(output_padding=tuple(wanted - given for wanted, given in pairs))

    def _constant(self, axis: int) -> int:
        """The output size minus s * (i - 1)."""
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
            f"p={self.at('padding', axis)}): it must be at least 1, which needs an input >= {least} "
            f"or less padding"
        )

    def output_size(self, input_size: int | Sequence[int], output_size: Sequence[int] | None = None) -> tuple[int, ...]:
        """The output size; or `output_size` itself, if torch's forward accepts it as its second argument.

        torch accepts s sizes per axis, starting with the one for output_padding 0.

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
                where = self._where(axis, len(asked))
                raise ShapeError(f"{where}: output_size {target} is out of range: choose a size from {reach}")
        return tuple(target for _, target in asked)

    def letters(self, axis: int) -> dict[str, int]:
        """The letters k, s, p, d and op, the output padding."""
        return super().letters(axis) | {"op": self.at("output_padding", axis)}

    def leftover(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """Zero for every axis, because a transposed convolution reads its whole input."""
        return (0,) * len(self.output_size(input_size))

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """The convolution with the same parameters, followed by a crop if output_padding reaches the stride.

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
        axes = range(len(self.spatial_size(input_size)))
        further = [self.at("output_padding", axis) // self.at("stride", axis) for axis in axes]
        return (conv, _crop([(0, -size) for size in further])) if any(further) else (conv,)

    def macs(self, *shapes: Sequence[int]) -> int:
        """One multiplication per input position and tap: positions * in * out/groups * kernel.

        >>> import convarith as ca
        >>> ca.parse("ConvTranspose2d(32, 1, 5)").macs((32, 24, 24))
        460800
        """
        self.output_shape(*shapes)
        batch, channels, spatial = self._split(tuple(shapes[0]))
        return prod(batch) * prod(spatial) * self._weights(channels, len(spatial))


def transposed(layer: WindowLayer, input_size: int | Sequence[int], evenly: bool = False) -> tuple[Layer, ...]:
    """The transposed convolution, with the same taps, that restores the input size of a layer with a window.

    Its output_padding is what the stride left unread. If the padding is asymmetric, or ceil_mode let a window extend
    past the end, a crop follows. `evenly` replaces the kernel by the nearest one that hits every output equally often.

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
        if evenly and not hits_evenly(kernel, stride, dilation):
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
    """(padding, output_padding, crop) that remove this much from a transposed convolution's full output; below 0 adds.

    torch's padding removes the same amount on both sides; output_padding (less than `extras`) keeps some at the end.
    """
    if 0 <= before - after < extras and before >= 0:
        return before, before - after, (0, 0)
    padding = max(0, min(before, after))
    extra = min(max(0, padding - after), extras - 1)
    return padding, extra, (padding - before, padding - after - extra)


def even_window(kernel: int, stride: int, dilation: int = 1, extra: int = 0) -> tuple[int, int]:
    """The nearest (kernel, dilation) that hits every position equally often and spans at least as much.

    The overlap is even if the stride divides the kernel size and has no factor in common with the dilation. An
    output_padding `extra` that is not less than the stride needs a larger dilation.

    >>> even_window(3, 2), even_window(4, 2), even_window(3, 2, dilation=2)
    ((4, 1), (4, 1), (4, 3))
    """
    span = dilation * (kernel - 1) + 1
    kernel = -(-kernel // stride) * stride
    least = -(-(span - 1) // (kernel - 1)) if kernel > 1 else dilation
    least = max(1, least, extra + 1 if extra >= stride else 1)
    return kernel, next(each for each in count(least) if gcd(each, stride) == 1)


def made_even(layer: ConvTranspose) -> ConvTranspose:
    """The nearest transposed convolution with the same output sizes that hits every inner position equally often.

    A layer that is already even is returned unchanged. The formula: k2 = ceil(k/s)*s, t = 2p - op + k2 - k,
    p2 = ceil(t/2), op2 = 2*p2 - t.

    >>> import convarith as ca
    >>> made_even(ca.ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1))
    ConvTranspose(kernel_size=4, stride=2, padding=1)
    """
    axes = []
    for axis in range(layer.ndim or 1):
        names = ("kernel_size", "stride", "dilation", "padding", "output_padding")
        kernel, stride, dilation, padding, extra = (layer.at(name, axis) for name in names)
        if not hits_evenly(kernel, stride, dilation):
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
    from convarith.layers.padding import Pad

    return Pad(padding=tuple(sides), ndim=len(sides))
