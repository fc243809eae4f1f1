"""Cropping: positions cut off at the ends of each axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from convarith.errors import ParameterError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.padding import Pad
from convarith.layers.reads import Reads, Scattering, Window
from convarith.layers.ways_back import Passage, Way
from convarith.sizes.normalise import side
from convarith.sizes.rules import AxisRule, FloorRule


@dataclass(frozen=True, kw_only=True, repr=False)
class Crop(SpatialLayer):
    """Removes positions at both ends of each axis, as x[..., a:-b, c:-d] does in a U-Net without padding.

    `crop` is one number for every end, or one entry per axis: a number for both ends or a pair (before, after). At
    least one position must be left. torch has no such module, so generated code defines one.

    Raises ParameterError for negative numbers: a Pad adds positions.

    >>> import convarith as ca
    >>> ca.Crop(crop=((1, 2), 0)).output_size((28, 28))
    (25, 28)
    >>> ca.parse("Crop2d(4)").output_shape((1, 64, 64, 64))
    (1, 64, 56, 56)
    """

    crop: int | tuple[int | tuple[int, int], ...]
    ndim: int | None = None

    torch_name: ClassVar[str] = "Crop"
    signature: ClassVar[tuple[str, ...]] = ("crop",)
    leading: ClassVar[int] = 1
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    empty_channels: ClassVar[str] = "always"
    source: ClassVar[str] = "Python's slices"
    title: ClassVar[str] = "Cropping"
    pads_only: ClassVar[bool] = True
    has_matrix: ClassVar[bool] = True
    torch_module: ClassVar[str] = '''
class Crop(nn.Module):
    """Removes positions: the arguments are before and after, for each axis in turn."""

    def __init__(self, *crop: int) -> None:
        super().__init__()
        self.crop = crop

    def forward(self, x: Tensor) -> Tensor:
        ends = zip(self.crop[::2], self.crop[1::2])
        for axis, (before, after) in enumerate(ends, start=x.dim() - len(self.crop) // 2):
            x = x.narrow(axis, before, x.shape[axis] - before - after)
        return x
'''
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {"crop": side}

    def __post_init__(self) -> None:
        self._settle("crop", crop=0)
        for axis in range(self.ndim or 1):
            if min(self.ends(axis)) < 0:
                raise ParameterError(f"crop is {self.ends(axis)}: it must be at least 0, and a Pad adds positions")
        self._set_rules()

    def ends(self, axis: int) -> tuple[int, int]:
        """What is cut off before and after one axis."""
        entry = self.crop[axis] if isinstance(self.crop, tuple) else self.crop
        return (entry, entry) if isinstance(entry, int) else entry

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        cut = sum(self.ends(axis))
        return FloorRule(shift=-cut, minimum=cut + 1)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        return f"a crop of {sum(self.ends(axis))} leaves nothing of {size} positions: needs an input >= {least}"

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """A window of one tap, moved by what is cut off at the start."""
        before, after = self.ends(axis)
        return Window(before=-before, after=-after)

    def scattering(self, axis: int) -> Scattering | None:
        """Every position that is left, once."""
        before, after = self.ends(axis)
        return Scattering(1, 1, 1, -before, -after)

    def torch_arguments(self) -> tuple[int, ...]:
        """Before and after each axis: Crop(1, 2, 0, 0)."""
        return tuple(cut for axis in range(self.ndim or 1) for cut in self.ends(axis))

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """Zeros where positions were cut off."""
        sides = tuple(self.ends(axis) for axis in range(self.ndim or 1))
        return (Pad(padding=sides if self.ndim else sides[0], ndim=self.ndim),)

    def way_back(self, passage: Passage) -> Way | None:
        """Zeros where positions were cut off, for every size."""
        return Way.exact(*self.changed(ndim=passage.ndim).back(passage.before[1:]))

    def letters(self, axis: int) -> dict[str, int]:
        """c cut off at both ends, or c1 before and c2 after."""
        before, after = self.ends(axis)
        return {"c": before} if before == after else {"c1": before, "c2": after}

    def formula_text_at(self, axis: int) -> str:
        """o = i - 2c, or i - c1 - c2."""
        before, after = self.ends(axis)
        return "{i} - 2*{c}" if before == after else "{i} - {c1} - {c2}"
