"""Padding as a separate layer, and its inverse, the crop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.window import PADDING_MODES, Padding
from convarith.sizes.normalise import counted, integer, nearest, side, times
from convarith.sizes.rules import AxisRule, FloorRule

if TYPE_CHECKING:
    from convarith.layers.reads import Reads, Scattering
    from convarith.layers.ways_back import Passage, Way

CLASS_OF_MODE = dict(zip(PADDING_MODES, ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"), strict=True))


def either_side(value: object, name: str) -> int | tuple[int, int]:
    """The padding of one axis, with equal sides as one number: a crop by (-1, -1) is a padding of -1."""
    entry = side(value, name)
    return entry[0] if isinstance(entry, tuple) and entry[0] == entry[1] else entry


@dataclass(frozen=True, kw_only=True, repr=False)
class Pad(SpatialLayer):
    """Padding before and after each axis: torch's ZeroPad, ConstantPad, ReflectionPad, ReplicationPad, CircularPad.

    `padding` has one entry per axis, a number or a pair (before, after); negative numbers crop. The text of the layer
    lists it as torch does, with the last axis first.

    >>> import convarith as ca
    >>> ca.Pad(padding=((1, 2), (-1, 0))).output_size((28, 28))
    (31, 27)
    >>> ca.parse("ZeroPad2d((-1, 0, 1, 2))")
    ZeroPad2d((-1, 0, 1, 2))
    """

    padding: Padding
    mode: str = "zeros"
    value: float = 0.0
    ndim: int | None = None

    signature: ClassVar[tuple[str, ...]] = ("padding", "value")
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    leading: ClassVar[int] = 1
    source: ClassVar[str] = "torch.nn.functional.pad"
    title: ClassVar[str] = "Padding"
    pads_only: ClassVar[bool] = True
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"padding": either_side}

    def __post_init__(self) -> None:
        if self.mode not in PADDING_MODES:
            raise ParameterError(f"mode {self.mode!r} is unknown: {nearest(str(self.mode), PADDING_MODES)}")
        if isinstance(self.padding, str):
            raise ParameterError(f"the padding of a padding layer must be numbers, got {self.padding!r}")
        if not isinstance(self.value, (int, float)):
            raise ParameterError(f"value must be a number, got {self.value!r}")
        if self.value and self.mode != "zeros":
            raise ParameterError(f"value has no meaning for mode {self.mode!r}: leave it out")
        object.__setattr__(self, "value", float(self.value))
        self._settle("padding")
        self._set_rules()

    @property
    def torch_name(self) -> str:  # type: ignore[override]
        """torch's class for the padding mode."""
        return "ConstantPad" if self.value else CLASS_OF_MODE[self.mode]

    @classmethod
    def from_call(cls, name: str, ndim: int | None, arguments: dict[str, Any]) -> Self:
        """Build the layer from torch's class and its flat padding, which starts with the last axis."""
        modes = {word: mode for mode, word in CLASS_OF_MODE.items()}
        padding = arguments.pop("padding", None)
        if padding is None:
            raise ParameterError(f"{name} needs a padding")
        if (
            ndim is not None
            and isinstance(padding, (tuple, list))
            and not any(isinstance(p, (tuple, list)) for p in padding)
        ):
            flat = [integer(entry, "padding") for entry in padding]
            fixed = name not in ("ZeroPad", "ConstantPad")
            if len(flat) % 2 or len(flat) > 2 * ndim or (fixed and len(flat) != 2 * ndim):
                given = f"{len(flat)}: {tuple(flat)}"
                raise ParameterError(f"{name}{ndim}d takes 1 padding value or {2 * ndim}, got {given}")
            pairs = list(zip(flat[::2], flat[1::2], strict=True))
            padding = tuple(reversed(pairs + [(0, 0)] * (ndim - len(pairs))))
        if name == "ZeroPad" and arguments.get("value"):
            raise ParameterError(f"ZeroPad pads with 0, got value {arguments['value']}: use ConstantPad")
        if name == "ConstantPad" and "value" not in arguments:
            raise ParameterError("ConstantPad needs a value")
        return cls(padding=padding, mode=modes.get(name, "zeros"), ndim=ndim, **arguments)

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """The parameters as torch takes them; the padding is one number or (left, right, top, bottom, ...)."""
        pairs = [self.pads(axis) for axis in range(self.ndim or 1)]
        if len(set(pairs)) == 1 and pairs[0][0] == pairs[0][1]:
            yield "padding", pairs[0][0]
        else:
            yield "padding", tuple(number for pair in reversed(pairs) for number in pair)
        if self.value:
            yield "value", self.value

    def pads(self, axis: int) -> tuple[int, int]:
        """The padding before and after one axis."""
        entry: Any = self.padding[axis] if isinstance(self.padding, tuple) else self.padding
        return (entry, entry) if isinstance(entry, int) else entry

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        before, after = self.pads(axis)
        smallest = 1 if ndim == 1 and self.mode in ("reflect", "replicate") else 0  # of outputs
        fits = max(0, smallest - before - after)
        if self.mode == "zeros":  # torch crops first, so the cropped positions must exist
            least = max(fits, -before, -after, -min(before, 0) - min(after, 0))
        elif self.mode == "reflect":
            least = max(fits, before + 1, after + 1, 1)
        elif self.mode == "replicate":
            least = max(fits, 1)
        else:  # circular padding copies from what the crop on the other side leaves
            least = max(fits, before, after, abs(before) + abs(after) if before * after < 0 else 0)
        return FloorRule(shift=before + after, minimum=least)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        before, after = self.pads(axis)
        why = {
            "reflect": "reflection padding must be smaller than the input",
            "circular": "circular padding must not be larger than the input",
        }
        if max(before, after) > 0 and self.mode in why:
            return f"the input is {size} with padding ({before}, {after}): {why[self.mode]}, needs an input >= {least}"
        return f"the input is {size} with padding ({before}, {after}): needs an input >= {least}"

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The spatial output size. Raises ShapeError if torch rejects the input."""
        output = super().output_size(input_size)
        if self.mode in ("reflect", "replicate") and not any(output):
            raise ShapeError(f"{self.name} would crop {input_size} to nothing: crop less")
        return output

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.mode == "zeros" and self.ndim is not None:  # torch pads the last axes of any tensor
            if len(shape) < self.ndim:
                raise ShapeError(f"{self.name} takes at least {counted(self.ndim, 'axis', 'axes')}, got {times(shape)}")
            return (*shape[: -self.ndim], *self.output_size(shape[-self.ndim :]))
        batch, channels, spatial = self._split(shape)
        if self.mode in ("reflect", "replicate") and channels == 0:
            raise ShapeError(f"{self.name} got {times(shape)}: zero channels are not allowed, as in torch")
        return (*batch, channels, *self.output_size(spatial))

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """A layer that removes the padding, or refills the crop with zeros.

        A layer that pads one end and crops the other needs two: torch crops before it pads, so a single layer could
        crop more than there is.

        >>> Pad(padding=((1, -2),), ndim=1).back(5)
        (ZeroPad1d((0, 2)), ZeroPad1d((-1, 0)))
        """
        pads = [self.pads(axis) for axis in range(self.ndim or 1)]
        if any(before * after < 0 for before, after in pads):
            fill = tuple((max(0, -before), max(0, -after)) for before, after in pads)
            cut = tuple((-max(0, before), -max(0, after)) for before, after in pads)
            steps = [fill, cut]
        else:
            steps = [tuple((-before, -after) for before, after in pads)]
        return tuple(Pad(padding=sides if self.ndim else sides[0], ndim=self.ndim) for sides in steps)

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """A window with one tap over the padded input."""
        from convarith.layers.reads import Window

        before, after = self.pads(axis)
        return Window(before=before, after=after, mode=self.mode)

    @property
    def pad_mode(self) -> str:
        """How the padding is filled."""
        return self.mode

    def scattering(self, axis: int) -> Scattering | None:
        """Every position is read once."""
        from convarith.layers.reads import Scattering

        return Scattering(1, 1, 1, *self.pads(axis))

    def way_back(self, passage: Passage) -> Way | None:
        """The same as `back`: it does not depend on the input size."""
        from convarith.layers.ways_back import Way

        return Way.exact(*self.back(passage.before[1:]))

    def letters(self, axis: int) -> dict[str, int]:
        """The letter p, or p1 before and p2 after."""
        before, after = self.pads(axis)
        return {"p": before} if before == after else {"p1": before, "p2": after}

    def formula_text_at(self, axis: int) -> str:
        """i + 2*p, or i + p1 + p2 for asymmetric padding."""
        before, after = self.pads(axis)
        return "{i} + 2*{p}" if before == after else "{i} + {p1} + {p2}"
