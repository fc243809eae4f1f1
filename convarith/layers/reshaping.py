"""Layers that mix, reorder or split axes: Linear, Flatten, Unflatten, Permute, Narrow, GLU."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, Order
from convarith.layers.reads import Reads, Window
from convarith.layers.registry import build
from convarith.layers.ways_back import NoWayBackError, Passage, Way
from convarith.sizes.normalise import counted, integer, per_axis, shape_of, times
from convarith.sizes.rules import FloorRule

if TYPE_CHECKING:
    from convarith.sizes.letters import Limits, OpenShape


def axis_of(dim: int, ndim: int, name: str) -> int:
    """Convert a dimension to one counted from the front; as in torch, negative numbers count from the back.

    >>> axis_of(-1, 4, "dim")
    3
    """
    if not -ndim <= dim < ndim:
        axes = counted(ndim, "axis", "axes")
        raise ShapeError(f"{name} is {dim}, but the input has {axes}: choose from {-ndim} to {ndim - 1}")
    return dim % ndim


def way_to_channels(layer: Layer, passage: Passage) -> Way:
    """The way back from a part of the channels. Raises NoWayBackError for a part of a spatial axis."""
    before, after = passage.before, passage.after
    if before[1:] == after[1:] and 2 <= len(before) <= 4:
        channels = {"in_channels": after[0], "out_channels": before[0], "kernel_size": 1}
        return Way.exact(build(f"Conv{passage.ndim}d", channels))
    if before[:-1] == after[:-1]:
        return Way.exact(Linear(in_features=after[-1], out_features=before[-1]))
    raise NoWayBackError(f"{layer} keeps a part of a spatial axis, which cannot be mirrored: use dim=1")


@dataclass(frozen=True, kw_only=True, repr=False)
class Linear(Layer):
    """A fully connected layer over the last axis: torch's Linear.

    >>> import convarith as ca
    >>> linear = ca.Linear(in_features=784, out_features=5)
    >>> linear.output_shape((128, 784)), linear.parameter_count
    ((128, 5), 3925)
    """

    in_features: int | None = None
    out_features: int
    bias: bool = True

    torch_name: ClassVar[str] = "Linear"
    rule_text: ClassVar[str] = "the last axis: in_features -> out_features"
    signature: ClassVar[tuple[str, ...]] = ("in_features", "out_features", "bias")
    leading: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name in ("in_features", "out_features"):
            value = getattr(self, name)
            if value is None and name == "in_features":
                continue
            value = integer(value, name)
            if value < 0:
                raise ParameterError(f"{name} is {value}: it must be at least 0")
            object.__setattr__(self, name, value)

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The sizes with the last one changed from in_features to out_features."""
        return self._shape((input_size,) if isinstance(input_size, int) else shape_of(input_size, "input size"))

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not shape:
            raise ShapeError("Linear takes (..., in_features), got a shape with no axes")
        if self.in_features is not None and shape[-1] != self.in_features:
            expected = counted(self.in_features, "feature")
            flat = f": {times(shape)} flattens to {prod(shape)}" if prod(shape) == self.in_features else ""
            raise ShapeError(f"Linear expects {expected} in the last axis, got {shape[-1]:,}{flat}")
        return (*shape[:-1], self.out_features)

    @property
    def input_ndim(self) -> int | None:
        """Zero, because a Linear takes features."""
        return 0

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The shape with out_features in the last axis, which must have in_features."""
        (shape,) = shapes
        if self.in_features is not None:
            limits.must_be(shape[-1], self.in_features)
        return (*shape[:-1], self.out_features)

    def order(self, before: Sequence[Order]) -> Order:
        """The order of the input if the channels come last, otherwise None."""
        (first,) = before
        return first if first is not None and first[-1] == 1 else None

    def keeps_fields(self, order: Order) -> bool:
        """True over the channels, where it does not mix positions."""
        return order is not None

    def way_back(self, passage: Passage) -> Way | None:
        """A Linear with the features exchanged."""
        return Way.exact(Linear(in_features=self.out_features, out_features=passage.before[-1], bias=self.bias))

    @property
    def parameter_count(self) -> int:
        """in * out weights and out biases. Raises ParameterError if in_features is open."""
        if self.in_features is None:
            raise ParameterError(f"{self} needs in_features to count its parameters")
        return self.in_features * self.out_features + (self.out_features if self.bias else 0)

    def macs(self, *shapes: Sequence[int]) -> int:
        """in * out per row.

        >>> import convarith as ca
        >>> ca.parse("Linear(784, 5)").macs((128, 784))
        501760
        """
        return prod(self.output_shape(*shapes)) * shapes[0][-1]


@dataclass(frozen=True, kw_only=True, repr=False)
class Flatten(Layer):
    """Merge several axes into one: torch's Flatten. By default the first axis, the batch, is kept.

    >>> import convarith as ca
    >>> ca.Flatten().output_shape((128, 1, 28, 28))
    (128, 784)
    """

    start_dim: int = 1
    end_dim: int = -1

    torch_name: ClassVar[str] = "Flatten"
    rule_text: ClassVar[str] = "dims start_dim to end_dim are merged into their product"
    signature: ClassVar[tuple[str, ...]] = ("start_dim", "end_dim")

    hides_axes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in self.signature:
            object.__setattr__(self, name, integer(getattr(self, name), name))

    def output_rank(self, before: int | None) -> int | None:
        """Two if all axes but the batch become one; otherwise unknown."""
        return 2 if (self.start_dim, self.end_dim) == (1, -1) else None

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The shape with the axes replaced by their product."""
        from convarith.sizes.letters import product

        (shape,) = shapes
        first = axis_of(self.start_dim, len(shape), "start_dim")
        last = axis_of(self.end_dim, len(shape), "end_dim")
        return (*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :])

    def way_back(self, passage: Passage) -> Way | None:
        """An Unflatten to the original shape."""
        axes = len(passage.before) + 1
        first, last = axis_of(self.start_dim, axes, "start_dim"), axis_of(self.end_dim, axes, "end_dim")
        if first == 0:
            raise NoWayBackError(f"{self} merges the batch, which cannot be mirrored: use start_dim=1")
        if first == last:
            return Way(())
        unflatten = Unflatten(dim=first, unflattened_size=passage.before[first - 1 : last])
        return Way((unflatten,), "unflatten") if first == 1 and last == axes - 1 else Way.exact(unflatten)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        first = axis_of(self.start_dim, len(shape), "start_dim")
        last = axis_of(self.end_dim, len(shape), "end_dim")
        if first > last:
            raise ShapeError(f"start_dim {self.start_dim} comes after end_dim {self.end_dim} in {times(shape)}")
        return (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])


