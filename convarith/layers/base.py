"""The base class of all layers, and of those that treat each spatial axis separately."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.sizes.normalise import Ints, collapse, counted, integer, per_axis, shape_of, times
from convarith.sizes.rules import AxisRule, FloorRule

if TYPE_CHECKING:
    from fractions import Fraction

    from convarith.layers.reads import Reads, Scattering
    from convarith.layers.ways_back import Passage, Way
    from convarith.sizes.letters import Dim, Limits, OpenShape
    from convarith.sizes.sets import SizeRange

AXIS_NAMES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
"""The letters of the spatial axes, by the number of axes."""

Order = tuple[int, ...] | None
"""Which axis (counting the batch) is at each position after a Permute; None if all are where torch has them."""


def axis_names(ndim: int) -> tuple[str, ...]:
    """The names of the spatial axes in messages.

    >>> axis_names(2), axis_names(4)
    (('H', 'W'), ('axis 0', 'axis 1', 'axis 2', 'axis 3'))
    """
    return AXIS_NAMES.get(ndim) or tuple(f"axis {axis}" for axis in range(ndim))


def kind_of(class_name: str) -> str:
    """The name of a layer class on the command line.

    >>> kind_of("ConvTranspose"), kind_of("LPPool"), kind_of("GLU")
    ('conv-transpose', 'lp-pool', 'glu')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


