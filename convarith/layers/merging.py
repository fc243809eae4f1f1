"""Layers that join the branches of a network: Add, Multiply, Concat, MatchSize."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, Order
from convarith.layers.reshaping import axis_of
from convarith.sizes.normalise import integer, shape_of, times

if TYPE_CHECKING:
    from convarith.sizes.letters import Dim, Limits, OpenShape


@dataclass(frozen=True, kw_only=True, repr=False)
class Add(Layer):
    """The sum of the inputs, with axes of size 1 broadcast as in torch.

    >>> import convarith as ca
    >>> ca.Add().output_shape((1, 64, 28, 28), (1, 64, 1, 1))
    (1, 64, 28, 28)
    """

    torch_name: ClassVar[str] = "Add"
    rule_text: ClassVar[str] = "the common shape; axes of size 1 are broadcast"
    keeps_positions: ClassVar[bool] = True
    joins: ClassVar[bool] = True

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The input size, unchanged."""
        return shape_of((input_size,) if isinstance(input_size, int) else input_size, "input size")

    def torch_expression(self, given: Sequence[str]) -> str | None:
        """The sum as an expression: a + b."""
        return " + ".join(given)

    def order(self, before: Sequence[Order]) -> Order:
        """The common order of the inputs; None if they differ."""
        return before[0] if len(set(before)) == 1 else None

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The common shape; all inputs must have equal sizes, except for axes of size 1."""
        result = shapes[0]
        for shape in shapes[1:]:
            length = max(len(result), len(shape))
            ones: OpenShape = (1,) * length
            pairs = zip((*ones[len(result) :], *result), (*ones[len(shape) :], *shape), strict=True)
            result = tuple(limits.equal(one, other, spreads=True) for one, other in pairs)
        return result

    def joined_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The common shape. Raises ShapeError if two inputs cannot be broadcast together."""
        if not shapes:
            raise ShapeError(f"{self.name} takes at least one input")
        result: tuple[int, ...] = ()
        for shape in shapes:
            length = max(len(result), len(shape))
            pairs = zip((1,) * (length - len(result)) + result, (1,) * (length - len(shape)) + shape, strict=True)
            together = []
            for axis, (one, other) in enumerate(pairs):
                if one != other and 1 not in (one, other):
                    given = " and ".join(times(each) for each in shapes)
                    raise ShapeError(f"{self.name} cannot join {given}: dim {axis} differs ({one} and {other})")
                together.append(other if one == 1 else one)
            result = tuple(together)
        return result


@dataclass(frozen=True, kw_only=True, repr=False)
class Multiply(Add):
    """The elementwise product of the inputs, as in a gate or in attention. Shapes are those of Add.

    >>> import convarith as ca
    >>> ca.Multiply().output_shape((1, 64, 28, 28), (1, 64, 1, 1))
    (1, 64, 28, 28)
    """

    torch_name: ClassVar[str] = "Multiply"

    def torch_expression(self, given: Sequence[str]) -> str | None:
        """The product as an expression: a * b."""
        return " * ".join(given)


@dataclass(frozen=True, kw_only=True, repr=False)
class MatchSize(Layer):
    """Bring the first input to the spatial sizes of the second, by interpolation, padding or a crop.

    >>> import convarith as ca
    >>> ca.MatchSize().output_shape((1, 64, 56, 56), (1, 32, 57, 57))
    (1, 64, 57, 57)
    """

    torch_name: ClassVar[str] = "MatchSize"
    rule_text: ClassVar[str] = "the spatial sizes of the second input"
    keeps_positions: ClassVar[bool] = True
    broadcasts: ClassVar[bool] = False

    def torch_calls(self) -> tuple[str, ...]:
        """Raises ParameterError, because the layer takes two inputs."""
        raise ParameterError(f"{self} cannot be a module on its own: it takes two inputs")

    def carried(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """The first input."""
        return inputs[:1]

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The first input's batch and channels, the second's spatial sizes."""
        if len(shapes) != 2:
            raise ShapeError(f"MatchSize takes two inputs, got {len(shapes)}")
        return (*shapes[0][:2], *shapes[1][2:])

    def joined_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The first input's batch and channels, the second's spatial sizes."""
        if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]):
            raise ShapeError("MatchSize takes two inputs with the same number of axes")
        first, second = shapes
        return (*first[:2], *second[2:])


@dataclass(frozen=True, kw_only=True, repr=False)
class Concat(Layer):
    """The inputs concatenated along one axis, as by torch.cat; by default along the channels.

    >>> import convarith as ca
    >>> ca.Concat().output_shape((1, 64, 28, 28), (1, 32, 28, 28))
    (1, 96, 28, 28)
    """

    dim: int = 1

    torch_name: ClassVar[str] = "Concat"
    rule_text: ClassVar[str] = "the sizes of dim are added; the others are unchanged"
    keeps_positions: ClassVar[bool] = True
    broadcasts: ClassVar[bool] = False
    joins: ClassVar[bool] = True
    signature: ClassVar[tuple[str, ...]] = ("dim",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer(self.dim, "dim"))

    def torch_expression(self, given: Sequence[str]) -> str | None:
        """A call of torch.cat."""
        return f"torch.cat([{', '.join(given)}], dim={self.dim})"

    @property
    def mixes_positions(self) -> bool:
        """Only if the inputs are concatenated along another axis than the channels."""
        return self.dim not in (1, -3)

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The sum of the sizes along one axis; along the others all inputs must have equal sizes."""
        from convarith.sizes.letters import Unknown

        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError("its inputs have different numbers of axes")
        along = axis_of(self.dim, len(shapes[0]), "dim")
        joined: list[Dim] = []
        for axis, sizes in enumerate(zip(*shapes, strict=True)):
            if axis == along:
                known = [size for size in sizes if isinstance(size, int)]
                joined.append(sum(known) if len(known) == len(sizes) else Unknown())
                continue
            size = sizes[0]
            for other in sizes[1:]:
                size = limits.equal(size, other, spreads=False)
            joined.append(size)
        return tuple(joined)

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The input size, unchanged, because channels are not a spatial size."""
        return shape_of((input_size,) if isinstance(input_size, int) else input_size, "input size")

    def joined_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The concatenated shape. Raises ShapeError if another axis than `dim` differs."""
        if not shapes:
            raise ShapeError("Concat takes at least one input")
        first, *others = shapes
        axis = axis_of(self.dim, len(first), "dim")
        for other in others:
            if len(other) != len(first):
                both = f"{times(first)} and {times(other)}"
                raise ShapeError(f"Concat cannot join {both}: they have different numbers of axes")
            for position, (one, size) in enumerate(zip(first, other, strict=True)):
                if position != axis and one != size:
                    raise ShapeError(
                        f"Concat cannot join {times(first)} and {times(other)} along dim {axis}: "
                        f"dim {position} differs ({one} and {size})"
                    )
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