@dataclass(frozen=True, kw_only=True, repr=False)
class Unflatten(Layer):
    """Split one axis into several: torch's Unflatten. One of the sizes may be -1, to be inferred.

    >>> import convarith as ca
    >>> ca.Unflatten(dim=1, unflattened_size=(64, -1, 7)).output_shape((128, 3136))
    (128, 64, 7, 7)
    """

    dim: int
    unflattened_size: tuple[int, ...]

    torch_name: ClassVar[str] = "Unflatten"
    rule_text: ClassVar[str] = "dim is split into the sizes unflattened_size"
    signature: ClassVar[tuple[str, ...]] = ("dim", "unflattened_size")
    leading: ClassVar[int] = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer(self.dim, "dim"))
        sizes = per_axis(self.unflattened_size, "unflattened_size")
        if not isinstance(sizes, tuple):
            raise ParameterError(f"unflattened_size must be a tuple of integers, got {sizes!r}")
        if any(size < -1 for size in sizes) or sizes.count(-1) > 1:
            raise ParameterError(f"unflattened_size is {sizes}: sizes must be at least 0, and one of them may be -1")
        object.__setattr__(self, "unflattened_size", sizes)

    def _short(self, value: object) -> object:
        return value

    @property
    def input_ndim(self) -> int | None:
        """Zero, because an Unflatten takes features."""
        return 0

    def output_rank(self, before: int | None) -> int | None:
        """One axis more for every size but one."""
        return None if before is None else before + len(self.unflattened_size) - 1

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The shape with the axis split; unless one size is -1, the axis must have their product."""
        from convarith.sizes.letters import Unknown

        (shape,) = shapes
        axis = axis_of(self.dim, len(shape), "dim")
        sizes, size = self.unflattened_size, shape[axis]
        if isinstance(size, int):
            return (*shape[:axis], *self.output_shape((size,) * (axis + 1))[axis:], *shape[axis + 1 :])
        if -1 not in sizes:
            limits.must_be(size, prod(sizes))
        return (*shape[:axis], *(Unknown() if each == -1 else each for each in sizes), *shape[axis + 1 :])

    def way_back(self, passage: Passage) -> Way | None:
        """A Flatten of the new axes."""
        first = axis_of(self.dim, len(passage.before) + 1, "dim")
        if first == 0:
            raise NoWayBackError(f"{self} splits the batch, which cannot be mirrored: use dim=1")
        return Way.exact(Flatten(start_dim=first, end_dim=first + len(self.unflattened_size) - 1))

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        axis = axis_of(self.dim, len(shape), "dim")
        sizes, size = self.unflattened_size, shape[axis]
        given = prod(size for size in sizes if size != -1)
        if -1 in sizes:
            if given == 0 or size % given:
                raise ShapeError(f"Unflatten to {sizes}: the size {size} is not divisible by {given}")
            sizes = tuple(size // given if entry == -1 else entry for entry in sizes)
        elif given != size:
            raise ShapeError(f"Unflatten to {sizes} needs a size of {given}, got {size}")
        return (*shape[:axis], *sizes, *shape[axis + 1 :])


@dataclass(frozen=True, kw_only=True, repr=False)
class Permute(Layer):
    """Reorder the axes: torch.permute, for which torch has no module. `dims` includes the batch.

    >>> import convarith as ca
    >>> ca.Permute(dims=(0, 2, 3, 1)).output_shape((1, 96, 7, 7))
    (1, 7, 7, 96)
    """

    dims: tuple[int, ...]

    torch_name: ClassVar[str] = "Permute"
    torch_module: ClassVar[str] = '''
class Permute(nn.Module):
    """Reorder the axes."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.dims)
