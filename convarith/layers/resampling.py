"""Layers without weights that change the size: interpolation, zero insertion, pixel shuffles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import AXIS_NAMES, Layer, SpatialLayer
from convarith.layers.reads import Bins, Interpolation, Reads, Scattering, Spread, Window
from convarith.layers.registry import build
from convarith.layers.ways_back import Passage, Way
from convarith.sizes.normalise import Ints, counted, integer, nearest, spread, times
from convarith.sizes.rules import AxisRule, FloorRule, scale_rule

MODES = {"nearest": None, "linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3, "area": None, "nearest-exact": None}
"""Interpolation modes, with the number of axes if a mode has only one."""

LINEAR_MODES = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear")
"""The modes whose matrix can be built from what the axes read."""


def factor(value: object, name: str) -> float:
    """Validate a scale factor; torch stores it in double precision."""
    if not isinstance(value, (int, float)):
        raise ParameterError(f"{name} must be a number, got {value!r}")
    if not (isfinite(value) and value > 0):
        raise ParameterError(f"{name} is {value}: it must be a positive number")
    return float(value)


@dataclass(frozen=True, kw_only=True, repr=False)
class Upsample(SpatialLayer):
    """Interpolation to a size or by a factor: torch's Upsample. The input needs a batch, as in torch.

    The output for a factor is the floor of the floating-point product, as torch computes it.

    >>> import convarith as ca
    >>> ca.Upsample(scale_factor=2, mode="bilinear").output_size((7, 7))
    (14, 14)
    >>> ca.Upsample(scale_factor=0.29).output_size(100)
    (28,)
    """

    size: Ints | None = None
    scale_factor: float | tuple[float, ...] | None = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    torch_name: ClassVar[str] = "Upsample"
    signature: ClassVar[tuple[str, ...]] = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
    never_spread: ClassVar[tuple[str, ...]] = ("size", "scale_factor")
    source: ClassVar[str] = "torch.nn.Upsample"
    title: ClassVar[str] = "Upsampling"
    overlap_side: ClassVar[str] = "output"
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"scale_factor": factor}

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ParameterError(f"mode {self.mode!r} is unknown: {nearest(str(self.mode), MODES)}")
        if self.scale_factor == 0:  # torch treats a factor of 0 as None
            object.__setattr__(self, "scale_factor", None)
        if (self.size is None) == (self.scale_factor is None):
            raise ParameterError("Upsample needs exactly one of size and scale_factor")
        if self.align_corners is not None and "linear" not in self.mode and self.mode != "bicubic":
            raise ParameterError(f"align_corners has no meaning for mode {self.mode!r}: leave it out")
        if self.recompute_scale_factor and self.size is not None:
            raise ParameterError("recompute_scale_factor has no meaning with a size: leave it out")
        object.__setattr__(self, "ndim", MODES[self.mode])
        self._settle("size" if self.scale_factor is None else "scale_factor", size=self._least)
        if self.ndim not in (None, 1, 2, 3):
            raise ParameterError(f"Upsample takes 1 to 3 spatial axes, got {self.ndim} values")
        self._set_rules()

    def _short(self, value: object) -> object:
        return value if MODES[self.mode] is None else super()._short(value)  # other modes fix no number of axes

    @classmethod
    def from_call(cls, name: str, ndim: int | None, arguments: dict[str, Any]) -> Self:
        """Build the layer, also from torch's older names, which determine the mode."""
        fixed: dict[str, dict[str, Any]] = {
            "UpsamplingNearest": {"mode": "nearest"},
            "UpsamplingBilinear": {"mode": "bilinear", "align_corners": True},
        }
        return cls(**(arguments | fixed.get(name, {})))

    @property
    def _least(self) -> int:
        """The smallest output size; only the area mode allows an empty output."""
        return 0 if self.mode == "area" else 1

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.mode == "area":  # the same as an adaptive pool to this size
            _, _, spatial = self._split(shape)
            pool = f"AdaptiveAvgPool{len(spatial)}d"
            return build(pool, {"output_size": self.output_size(spatial)}).output_shape(shape)
        return super()._shape(shape)

    def factor_at(self, axis: int) -> float | None:
        """The scale factor of one axis; None if the size is given."""
        return None if self.scale_factor is None else spread(self.scale_factor, axis + 1)[axis]

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        factor = self.factor_at(axis)
        if factor is None:
            return FloorRule(rise=0, offset=self.at("size", axis), minimum=self._least)
        return scale_rule(factor, self._least)

    @property
    def has_matrix(self) -> bool:
        """True for the nearest and linear modes."""
        return self.mode in LINEAR_MODES

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """The inputs around the place of an output; in the area mode, the windows of an adaptive pool."""
        if output < 1:
            return None
        if self.mode == "area":
            return Bins(size, output, averages=True)
        factor = self.factor_at(axis)
        by_size = factor is None or self.recompute_scale_factor
        # torch copies a map of the same size, and doubles one in 2-D, regardless of the factor.
        if self.mode == "nearest":
            by_size = by_size or (ndim == 2 and output in (size, 2 * size))
        elif output == size and "linear" in self.mode:
            return Interpolation(mode=self.mode, inputs=size, scale=Fraction(1), rounded=1.0)
        if self.align_corners:
            exact = Fraction(size - 1, output - 1) if output > 1 else Fraction(0)
            rounded = (size - 1) / (output - 1) if output > 1 else 0.0
        elif factor is None or by_size:
            exact, rounded = Fraction(size, output), size / output
        else:
            exact, rounded = 1 / Fraction(factor).limit_denominator(10**6), 1 / factor
        return Interpolation(
            mode=self.mode, inputs=size, scale=exact, rounded=rounded, corners=bool(self.align_corners)
        )

    def scattering(self, axis: int) -> Scattering | None:
        """In the nearest mode with an integer factor, every input is repeated."""
        factor = self.factor_at(axis)
        if self.mode != "nearest" or factor is None or factor != int(factor):
            return None
        return Scattering(int(factor), int(factor))

    def way_back(self, passage: Passage) -> Way | None:
        """An average pool by the factor, or to the size."""
        factors = {self.factor_at(axis) for axis in range(passage.ndim)}
        (factor, *more) = factors
        if not more and factor is not None and factor == int(factor):
            return Way.exact(build(f"AvgPool{passage.ndim}d", {"kernel_size": int(factor)}))
        return Way((build(f"AdaptiveAvgPool{passage.ndim}d", {"output_size": passage.before[1:]}),), "pool")

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        if (self.ndim is None and 3 <= len(shape) <= 5) or self.ndim == len(shape) - 2:
            return shape[:1], shape[1], shape[2:]
        axes = "*spatial" if self.ndim is None else ", ".join(AXIS_NAMES[self.ndim])
        raise ShapeError(f"Upsample(mode={self.mode!r}) takes (N, C, {axes}), always with a batch, got {times(shape)}")

    def letters(self, axis: int) -> dict[str, int]:
        """The letter o, the given size, or f, an integer factor."""
        factor = self.factor_at(axis)
        if factor is None:
            return {"o": self.at("size", axis)}
        return {"f": int(factor)} if factor == int(factor) else {}

    def formula_text_at(self, axis: int) -> str:
        """o, f*i or floor(i*factor)."""
        factor = self.factor_at(axis)
        if factor is None:
            return "{o}"
        return "{f}*{i}" if factor == int(factor) else f"floor({{i}}*{factor!r})"