class Layer:
    """One layer of a network. Layers are immutable, and equal if their parameters are equal.

    Shapes are channels first as in torch: (N, C, *spatial), or (C, *spatial) without a batch.
    """

    kind: ClassVar[str]
    """The layer's name on the command line, derived from its class name: 'conv-transpose'."""
    torch_name: ClassVar[str]
    """The name of torch's class without the dimension suffix: 'ConvTranspose'."""
    rule_text: ClassVar[str] = ""
    """What the layer does to a shape, for a layer without a size formula per axis."""
    signature: ClassVar[tuple[str, ...]] = ()
    """The names of torch's parameters, in torch's order."""
    leading: ClassVar[int] = 0
    """How many of them torch's repr writes without a name."""
    fields_of: ClassVar[dict[str, str]] = {}
    """The field names of parameters whose own name is taken: `output_size` is a method here."""
    dimensions: ClassVar[tuple[int, ...]] = ()
    """The dimensions that exist (1d, 2d, 3d); empty if torch's class has no such suffix."""

    title: ClassVar[str] = ""
    """The title of pictures of the layer; if empty, its name is used."""
    combines: ClassVar[str] = "sum"
    """How an output combines the inputs it reads: 'sum', 'mean', 'max' or 'norm' (a power average)."""
    keeps_positions: ClassVar[bool] = False
    """Does every output position depend only on the same position of the inputs?"""
    joins: ClassVar[bool] = False
    """Does the layer join several branches, position by position?"""
    broadcasts: ClassVar[bool] = True
    """For a layer with several inputs: is an axis of size 1 broadcast to any other size?"""
    keeps_indices: ClassVar[bool] = False
    """Does the layer keep the indices that an unpool needs, as a max pool does?"""
    pads_only: ClassVar[bool] = False
    """Does the layer only add or remove positions at the ends?"""
    row_per_tap: ClassVar[bool] = False
    """Does each tap give its own output instead of being summed, as in Unfold?"""
    overlap_side: ClassVar[str] = ""
    """Where overlap is counted: in the 'output' of a layer that upsamples, in the 'gradient' of one with windows."""
    hides_axes: ClassVar[bool] = False
    """Does the layer accept any number of axes, so that it does not determine how many its input has?"""
    windows_follow_size: ClassVar[bool] = False
    """Do the windows depend on the sizes, so that without sizes there is no pattern?"""
    searched: ClassVar[dict[str, list[Any]] | None] = None
    """Further values that `solve` tries, by parameter; None if it does not search this kind of layer."""
    forward_arguments: ClassVar[tuple[str, ...]] = ()
    """What the forward of torch's layer takes after the input: 'indices', 'output_size'."""

    ndim: int | None = None
    """The number of spatial axes; None for as many as the input has."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.kind = kind_of(cls.__name__)

    @property
    def name(self) -> str:
        """The name of torch's class: 'Conv2d', or 'Conv' while the dimension is open."""
        return self.torch_name if self.ndim is None or not self.dimensions else f"{self.torch_name}{self.ndim}d"

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The spatial output size for a spatial input size."""
        raise ShapeError(f"{self.name} mixes channels with positions: ask for its output_shape")

    def output_shape(self, *shapes: Sequence[int]) -> tuple[int, ...]:
        """The output shape for an input shape (Add and Concat take several)."""
        return self.joined_shape(*map(shape_of, shapes))

    def joined_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Same as `output_shape`, for shapes that are already validated."""
        if len(shapes) != 1:
            raise ShapeError(f"{self.name} takes one input, got {len(shapes)}")
        return self._shape(shapes[0])

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        raise NotImplementedError(type(self).__name__)

    @property
    def has_matrix(self) -> bool:
        """Is the layer linear, with a matrix that can be built from what its axes read?"""
        return False

    # What the layer reads, and what it does to symbolic sizes ---------------------------------------------------------

    @property
    def input_ndim(self) -> int | None:
        """The number of spatial axes of the layer's input; 0 for features, None if the layer does not determine it."""
        return self.ndim

    @property
    def pad_mode(self) -> str:
        """How the padding is filled: 'zeros', 'reflect', 'replicate' or 'circular'."""
        return "zeros"

    def output_rank(self, before: int | None) -> int | None:
        """The number of axes of the output for an input of `before` axes, including the batch; None if unknown."""
        return before

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Which of `size` inputs each of `output` outputs reads along one of `ndim` axes; None for all of them."""
        return None

    def constant_share(self, axis: int) -> Fraction:
        """A factor on every output along one axis, such as 1/divisor_override of an average pool."""
        from fractions import Fraction

        return Fraction(1)

    def scattering(self, axis: int) -> Scattering | None:
        """Where the layer or its gradient adds values along one axis (see `overlap_side`); None without a pattern."""
        return None

    @property
    def mixes_positions(self) -> bool:
        """Do positions lose their place, as in a Linear or a Flatten?"""
        return not self.keeps_positions

    @property
    def needs_all_positions(self) -> bool:
        """Does every output depend on all positions, although the layer keeps the shape or gives windows?"""
        return False

    def carried(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """The inputs whose positions the output keeps."""
        return inputs

    def channels_read(
        self, target: int, position: tuple[int, ...], channels: int, out_channels: int
    ) -> Iterator[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
        """Yield (channel, start of its weight index, only tap or None) for each channel that output `target` reads."""
        yield target, None, None

    def weight_shape(self, ndim: int) -> tuple[int, ...] | None:
        """The shape of torch's weight, with open channels counted as one per group; None if there is no weight."""
        return None

    def open_shape(self, shapes: Sequence[OpenShape], limits: Limits) -> OpenShape:
        """The output shape for inputs with symbolic sizes; what the layer rejects is recorded in `limits`.

        Raises ShapeError if no input size can work.
        """
        from convarith.sizes.letters import Unknown  # imported here because only questions about all sizes need it

        return tuple(Unknown() for _ in shapes[0])

    def order(self, before: Sequence[Order]) -> Order:
        """The order of the axes after the layer; None if it does not keep them separate."""
        return None

    def keeps_fields(self, order: Order) -> bool:
        """Does the layer leave every receptive field as it is? `order` is the order of the axes after the layer."""
        return False

    # The layer in PyTorch code ----------------------------------------------------------------------------------------

    torch_module: ClassVar[str] = ""
    """The source of a module named `torch_name`, for a layer that torch.nn lacks."""

    def torch_calls(self) -> tuple[str, ...]:
        """The calls that build the layer in PyTorch code, as modules to run in sequence.

        Raises ParameterError if the layer cannot be a module on its own.

        >>> import convarith as ca
        >>> ca.parse("Conv2d(1, 8, 3, padding_mode='reflect')").torch_calls()
        ('nn.Conv2d(1, 8, 3, padding_mode="reflect")',)
        """
        if self.torch_module:
            return (f"{self.torch_name}({', '.join(map(str, self.torch_arguments()))})",)
        return (f"nn.{self}".replace("'", '"'),)

    def torch_arguments(self) -> tuple[int, ...]:
        """The arguments of a layer that has a `torch_module`."""
        return ()

    def torch_expression(self, given: Sequence[str]) -> str | None:
        """The layer as an expression of its input tensors; None for a layer that is a module."""
        return None

    # The way back ----------------------------------------------------------------------------------------------------

    def way_back(self, passage: Passage) -> Way | None:
        """Layers from the output back to the input; None if only the two shapes determine them.

        Raises NoWayBackError if there are none, with the change to the layer that would help.
        """
        return None

    # Numbers ---------------------------------------------------------------------------------------------------------

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return 0

    def macs(self, *shapes: Sequence[int]) -> int:
        """The multiply-accumulates with a weight, for the whole input shape; 0 for a layer without weights."""
        self.output_shape(*shapes)
        return 0

    def default(self, name: str) -> object:
        """The value of a parameter that the layer's text omits; `Parameter.empty` if it has no default."""
        return _parameters(type(self))[name]

    def changed(self, **changes: object) -> Self:
        """A copy of the layer with some parameters changed, by the names of its constructor.

        >>> import convarith as ca
        >>> ca.MaxPool(kernel_size=2).changed(ceil_mode=True)
        MaxPool(kernel_size=2, ceil_mode=True)
        """
        given = {name: getattr(self, self.fields_of.get(name, name)) for name in _parameters(type(self))}
        return type(self)(**(given | changes))

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """The parameters that differ from their defaults, in torch's order, as torch takes them."""
        for name in self.signature:
            value = self._short(getattr(self, self.fields_of.get(name, name)))
            if value is not None and value != self._short(self.default(name)):
                yield name, value

    def _short(self, value: object) -> object:
        """Write equal values per axis as one number, if the layer's name says how many axes there are."""
        return collapse(value) if isinstance(value, tuple) and value and isinstance(value[0], (int, float)) else value

    @classmethod
    def from_call(cls, name: str, ndim: int | None, arguments: dict[str, Any]) -> Self:
        """Build the layer from a call, with arguments by torch's names."""
        return cls(**(arguments if ndim is None or not cls.dimensions else {"ndim": ndim} | arguments))

    def __str__(self) -> str:
        """The layer as a call; `parse` turns it back into an equal layer."""
        words, by_position = [], True
        given = dict(self.arguments())
        for position, name in enumerate(self.signature):
            by_position = by_position and position < self.leading and name in given
            if name in given:
                words.append(repr(given[name]) if by_position else f"{name}={given[name]!r}")
        return f"{self.name}({', '.join(words)})"

    def __repr__(self) -> str:
        return str(self)