'''
    rule_text: ClassVar[str] = "the axes are reordered by dims"
    signature: ClassVar[tuple[str, ...]] = ("dims",)
    leading: ClassVar[int] = 1

    def __post_init__(self) -> None:
        dims = per_axis(self.dims, "dims")
        if not isinstance(dims, tuple):
            raise ParameterError(f"dims must be a tuple of integers, got {dims!r}")
        settled = tuple(dim % len(dims) if -len(dims) <= dim < len(dims) else dim for dim in dims)
        if sorted(settled) != list(range(len(dims))):
            raise ParameterError(f"dims is {dims}: it must name each axis from 0 to {len(dims) - 1} once")
        object.__setattr__(self, "dims", settled)

    def _short(self, value: object) -> object:
        return value

    def torch_arguments(self) -> tuple[int, ...]:
        """The order of the axes, as in Permute(0, 2, 3, 1)."""
        return self.dims

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The reordered shape."""
        (shape,) = shapes
        if len(shape) != len(self.dims):
            raise ShapeError(f"it reorders {counted(len(self.dims), 'axis', 'axes')}, but the input has {len(shape)}")
        return tuple(shape[dim] for dim in self.dims)

    def order(self, before: Sequence[Order]) -> Order:
        """The order of the input, permuted."""
        (first,) = before
        order = tuple(first[dim] for dim in self.dims) if first else self.dims
        return None if order == tuple(range(len(self.dims))) else order

    def keeps_fields(self, order: Order) -> bool:
        """True, because positions move without reading others."""
        return True

    def way_back(self, passage: Passage) -> Way | None:
        """A Permute with the inverse order."""
        if self.dims[0] != 0:
            raise NoWayBackError(f"{self} moves the batch, which cannot be mirrored: keep dim 0 first")
        return Way.exact(Permute(dims=tuple(self.dims.index(axis) for axis in range(len(self.dims)))))

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != len(self.dims):
            axes = counted(len(self.dims), "axis", "axes")
            raise ShapeError(f"Permute reorders {axes}, got {len(shape)}: {times(shape)}")
        return tuple(shape[dim] for dim in self.dims)


@dataclass(frozen=True, kw_only=True, repr=False)
class Narrow(Layer):
    """Select some channels: torch.narrow along dim 1, or a piece of torch.chunk. torch has no module for it.

    >>> import convarith as ca
    >>> ca.Narrow(start=32, length=32).output_shape((1, 64, 7, 7))
    (1, 32, 7, 7)
    """

    start: int
    length: int

    torch_name: ClassVar[str] = "Narrow"
    torch_module: ClassVar[str] = '''