@dataclass(frozen=True, kw_only=True, repr=False)
class ZeroInsert(SpatialLayer):
    """Bed of nails: each value goes to the first corner of a block of stride^n positions; the others are zero.

    >>> import convarith as ca
    >>> ca.ZeroInsert(stride=2).output_size((2, 2))
    (4, 4)
    """

    stride: Ints
    ndim: int | None = None

    torch_name: ClassVar[str] = "ZeroInsert"
    torch_module: ClassVar[str] = '''
class ZeroInsert(nn.Module):
    """Bed of nails: each value goes to the first corner of a block of zeros."""

    def __init__(self, *stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        lead, sizes = x.shape[: -len(self.stride)], x.shape[-len(self.stride) :]
        nails = x.new_zeros(*lead, *(size * step for size, step in zip(sizes, self.stride)))
        nails[(..., *(slice(None, None, step) for step in self.stride))] = x
        return nails
'''
    signature: ClassVar[tuple[str, ...]] = ("stride",)
    leading: ClassVar[int] = 1
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    empty_channels: ClassVar[str] = "always"
    formula_text: ClassVar[str] = "{s}*{i}"
    source: ClassVar[str] = "bed of nails"
    title: ClassVar[str] = "Bed of nails"
    has_matrix: ClassVar[bool] = True
    overlap_side: ClassVar[str] = "output"

    def __post_init__(self) -> None:
        self._settle("stride", stride=1)
        self._set_rules()

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(rise=self.at("stride", axis), minimum=0)

    def torch_arguments(self) -> tuple[int, ...]:
        """One stride per axis, as in ZeroInsert(2, 2)."""
        return tuple(self.at("stride", axis) for axis in range(self.ndim or 1))

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """One tap; the zeros read nothing."""
        return Spread(size=1, stride=self.at("stride", axis))

    def scattering(self, axis: int) -> Scattering | None:
        """One tap, and the zeros after the last input."""
        stride = self.at("stride", axis)
        return Scattering(1, stride, after=1 - stride)

    def way_back(self, passage: Passage) -> Way | None:
        """A max pool with one tap, which picks out the values."""
        return Way.exact(build(f"MaxPool{passage.ndim}d", {"kernel_size": 1, "stride": self.stride}))

    def letters(self, axis: int) -> dict[str, int]:
        """The letter s, the stride."""
        return {"s": self.at("stride", axis)}


