"""Pools with a given output size: adaptive and fractional."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import floor
from typing import Any, ClassVar

from convarith.errors import ParameterError
from convarith.layers.base import SpatialLayer
from convarith.layers.reads import Bins, Reads
from convarith.layers.registry import build
from convarith.layers.ways_back import Passage, Way
from convarith.sizes.normalise import Ints, integer, spread
from convarith.sizes.rules import AxisRule, FloorRule, ScaleRule, first_size


def integer_or_none(value: object, name: str) -> int | None:
    """Validate an adaptive pool's output size along one axis; None keeps the input size."""
    return None if value is None else integer(value, name)


def way_to_size(pool: SpatialLayer, passage: Passage) -> Way:
    """The way back from a pool with a given output size."""
    sizes = passage.before[1:]
    if passage.upsample == "unpool" and pool.keeps_indices:
        return Way((), "unpool")
    if sizes == passage.after[1:]:
        return Way((), "interpolate")
    return Way((build("Upsample", {"size": sizes}),), "interpolate")


def ratio(value: object, name: str) -> float:
    """Validate a fractional pool's ratio of output to input, strictly between 0 and 1 as in torch."""
    if not isinstance(value, float) or not 0 < value < 1:
        raise ParameterError(f"{name} must be a number between 0 and 1, got {value!r}")
    return value


@dataclass(frozen=True, init=False, repr=False)
class FractionalMaxPool(SpatialLayer):
    """A fractional max pool: torch's FractionalMaxPool2d and FractionalMaxPool3d, with output_size or output_ratio.

    >>> import convarith as ca
    >>> ca.FractionalMaxPool(kernel_size=2, output_ratio=0.7).output_size((10, 11))
    (7, 7)
    """

    kernel_size: Ints
    target: Ints | None
    output_ratio: float | tuple[float, ...] | None
    return_indices: bool
    ndim: int | None

    torch_name: ClassVar[str] = "FractionalMaxPool"
    empty_channels: ClassVar[str] = "unbatched"
    ndim_matters: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("kernel_size", "output_size", "output_ratio", "return_indices")
    fields_of: ClassVar[dict[str, str]] = {"output_size": "target"}
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    source: ClassVar[str] = "torch.nn.FractionalMaxPool2d"
    combines: ClassVar[str] = "max"
    keeps_indices: ClassVar[bool] = True

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
            raise ParameterError(f"{self.torch_name} needs exactly one of output_size and output_ratio")
        self._settle("kernel_size", "target" if output_ratio is None else "output_ratio", kernel_size=1, target=0)
        self._set_rules()

    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"output_ratio": ratio}

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        room = self.at("kernel_size", axis) - (0 if ndim == 3 else 1)  # torch's 3-D pool needs one more position
        if self.output_ratio is None:
            output = self.at("target", axis)
            return FloorRule(rise=0, offset=output, minimum=max(1, output + room))
        factor = spread(self.output_ratio, axis + 1)[axis]
        # The windows fit if i - floor(i * ratio) >= room; that difference never decreases, so bisection works.
        return ScaleRule(factor, minimum=first_size(lambda size: size - floor(size * factor) >= room))

    def way_back(self, passage: Passage) -> Way | None:
        """Interpolation to the input size, or an unpool with the indices."""
        return way_to_size(self, passage)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        kernel = self.at("kernel_size", axis)
        return f"windows of size {kernel} do not fit an input of {size} for this output: needs an input >= {least}"

    def letters(self, axis: int) -> dict[str, int]:
        """The letter o, or no letter if the formula contains the ratio."""
        return {} if self.output_ratio is not None else {"o": self.at("target", axis)}

    def formula_text_at(self, axis: int) -> str:
        """o, or floor(i*ratio)."""
        return "{o}" if self.output_ratio is None else f"floor({{i}}*{spread(self.output_ratio, axis + 1)[axis]!r})"