class Narrow(nn.Module):
    """Select some channels."""

    def __init__(self, start: int, length: int) -> None:
        super().__init__()
        self.start, self.length = start, length

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.start, self.length)
'''
    rule_text: ClassVar[str] = "length channels, from channel start on"
    signature: ClassVar[tuple[str, ...]] = ("start", "length")
    leading: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name, least in (("start", 0), ("length", 1)):
            value = integer(getattr(self, name), name)
            if value < least:
                raise ParameterError(f"{name} is {value}: it must be at least {least}")
            object.__setattr__(self, name, value)

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Each output reads the input at the same position."""
        return Window()

    def torch_arguments(self) -> tuple[int, ...]:
        """The start and the length."""
        return (self.start, self.length)

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The shape with fewer channels."""
        ((batch, channels, *positions),) = shapes
        if isinstance(channels, int):
            self.output_shape((1, channels))
        return (batch, self.length, *positions)

    def way_back(self, passage: Passage) -> Way | None:
        """A 1x1 convolution that restores the number of channels."""
        return way_to_channels(self, passage)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) < 2:
            raise ShapeError(f"Narrow takes (N, C, ...), got {times(shape)}")
        if shape[1] < self.start + self.length:
            last = self.start + self.length - 1
            wanted = f"channel {last}" if self.length == 1 else f"channels {self.start} to {last}"
            raise ShapeError(f"Narrow reads {wanted}, but the input has {counted(shape[1], 'channel')}")
        return (shape[0], self.length, *shape[2:])


@dataclass(frozen=True, kw_only=True, repr=False)
class GLU(Layer):
    """A gated linear unit, which halves one axis: torch's GLU.

    >>> import convarith as ca
    >>> ca.GLU(dim=1).output_shape((1, 64, 100))
    (1, 32, 100)
    """

    dim: int = -1

    torch_name: ClassVar[str] = "GLU"
    rule_text: ClassVar[str] = "the size of dim is halved"
    signature: ClassVar[tuple[str, ...]] = ("dim",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", integer(self.dim, "dim"))

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Each output reads the input at the same position."""
        return Window()

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The shape with one axis halved, which must be even."""
        (shape,) = shapes
        axis = axis_of(self.dim, len(shape), "dim")
        half = limits.apply(FloorRule(step=2, multiple_of=2, minimum=0), shape[axis])
        return (*shape[:axis], half, *shape[axis + 1 :])

    def way_back(self, passage: Passage) -> Way | None:
        """A 1x1 convolution or a Linear that restores the size of the axis."""
        return way_to_channels(self, passage)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        axis = axis_of(self.dim, len(shape), "dim")
        if shape[axis] % 2:
            raise ShapeError(f"GLU halves dim {axis} of {times(shape)}, but {shape[axis]} is odd")
        return (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])
