"""Convolution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from convarith.axis import AxisRule, FloorRule
from convarith.errors import ParameterError, ShapeError
from convarith.layer import Layer
from convarith.values import Ints, integer, nearest, side, spread
from convarith.window import PADDING_MODES, Padding, WindowLayer, window_too_large


class ConvolutionLayer(WindowLayer):
    """What both convolutions share: channels, groups, weights."""

    in_channels: int | None
    out_channels: int | None
    groups: int
    bias: bool
    padding_mode: str
    empty_channels: ClassVar[str] = "always"
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    leading: ClassVar[int] = 3
    never_spread: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def _check_channels(self, least_in: int) -> None:
        if self.bias not in (True, False, None):  # torch takes None as False
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
                raise ParameterError(f"{name} is {value}, which groups={self.groups} does not divide")

    def _channels(self, channels: int) -> int:
        if self.in_channels is not None and channels != self.in_channels:
            raise ShapeError(f"{self.name} expects {self.in_channels} channels (in_channels), got {channels}")
        if self.out_channels is None:
            raise ShapeError(f"{self.name} has no out_channels: give them to know the output's channels")
        if channels % self.groups:
            raise ShapeError(f"{self.name} got {channels} channels, which groups={self.groups} does not divide")
        if channels == 0 and self.padding_mode in ("reflect", "replicate"):
            raise ShapeError(f"{self.name} got zero channels: padding_mode={self.padding_mode!r} needs some")
        return self.out_channels if channels else 0  # torch makes no channels out of none

    def _weights(self, channels: int, ndim: int) -> int:
        """Weights of all taps, each used once for a position of the strided side."""
        return channels * self._channels(channels) // self.groups * prod(spread(self.kernel_size, ndim))

    @property
    def parameter_count(self) -> int:
        """Weights and biases: in * out/groups * kernel, + out.

        Raises ParameterError while the channels or the dimension are open.

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

    Beyond torch, the padding of an axis may be a pair (before, after), as F.pad before the convolution would give it;
    a negative pair crops. Channels and dimension may stay open while only sizes are asked for.

    Raises ParameterError where torch cannot build or run such a layer.

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

    kind: ClassVar[str] = "conv"
    torch_name: ClassVar[str] = "Conv"
    signature: ClassVar[tuple[str, ...]] = (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode",
    )  # fmt: skip
    source: ClassVar[str] = "arXiv 1603.07285, relationship 15"
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
            if self.padding_mode == "zeros":  # torch crops only in its other modes; a pair crops in all of them
                limits["padding"] = 0
            self._settle("kernel_size", "stride", "padding", "dilation", **limits)
        self._check_channels(least_in=0)
        self._set_rules()

    def pads(self, axis: int) -> tuple[int, int]:
        """Padding before and after one axis.

        'same' puts the odd one of an even kernel behind, as torch does.

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
        # What the padding modes can make of a small input: a mirror needs more than the padding, a wrap as much.
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
            f"padding_mode={self.padding_mode!r} needs a padding {limit} the input, got padding "
            f"{max(before, after)} for an input of {size}: needs an input >= {least}"
        )

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """The transposed convolution of the same parameters, its output_padding what the stride left unread."""
        from convarith.transposed import transposed  # only this answer needs it

        return transposed(self, input_size)

    def letters(self, axis: int) -> dict[str, int]:
        """i, k, s, d and the padding: p, or p1 before and p2 after."""
        before, after = self.pads(axis)
        padding = {"p": before} if before == after else {"p1": before, "p2": after}
        return {
            "k": self.at("kernel_size", axis),
            "s": self.at("stride", axis),
            **padding,
            "d": self.at("dilation", axis),
        }

    def formula_text_at(self, axis: int) -> str:
        """o = floor((i + 2p - d(k-1) - 1)/s) + 1, its padding in two letters where the sides differ."""
        before, after = self.pads(axis)
        padding = "2*{p}" if before == after else "{p1} + {p2}"
        return "floor(({i} + " + padding + " - {d}*({k} - 1) - 1)/{s}) + 1"

    def macs(self, *shapes: Sequence[int]) -> int:
        """Every output position multiplies each of its taps: positions * out * in/groups * kernel.

        >>> import convarith as ca
        >>> ca.parse("Conv2d(1, 32, 5)").macs((1, 28, 28))
        460800
        """
        *_, spatial = self._split(self.output_shape(*shapes))
        batch, channels, _ = self._split(tuple(shapes[0]))
        return prod(batch) * prod(spatial) * self._weights(channels, len(spatial))