class _PixelLayer(SpatialLayer):
    """The common base of the pixel shuffles. The last three axes are (C, H, W); any others may come before them."""

    empty_channels: ClassVar[str] = "always"

    def _set(self, name: str) -> None:
        value = integer(getattr(self, name), name)
        if value < 1:
            raise ParameterError(f"{name} is {value}: it must be at least 1")
        object.__setattr__(self, name, value)
        object.__setattr__(self, "ndim", 2)
        self._set_rules()

    def way_back(self, passage: Passage) -> Way | None:
        """The inverse shuffle."""
        return Way.exact(*self.back(passage.before[1:]))

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        if len(shape) < 3:
            raise ShapeError(f"{self.name} takes (..., C, H, W), got {counted(len(shape), 'size')}: {times(shape)}")
        return shape[:-3], shape[-3], shape[-2:]


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelShuffle(_PixelLayer):
    """Move channels to positions, the last step of a sub-pixel convolution: torch's PixelShuffle.

    >>> import convarith as ca
    >>> ca.PixelShuffle(upscale_factor=2).output_shape((1, 12, 7, 7))
    (1, 3, 14, 14)
    """

    upscale_factor: int

    torch_name: ClassVar[str] = "PixelShuffle"
    signature: ClassVar[tuple[str, ...]] = ("upscale_factor",)
    leading: ClassVar[int] = 1
    formula_text: ClassVar[str] = "{r}*{i}"
    source: ClassVar[str] = "torch.nn.PixelShuffle"
    title: ClassVar[str] = "Pixel shuffle"
    overlap_side: ClassVar[str] = "output"

    def __post_init__(self) -> None:
        self._set("upscale_factor")

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(rise=self.upscale_factor, minimum=0)

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Every input becomes a block; `channels_read` says which channel goes to which place in it."""
        return Spread(size=self.upscale_factor, stride=self.upscale_factor)

    def channels_read(
        self, target: int, position: tuple[int, ...], channels: int, out_channels: int
    ) -> Iterator[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
        """Yield the channel for this place in the block."""
        factor = self.upscale_factor
        row, column = (at % factor for at in position)
        yield target * factor**2 + row * factor + column, None, None

    def scattering(self, axis: int) -> Scattering | None:
        """Every input becomes a block."""
        return Scattering(self.upscale_factor, self.upscale_factor)

    def _channels(self, channels: int) -> int:
        square = self.upscale_factor**2
        if channels % square:
            below = channels - channels % square
            remedy = f"{below} or {below + square}" if below else str(square)
            raise ShapeError(
                f"{self.name} got {counted(channels, 'channel')}, which is not divisible by "
                f"{self.upscale_factor}^2 = {square}: use {remedy}"
            )
        return channels // square

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """A PixelUnshuffle by the same factor."""
        return (PixelUnshuffle(downscale_factor=self.upscale_factor),)

    def letters(self, axis: int) -> dict[str, int]:
        """The letter r, the factor."""
        return {"r": self.upscale_factor}


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelUnshuffle(_PixelLayer):
    """Move positions to channels: torch's PixelUnshuffle. Height and width must be divisible by the factor.

    >>> import convarith as ca
    >>> ca.PixelUnshuffle(downscale_factor=2).output_shape((1, 3, 14, 14))
    (1, 12, 7, 7)
    """

    downscale_factor: int

    torch_name: ClassVar[str] = "PixelUnshuffle"
    signature: ClassVar[tuple[str, ...]] = ("downscale_factor",)
    leading: ClassVar[int] = 1
    formula_text: ClassVar[str] = "{i}/{r}"
    source: ClassVar[str] = "torch.nn.PixelUnshuffle"
    title: ClassVar[str] = "Pixel unshuffle"
    overlap_side: ClassVar[str] = "gradient"

    def __post_init__(self) -> None:
        self._set("downscale_factor")

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(step=self.downscale_factor, multiple_of=self.downscale_factor, minimum=0)

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """The block of an output; `channels_read` says which place in it."""
        return Window(size=self.downscale_factor, stride=self.downscale_factor)

    def channels_read(
        self, target: int, position: tuple[int, ...], channels: int, out_channels: int
    ) -> Iterator[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
        """Yield the place in the block that this channel takes."""
        channel, phase = divmod(target, self.downscale_factor**2)
        yield channel, None, divmod(phase, self.downscale_factor)

    def scattering(self, axis: int) -> Scattering | None:
        """Every block is read once."""
        return Scattering(self.downscale_factor, self.downscale_factor)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        below = size - size % self.downscale_factor
        return f"{size} is not divisible by {self.downscale_factor}: use {below} or {below + self.downscale_factor}"

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        shuffled = super()._shape(shape)
        return shape if 0 in shape else shuffled  # torch returns an empty tensor unchanged

    def _channels(self, channels: int) -> int:
        return channels * self.downscale_factor**2

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """A PixelShuffle by the same factor."""
        return (PixelShuffle(upscale_factor=self.downscale_factor),)

    def letters(self, axis: int) -> dict[str, int]:
        """The letter r, the factor."""
        return {"r": self.downscale_factor}