class AdaptivePool(SpatialLayer):
    """A pool with a given output size; None keeps the input size."""

    target: Ints | tuple[int | None, ...] | None
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    signature: ClassVar[tuple[str, ...]] = ("output_size",)
    fields_of: ClassVar[dict[str, str]] = {"output_size": "target"}
    never_spread: ClassVar[tuple[str, ...]] = ("target",)
    windows_follow_size: ClassVar[bool] = True
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"target": integer_or_none}

    def _set(self, output_size: object, ndim: int | None) -> None:
        object.__setattr__(self, "target", output_size)
        object.__setattr__(self, "ndim", ndim)
        self._settle("target", target=0)
        if self.ndim == 1 and None in spread(self.target, 1):
            raise ParameterError(f"{self.name} needs an integer as output_size: torch accepts None only in 2-D and 3-D")
        self._set_rules()

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """The parameters that differ from their defaults; an output size of None is written too."""
        target = spread(self.target, 1)
        yield "output_size", target[0] if len(set(target)) == 1 else target
        yield from (pair for pair in super().arguments() if pair[0] != "output_size")

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        target = spread(self.target, axis + 1)[axis]
        return FloorRule() if target is None else FloorRule(rise=0, offset=target)

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Windows of nearly equal length."""
        return Bins(size, output, averages=self.combines == "mean")

    @property
    def needs_all_positions(self) -> bool:
        """Its windows follow from the whole size."""
        return True

    def way_back(self, passage: Passage) -> Way | None:
        """Interpolation to the input size, or an unpool with the indices."""
        return way_to_size(self, passage)

    def letters(self, axis: int) -> dict[str, int]:
        """The letter o, the given output size; none if the size is kept."""
        target = spread(self.target, axis + 1)[axis]
        return {} if target is None else {"o": target}

    def formula_text_at(self, axis: int) -> str:
        """o, or i if the size is kept."""
        return "{o}" if self.letters(axis) else "{i}"


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveAvgPool(AdaptivePool):
    """An adaptive average pool: torch's AdaptiveAvgPool1d, AdaptiveAvgPool2d and AdaptiveAvgPool3d.

    >>> import convarith as ca
    >>> ca.AdaptiveAvgPool(output_size=(1, None)).output_size((28, 30))
    (1, 30)
    """

    target: Ints | tuple[int | None, ...] | None
    ndim: int | None

    torch_name: ClassVar[str] = "AdaptiveAvgPool"
    title: ClassVar[str] = "Adaptive average pooling"
    combines: ClassVar[str] = "mean"
    source: ClassVar[str] = "torch.nn.AdaptiveAvgPool2d"

    def __init__(self, *, output_size: object, ndim: int | None = None) -> None:
        self._set(output_size, ndim)

    @property
    def empty_channels(self) -> str:  # type: ignore[override]
        """torch's 3-D pool is stricter than the others."""
        return "unbatched" if self.ndim == 3 else "always"

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.ndim is not None and len(shape) >= self.ndim and (self.ndim > 1 or len(shape) in (2, 3)):
            # For an output size of 1, torch takes the mean over the last axes of any tensor, even an empty one.
            targets = zip(spread(self.target, self.ndim), shape[-self.ndim :], strict=True)
            if all((size if target is None else target) == 1 for target, size in targets):
                return (*shape[: -self.ndim], *(1,) * self.ndim)
        return super()._shape(shape)


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveMaxPool(AdaptivePool):
    """An adaptive max pool: torch's AdaptiveMaxPool1d, AdaptiveMaxPool2d and AdaptiveMaxPool3d.

    >>> import convarith as ca
    >>> ca.AdaptiveMaxPool(output_size=7).output_size((28, 30))
    (7, 7)
    """

    target: Ints | tuple[int | None, ...] | None
    return_indices: bool
    ndim: int | None

    torch_name: ClassVar[str] = "AdaptiveMaxPool"
    title: ClassVar[str] = "Adaptive max pooling"
    combines: ClassVar[str] = "max"
    keeps_indices: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("output_size", "return_indices")
    empty_channels: ClassVar[str] = "unbatched"
    source: ClassVar[str] = "torch.nn.AdaptiveMaxPool2d"

    def __init__(self, *, output_size: object, return_indices: bool = False, ndim: int | None = None) -> None:
        object.__setattr__(self, "return_indices", return_indices)
        self._set(output_size, ndim)
