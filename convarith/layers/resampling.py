"""Layers that change the size without weights: interpolation, zero insertion, pixel shuffles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import AXIS_NAMES, Layer, SpatialLayer
from convarith.sizes.normalise import Ints, integer, nearest, spread, times
from convarith.sizes.rules import AxisRule, FloorRule, scale_rule

MODES = {"nearest": None, "linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3, "area": None, "nearest-exact": None}
"""Interpolation modes, and the one dimension a mode is for."""


def factor(value: object, name: str) -> float:
    """A scale factor: torch keeps it in double precision."""
    if not isinstance(value, (int, float)):
        raise ParameterError(f"{name} must be a number, got {value!r}")
    if not (isfinite(value) and value > 0):
        raise ParameterError(f"{name} is {value}: it must be a positive number")
    return float(value)


@dataclass(frozen=True, kw_only=True, repr=False)
class Upsample(SpatialLayer):
    """Interpolation to a size or by a factor: torch's Upsample. The input needs a batch, as torch demands.

    A factor's output is the floor of the floating-point product, as torch computes it.

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
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"scale_factor": factor}

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ParameterError(f"mode {self.mode!r} is unknown: {nearest(str(self.mode), MODES)}")
        if self.scale_factor == 0:  # torch takes a false factor for none
            object.__setattr__(self, "scale_factor", None)
        if (self.size is None) == (self.scale_factor is None):
            raise ParameterError("Upsample needs one of size and scale_factor")
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
        return value if MODES[self.mode] is None else super()._short(value)  # only such a mode's name tells the axes

    @classmethod
    def from_call(cls, name: str, ndim: int | None, arguments: dict[str, Any]) -> Self:
        """Also from torch's older names, which fix the mode."""
        fixed: dict[str, dict[str, Any]] = {
            "UpsamplingNearest": {"mode": "nearest"},
            "UpsamplingBilinear": {"mode": "bilinear", "align_corners": True},
        }
        return cls(**(arguments | fixed.get(name, {})))

    @property
    def _least(self) -> int:
        """The smallest output size: only the area mode gives an empty one."""
        return 0 if self.mode == "area" else 1

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.mode == "area":  # an adaptive pool to the same size
            from convarith.layers.adaptive_pooling import AdaptiveAvgPool

            _, _, spatial = self._split(shape)
            return AdaptiveAvgPool(output_size=self.output_size(spatial)).output_shape(shape)
        return super()._shape(shape)

    def factor_at(self, axis: int) -> float | None:
        """The scale factor of one axis; None with a fixed size."""
        return None if self.scale_factor is None else spread(self.scale_factor, axis + 1)[axis]

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        factor = self.factor_at(axis)
        if factor is None:
            return FloorRule(rise=0, offset=self.at("size", axis), minimum=self._least)
        return scale_rule(factor, self._least)

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        if (self.ndim is None and 3 <= len(shape) <= 5) or self.ndim == len(shape) - 2:
            return shape[:1], shape[1], shape[2:]
        axes = "*spatial" if self.ndim is None else ", ".join(AXIS_NAMES[self.ndim])
        raise ShapeError(f"Upsample(mode={self.mode!r}) takes (N, C, {axes}), always with a batch, got {times(shape)}")

    def letters(self, axis: int) -> dict[str, int]:
        """o, the size that is asked for, or f, a whole factor."""
        factor = self.factor_at(axis)
        if factor is None:
            return {"o": self.at("size", axis)}
        return {"f": int(factor)} if factor == int(factor) else {}

    def formula_text_at(self, axis: int) -> str:
        """o, f*i, or floor(i*factor)."""
        factor = self.factor_at(axis)
        if factor is None:
            return "{o}"
        return "{f}*{i}" if factor == int(factor) else f"floor({{i}}*{factor!r})"


@dataclass(frozen=True, kw_only=True, repr=False)
class ZeroInsert(SpatialLayer):
    """Bed of nails: every value at the first corner of a block of stride^n positions, zeros in the others.

    >>> import convarith as ca
    >>> ca.ZeroInsert(stride=2).output_size((2, 2))
    (4, 4)
    """

    stride: Ints
    ndim: int | None = None

    torch_name: ClassVar[str] = "ZeroInsert"
    signature: ClassVar[tuple[str, ...]] = ("stride",)
    leading: ClassVar[int] = 1
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    empty_channels: ClassVar[str] = "always"
    formula_text: ClassVar[str] = "{s}*{i}"
    source: ClassVar[str] = "bed of nails"

    def __post_init__(self) -> None:
        self._settle("stride", stride=1)
        self._set_rules()

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(rise=self.at("stride", axis), minimum=0)

    def letters(self, axis: int) -> dict[str, int]:
        """i and s."""
        return {"s": self.at("stride", axis)}


class _PixelLayer(SpatialLayer):
    """The last three axes are channels, height and width; any number of axes may come before them."""

    factor: int
    empty_channels: ClassVar[str] = "always"

    def _set(self, name: str) -> None:
        value = integer(getattr(self, name), name)
        if value < 1:
            raise ParameterError(f"{name} is {value}: it must be at least 1")
        object.__setattr__(self, name, value)
        object.__setattr__(self, "ndim", 2)
        self._set_rules()

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        if len(shape) < 3:
            raise ShapeError(f"{self.name} takes (..., C, H, W), got {len(shape)} sizes: {times(shape)}")
        return shape[:-3], shape[-3], shape[-2:]


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelShuffle(_PixelLayer):
    """Channels to positions, sub-pixel convolution's last step: torch's PixelShuffle.

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

    def __post_init__(self) -> None:
        self._set("upscale_factor")

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(rise=self.upscale_factor, minimum=0)

    def _channels(self, channels: int) -> int:
        square = self.upscale_factor**2
        if channels % square:
            raise ShapeError(
                f"{self.name} got {channels} channels, which {self.upscale_factor}^2 = {square} does not divide: "
                f"give it {channels - channels % square or square} or {channels - channels % square + square}"
            )
        return channels // square

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """PixelUnshuffle by the same factor."""
        return (PixelUnshuffle(downscale_factor=self.upscale_factor),)

    def letters(self, axis: int) -> dict[str, int]:
        """r, the factor."""
        return {"r": self.upscale_factor}


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelUnshuffle(_PixelLayer):
    """Positions to channels: torch's PixelUnshuffle. The factor must divide the height and the width.

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

    def __post_init__(self) -> None:
        self._set("downscale_factor")

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(step=self.downscale_factor, multiple_of=self.downscale_factor, minimum=0)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        below = size - size % self.downscale_factor
        return f"{self.downscale_factor} does not divide {size}: give it {below} or {below + self.downscale_factor}"

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        shuffled = super()._shape(shape)
        return shape if 0 in shape else shuffled  # torch hands an empty tensor back as it is

    def _channels(self, channels: int) -> int:
        return channels * self.downscale_factor**2

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """PixelShuffle by the same factor."""
        return (PixelShuffle(upscale_factor=self.downscale_factor),)

    def letters(self, axis: int) -> dict[str, int]:
        """r, the factor."""
        return {"r": self.downscale_factor}