_PARAMETERS: dict[type[Layer], dict[str, object]] = {}


def _parameters(cls: type[Layer]) -> dict[str, object]:
    """The parameters of a layer's constructor with their defaults, cached per class."""
    if cls not in _PARAMETERS:
        _PARAMETERS[cls] = {name: each.default for name, each in signature(cls).parameters.items()}
    return _PARAMETERS[cls]


class SpatialLayer(Layer):
    """A layer whose output size along an axis depends only on the input size along that axis."""

    formula_text: ClassVar[str]
    """The size formula with a placeholder for each letter, as in '{s}*{i}'."""
    source: ClassVar[str]
    """Where the formula comes from."""
    empty_channels: ClassVar[str] = "never"
    """When torch accepts an input with zero channels: 'always', 'never', or only 'unbatched'."""

    never_spread: ClassVar[tuple[str, ...]] = ()
    """Parameters for which torch does not repeat a tuple of length 1 for all axes."""
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {}
    """The function that validates a parameter's values, if it is not `integer`."""

    ndim_matters: ClassVar[bool] = False
    """Does torch's 3-D version reject inputs that the others accept?"""

    mixes_positions: ClassVar[bool] = False
    """Positions keep their order along each axis."""

    _rules: tuple[AxisRule, ...]
    _floors: tuple[tuple[int, int, int, int, int], ...] | None
    """The rules as plain numbers, for a fast loop; None if some rule is more than a floor and a minimum."""

    def _settle(self, *names: str, **limits: int) -> None:
        """Validate the per-axis parameters `names` and determine ndim; `limits` gives their smallest values."""
        values = {name: per_axis(getattr(self, name), name, self._converters.get(name, integer)) for name in names}
        ndim = self.ndim
        if ndim is None:
            lengths = {len(value) for value in values.values() if isinstance(value, tuple)}
            ndim = max(lengths, default=None)
        else:
            ndim = integer(ndim, "ndim")
        if ndim is not None and self.dimensions and ndim not in self.dimensions:
            raise ParameterError(f"{self.torch_name}{ndim}d does not exist: ndim must be one of {self.dimensions}")
        for name, value in values.items():
            if ndim is not None:
                value = self._one_per_axis(name, value, ndim)
            for entry in value if isinstance(value, tuple) else (value,):
                if name in limits and isinstance(entry, int) and entry < limits[name]:
                    raise ParameterError(f"{name} is {entry}: it must be at least {limits[name]}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "ndim", ndim)

    def _one_per_axis(self, name: str, value: Any, ndim: int) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            return (value,) * ndim
        if len(value) == 1 and name not in self.never_spread:
            return value * ndim
        if len(value) != ndim:
            raise ParameterError(
                f"{name} has {counted(len(value), 'value')} {value} but {self.torch_name}{ndim}d has "
                f"{_axes(ndim)}: give one value, or one per axis"
            )
        return value

    def _set_rules(self) -> None:
        """Compute the rule of each axis once; output_size then only applies it."""
        axes = range(1 if self.ndim is None else self.ndim)
        rules = tuple(self._rule(axis, self.ndim) for axis in axes)
        floors = all(isinstance(rule, FloorRule) and rule[5:] == (None, 1) for rule in rules)
        object.__setattr__(self, "_rules", rules)
        object.__setattr__(self, "_floors", tuple(rule[:5] for rule in rules) if floors else None)

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        """The size rule of one axis; `ndim` is the number of spatial axes of the input, if known."""
        raise NotImplementedError(type(self).__name__)

    def at(self, name: str, axis: int) -> int:
        """The value of a per-axis parameter along one axis.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=(3, 5)).at("kernel_size", 1)
        5
        """
        value: Ints = getattr(self, name)
        return value if isinstance(value, int) else value[axis]

    def rules(self, ndim: int | None = None) -> tuple[AxisRule, ...]:
        """The size rule of each axis.

        >>> import convarith as ca
        >>> [rule.formula() for rule in ca.Conv(kernel_size=3, stride=(1, 2)).rules()]
        ['i - 2', 'floor((i - 3)/2) + 1']
        """
        if self.ndim is None:
            return (self._rule(0, ndim),) * ndim if ndim and self.ndim_matters else self._rules * (ndim or 1)
        if ndim not in (None, self.ndim):
            raise ShapeError(f"{self.name} has {_axes(self.ndim)}, got {counted(ndim or 0, 'size')}: give {self.ndim}")
        return self._rules

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The spatial output size for a spatial input size; a single integer is the size of every axis.

        Raises ShapeError if torch rejects the input.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=3, stride=2, padding=1).output_size((28, 30))
        (14, 15)
        """
        floors = self._floors
        if floors is None or input_size.__class__ is not tuple:
            return self._slow_output_size(self.spatial_size(input_size))
        if len(floors) != len(input_size):
            if self.ndim is not None or self.ndim_matters:
                return self._slow_output_size(self.spatial_size(input_size))
            floors *= len(input_size)
        output = []
        for (rise, shift, step, offset, minimum), size in zip(floors, input_size):  # noqa: B905 - the lengths are equal here
            if size.__class__ is not int or size < minimum:
                return self._slow_output_size(self.spatial_size(input_size))
            output.append(rise * ((size + shift) // step) + offset)
        return tuple(output)

    def output_rank(self, before: int | None) -> int | None:
        """The spatial axes, the channels and the batch."""
        return before if self.ndim is None else self.ndim + 2

    def outputs_along(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The output size by each axis's own rule; for an Unfold, the number of blocks along each axis."""
        return SpatialLayer.output_size(self, input_size)

    def _slow_output_size(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The general path, for sizes that are rejected and for rules that are more than a floor."""
        output = []
        for axis, (rule, size) in enumerate(zip(self.rules(len(sizes)), sizes, strict=True)):
            result = rule(size)
            if result is None:
                where = self._where(axis, len(sizes)) + (f" of {times(sizes)}" if len(sizes) > 1 else "")
                raise ShapeError(f"{where}: {self._refusal(axis, size, rule.minimum)}")
            output.append(result)
        return tuple(output)

    def _where(self, axis: int, ndim: int) -> str:
        """The layer's name in a message about one axis, followed by the axis if there are several."""
        return self.name if ndim == 1 else f"{self.name}, {axis_names(ndim)[axis]}"

    def spatial_size(self, input_size: object) -> tuple[int, ...]:
        """Validate a spatial size as users write it; a single integer is the size of every axis."""
        if isinstance(input_size, Sequence):
            return shape_of(input_size, "input size")
        return (integer(input_size, "input size"),) * (self.ndim or 1)

    def open_shape(self, shapes: Sequence[OpenShape], limits: Limits) -> OpenShape:
        """Apply the rule of each spatial axis, and convert the channels if they are known."""
        (shape,) = shapes
        ndim = self.ndim or max(1, len(shape) - 2)
        if len(shape) < ndim + 1:
            raise ShapeError(f"it takes {_axes(ndim)}, but its input has {len(shape) - 2}")
        *lead, channels = shape[: len(shape) - ndim]
        pairs = zip(self.rules(ndim), shape[len(shape) - ndim :], strict=True)
        sizes = [limits.apply(rule, size) for rule, size in pairs]
        return (*lead, self._open_channels(channels), *sizes)

    def _open_channels(self, channels: Dim) -> Dim:
        """The output channels for input channels that may be symbolic."""
        from convarith.sizes.letters import AxisSize, Unknown

        if isinstance(channels, int):
            return self._channels(channels)
        return channels if isinstance(channels, AxisSize) else Unknown()

    def _asked(self, input_size: int | Sequence[int], output_size: Sequence[int]) -> list[tuple[int, int]]:
        """(input size, requested output size) of every axis, for a layer whose forward accepts an output size."""
        inputs, wanted = self.spatial_size(input_size), shape_of(output_size, "output_size")
        if len(wanted) != len(self.rules(len(inputs))):
            given = counted(len(wanted), "size")
            raise ShapeError(f"output_size {times(wanted)} has {given}, but the input has {len(inputs)}")
        return list(zip(inputs, wanted, strict=True))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        """Why this axis cannot have this size and how to fix it; `least` is the smallest size that is accepted."""
        return f"the input is {size}: it must be at least {least}"

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        batch, channels, spatial = self._split(shape)
        if channels == 0 and (self.empty_channels == "never" or (batch and self.empty_channels == "unbatched")):
            raise ShapeError(f"{self.name} got {times(shape)}: zero channels are not allowed, as in torch")
        return (*batch, self._channels(channels), *self.output_size(spatial))

    def _channels(self, channels: int) -> int:
        """The output channels for input channels."""
        return channels

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        """Split a shape into (batch or nothing, channels, spatial sizes). An open dimension requires a batch."""
        ndim = len(shape) - 2 if self.ndim is None else self.ndim
        if len(shape) == ndim + 2 and ndim > 0:
            return shape[:1], shape[1], shape[2:]
        if len(shape) == ndim + 1 and self.ndim is not None:
            return (), shape[0], shape[1:]
        if self.ndim is None:
            raise ShapeError(f"{self.name} takes (N, C, *spatial), got {times(shape)}; set ndim to allow (C, *spatial)")
        axes = ", ".join(AXIS_NAMES[ndim])
        given = f"{counted(len(shape), 'size')}: {times(shape)}"
        raise ShapeError(f"{self.name} takes (N, C, {axes}) or (C, {axes}), got {given}")

    def inputs_for(self, output_size: int | Sequence[int]) -> tuple[SizeRange, ...]:
        """All input sizes of each axis that give this output size. Raises ShapeError if there are none.

        >>> import convarith as ca
        >>> [str(sizes) for sizes in ca.Conv(kernel_size=3, stride=2).inputs_for((13, 14))]
        ['27..28', '29..30']
        """
        wanted = self.spatial_size(output_size)
        found = []
        for axis, (rule, size) in enumerate(zip(self.rules(len(wanted)), wanted, strict=True)):
            inputs = rule.inputs_for(size)
            if inputs is None:
                where = self._where(axis, len(wanted))
                raise ShapeError(f"{where}: no input gives an output of {size}, as o = {rule.formula()}")
            found.append(inputs)
        return tuple(found)

    def leftover(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """Same as `unread`, but negative if ceil_mode lets the last window extend past the end."""
        return (0,) * len(self.outputs_along(input_size))

    def unread(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """For each axis, how many positions at the end of the padded input no window reads.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=3, stride=2).unread(28)
        (1,)
        """
        return tuple(max(0, left) for left in self.leftover(input_size))

    def with_output(self, input_size: tuple[int, ...], output_size: tuple[int, ...]) -> Self:
        """The same layer, changed to give this output size if the forward of torch's layer accepts one."""
        return self

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """Layers that turn the output size for this input back into the input size; empty if there are none.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=3, stride=2, padding=1).back(28)
        (ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1),)
        """
        return ()

    def letters(self, axis: int) -> dict[str, int]:
        """The letters of the size formula and their values along one axis, without the input size i."""
        raise NotImplementedError(type(self).__name__)

    def formula(self, axis: int = 0, **numbers: int) -> str:
        """The size formula, with the given letters replaced by their numbers.

        >>> import convarith as ca
        >>> conv = ca.Conv(kernel_size=3, stride=2, padding=1)
        >>> conv.formula()
        'floor((i + 2*p - d*(k - 1) - 1)/s) + 1'
        >>> conv.formula(i=28, **conv.letters(0))
        'floor((28 + 2*1 - 1*(3 - 1) - 1)/2) + 1'
        """
        letters = {letter: letter for letter in ("i", *self.letters(axis))}
        written = {letter: str(number) if number >= 0 else f"({number})" for letter, number in numbers.items()}
        return self.formula_text_at(axis).format(**(letters | written))

    def formula_text_at(self, axis: int) -> str:
        """The formula's text along one axis; asymmetric padding, for example, has its own form."""
        return self.formula_text


def _axes(ndim: int) -> str:
    return counted(ndim, "spatial axis", "spatial axes")
