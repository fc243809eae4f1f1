"""The inverse of a max pool, which puts every value back where it came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import SpatialLayer
from convarith.layers.reads import Reads, Spread
from convarith.sizes.normalise import Ints
from convarith.sizes.rules import AxisRule, FloorRule


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxUnpool(SpatialLayer):
    """Max unpooling with the indices of a max pool: torch's MaxUnpool1d, MaxUnpool2d and MaxUnpool3d.

    A kernel or stride below 1 is an error in every dimension (torch rejects it in 3-D and gives meaningless sizes in
    1-D and 2-D).

    >>> import convarith as ca
    >>> unpool = ca.MaxUnpool(kernel_size=2)
    >>> unpool.output_size((3, 3)), unpool.output_size((3, 3), output_size=(7, 7))
    ((6, 6), (7, 7))
    """

    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0
    ndim: int | None = None

    torch_name: ClassVar[str] = "MaxUnpool"
    signature: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding")
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    empty_channels: ClassVar[str] = "unbatched"
    forward_arguments: ClassVar[tuple[str, ...]] = ("indices", "output_size")
    searched: ClassVar[dict[str, list[Any]] | None] = {}
    formula_text: ClassVar[str] = "({i} - 1)*{s} - 2*{p} + {k}"
    source: ClassVar[str] = "torch.nn.MaxUnpool2d"

    def __post_init__(self) -> None:
        if self.stride is None or self.stride == ():
            object.__setattr__(self, "stride", self.kernel_size)
        self._settle("kernel_size", "stride", "padding", kernel_size=1, stride=1)
        self._set_rules()

    def default(self, name: str) -> object:
        """The default of a parameter; that of the stride is the kernel size."""
        return self.kernel_size if name == "stride" else super().default(name)

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        stride, offset = self.at("stride", axis), self._plain(axis, 0)
        return FloorRule(rise=stride, offset=offset, minimum=max(1, -(offset // stride)))

    def torch_calls(self) -> tuple[str, ...]:
        """Raises ParameterError, because the layer takes the indices of a pool."""
        raise ParameterError(f"{self} cannot be a module on its own: it takes the indices of a pool")

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Every input can go to any position of its window."""
        return Spread(
            size=self.at("kernel_size", axis), stride=self.at("stride", axis), before=self.at("padding", axis)
        )

    def _plain(self, axis: int, size: int) -> int:
        """The output size if none is requested."""
        return (size - 1) * self.at("stride", axis) - 2 * self.at("padding", axis) + self.at("kernel_size", axis)

    def _refusal(self, axis: int, size: int, least: int) -> str:
        return f"the output would be {self._plain(axis, size)} (i={size}): needs an input >= {least}"

    def output_size(self, input_size: int | Sequence[int], output_size: Sequence[int] | None = None) -> tuple[int, ...]:
        """The output size; or `output_size` itself, if torch's forward accepts it as its third argument.

        torch accepts the sizes that differ from the default by less than the stride.
        """
        if output_size is None:
            return super().output_size(input_size)
        asked = self._asked(input_size, output_size)
        for axis, (size, target) in enumerate(asked):
            plain, stride = self._plain(axis, size), self.at("stride", axis)
            if size < 1 or not plain - stride < target < plain + stride:
                reach = f"{max(0, plain - stride + 1)} to {plain + stride - 1}"
                where = self._where(axis, len(asked))
                raise ShapeError(f"{where}: output_size {target} is out of range: choose a size from {reach}")
        return tuple(target for _, target in asked)

    def letters(self, axis: int) -> dict[str, int]:
        """The letters k, s and p."""
        return {
            letter: self.at(name, axis) for letter, name in {"k": "kernel_size", "s": "stride", "p": "padding"}.items()
        }
