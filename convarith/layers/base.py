"""What every layer answers, and the layers that treat each axis by itself."""

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.layers.reads import Reads, Scattering
from convarith.layers.ways_back import Passage, Way
from convarith.sizes.normalise import Ints, collapse, integer, per_axis, shape_of, times
from convarith.sizes.rules import AxisRule, FloorRule

if TYPE_CHECKING:
    from convarith.sizes.letters import Dim, Limits, OpenShape
    from convarith.sizes.sets import SizeRange

AXIS_NAMES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}

Order = tuple[int, ...] | None
"""Which axis, batch included, stands at each place behind a Permute; None where all stand where torch has them."""


def kind_of(class_name: str) -> str:
    """The word of the command line for a class of layers.

    >>> kind_of("ConvTranspose"), kind_of("LPPool"), kind_of("GLU")
    ('conv-transpose', 'lp-pool', 'glu')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


class Layer:
    """One layer of a network: frozen, and equal to every layer with the same parameters.

    A shape is channels first as in torch: (N, C, *spatial), or (C, *spatial) without a batch.
    """

    kind: ClassVar[str]
    """The layer's word on the command line, made from the name of its class: 'conv-transpose'."""
    torch_name: ClassVar[str]
    """torch's class without the suffix of its dimension: 'ConvTranspose'."""
    rule_text: ClassVar[str] = ""
    """What the layer does to a shape, where no formula of one axis says it."""
    signature: ClassVar[tuple[str, ...]] = ()
    """torch's parameters, in torch's order."""
    leading: ClassVar[int] = 0
    """How many of them torch's repr writes without their names."""
    fields_of: ClassVar[dict[str, str]] = {}
    """The fields of parameters that cannot keep their name, as `output_size` is a method here."""
    dimensions: ClassVar[tuple[int, ...]] = ()
    """The suffixes 1d, 2d, 3d that exist; empty where torch's class has none."""

    title: ClassVar[str] = ""
    """What a picture of the layer is called; empty: its name."""
    combines: ClassVar[str] = "sum"
    """What an output makes of the inputs it reads: their 'sum', 'mean', 'max' or 'norm' (of a power)."""
    keeps_positions: ClassVar[bool] = False
    """Does every output position depend on the same position of its inputs alone?"""
    joins: ClassVar[bool] = False
    """Do branches meet in this layer, position by position?"""
    broadcasts: ClassVar[bool] = True
    """Of a layer with several inputs: may an axis of 1 meet an axis of any size?"""
    keeps_indices: ClassVar[bool] = False
    """Does the layer know where each output came from, as a max pool does for an unpool?"""
    pads_only: ClassVar[bool] = False
    """Does the layer only add or cut positions at the ends?"""
    row_per_tap: ClassVar[bool] = False
    """Does each tap give an output of its own, in place of their sum, as in Unfold?"""
    overlap_side: ClassVar[str] = ""
    """Where its overlap is counted: 'output' for a layer that upsamples, 'gradient' for windows that read inputs."""
    hides_axes: ClassVar[bool] = False
    """Does the layer take inputs of any number of axes, so that it tells nothing about them?"""
    windows_follow_size: ClassVar[bool] = False
    """Do its windows follow from the sizes, so that without them there is no pattern?"""
    searched: ClassVar[dict[str, list[Any]] | None] = None
    """Values that `solve` tries beside the usual ones, by parameter; None for a layer it does not search."""
    forward_arguments: ClassVar[tuple[str, ...]] = ()
    """What torch's forward takes behind the input: 'indices', 'output_size'."""

    ndim: int | None = None
    """Spatial axes; None: as many as the input has."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.kind = kind_of(cls.__name__)

    @property
    def name(self) -> str:
        """The class as torch writes it: 'Conv2d', or 'Conv' while the dimension is open."""
        return self.torch_name if self.ndim is None or not self.dimensions else f"{self.torch_name}{self.ndim}d"

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The spatial output size of a spatial input size."""
        raise ShapeError(f"{self.name} mixes channels with positions: ask for its output_shape")

    def output_shape(self, *shapes: Sequence[int]) -> tuple[int, ...]:
        """The output shape of the input's shape (Add and Concat take several)."""
        return self.joined_shape(*map(shape_of, shapes))

    def joined_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """`output_shape` of shapes that were checked before."""
        if len(shapes) != 1:
            raise ShapeError(f"{self.name} takes one input, got {len(shapes)}")
        return self._shape(shapes[0])

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        raise NotImplementedError(type(self).__name__)

    @property
    def has_matrix(self) -> bool:
        """Is the layer linear, its matrix the product of what its axes read?"""
        return False

    # What the layer reads, and what it does to sizes that are open ---------------------------------------------------

    @property
    def input_ndim(self) -> int | None:
        """Spatial axes of the layer's input; 0 for features, None where it does not tell."""
        return self.ndim

    @property
    def pad_mode(self) -> str:
        """What the layer's padding shows: 'zeros', 'reflect', 'replicate' or 'circular'."""
        return "zeros"

    def output_rank(self, before: int | None) -> int | None:
        """How many axes the output has for an input of so many, the batch included; None where that is open."""
        return before

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Which of `size` inputs each of `output` outputs reads along one of `ndim` axes; None: all of them."""
        return None

    def constant_share(self, axis: int) -> Fraction:
        """What every output is multiplied by along one axis, as an average pool's divisor_override divides it."""
        return Fraction(1)

    def scattering(self, axis: int) -> Scattering | None:
        """What the layer, or its gradient, adds to along one axis (see `overlap_side`); None: no fixed pattern."""
        return None

    @property
    def mixes_positions(self) -> bool:
        """Does the layer leave no position where it was?"""
        return not self.keeps_positions

    @property
    def needs_all_positions(self) -> bool:
        """Does every output depend on all positions, although the layer keeps the shape or gives windows?"""
        return False

    def carried(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """Those of its inputs whose positions the output carries on."""
        return inputs

    def channels_read(
        self, target: int, position: tuple[int, ...], channels: int, out_channels: int
    ) -> Iterator[tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]]:
        """(channel, start of its weight's index, the only tap or None) of what an output of channel `target` reads."""
        yield target, None, None

    def weight_shape(self, ndim: int) -> tuple[int, ...] | None:
        """The shape of the weight as torch has it, open channels counted as one per group; None without a weight."""
        return None

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The output's shape for inputs whose sizes are open, and what the layer refuses, noted in `limits`.

        Raises ShapeError where no input size could be right.
        """
        from convarith.sizes.letters import Unknown  # only a question about every size needs it

        return tuple(Unknown() for _ in shapes[0])

    def order(self, before: Sequence[Order]) -> Order:
        """The order of the axes behind the layer; None where it does not keep the places apart."""
        return None

    def keeps_fields(self, order: Order) -> bool:
        """Does the layer only move positions, each seeing what it saw? `order` is that behind the layer."""
        return False

    # The layer in PyTorch code ----------------------------------------------------------------------------------------

    torch_module: ClassVar[str] = ""
    """The source of a module named `torch_name`, for a layer that torch.nn does not have."""

    def torch_calls(self) -> tuple[str, ...]:
        """The calls that build the layer in PyTorch code, one module after the other.

        Raises ParameterError for a layer that is no module that stands alone.

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
        """The layer as an expression of the tensors it joins; None for a layer that is a module."""
        return None

    # The way back ----------------------------------------------------------------------------------------------------

    def way_back(self, passage: Passage) -> Way | None:
        """Layers from the output back to the input; None where only the two shapes tell what leads back.

        Raises NoWayBackError for a layer that has none, with the change that would give it one.
        """
        return None

    # Numbers ---------------------------------------------------------------------------------------------------------

    @property
    def parameter_count(self) -> int:
        """How many trainable numbers the layer holds."""
        return 0

    def macs(self, *shapes: Sequence[int]) -> int:
        """Multiply-accumulates with a weight, for the whole input shape; 0 for a layer that has no weights."""
        self.output_shape(*shapes)
        return 0

    def default(self, name: str) -> object:
        """The value of a parameter that the text of the layer leaves out; `Parameter.empty` where there is none."""
        return _parameters(type(self))[name]

    def changed(self, **changes: object) -> Self:
        """The layer with other parameters, by the names of its constructor.

        >>> import convarith as ca
        >>> ca.MaxPool(kernel_size=2).changed(ceil_mode=True)
        MaxPool(kernel_size=2, ceil_mode=True)
        """
        given = {name: getattr(self, self.fields_of.get(name, name)) for name in _parameters(type(self))}
        return type(self)(**(given | changes))

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """The parameters that are not their default, in torch's order, as torch takes them."""
        for name in self.signature:
            value = self._short(getattr(self, self.fields_of.get(name, name)))
            if value is not None and value != self._short(self.default(name)):
                yield name, value

    def _short(self, value: object) -> object:
        """One number in place of equal numbers an axis, where the layer's name tells how many axes there are."""
        return collapse(value) if isinstance(value, tuple) and value and isinstance(value[0], (int, float)) else value

    @classmethod
    def from_call(cls, name: str, ndim: int | None, arguments: dict[str, Any]) -> Self:
        """The layer of a call, its arguments by torch's names."""
        return cls(**(arguments if ndim is None or not cls.dimensions else {"ndim": ndim} | arguments))

    def __str__(self) -> str:
        """The layer as a call that `parse` reads back to an equal layer."""
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
    """The parameters of a layer's constructor, with their defaults; worked out once per class."""
    if cls not in _PARAMETERS:
        _PARAMETERS[cls] = {name: each.default for name, each in signature(cls).parameters.items()}
    return _PARAMETERS[cls]


class SpatialLayer(Layer):
    """A layer whose size along one axis depends on the input along that axis alone."""

    formula_text: ClassVar[str]
    """The size formula with a place for each letter, as in '{s}*{i}'."""
    source: ClassVar[str]
    """Where the formula comes from."""
    empty_channels: ClassVar[str] = "never"
    """When torch takes an input of zero channels: 'always', 'never', or 'unbatched' only."""

    never_spread: ClassVar[tuple[str, ...]] = ()
    """Parameters of which torch does not spread a tuple of one over the axes."""
    _converters: ClassVar[dict[str, Callable[[object, str], Any]]] = {}
    """What a parameter's values go through at the door, where that is not `integer`."""

    ndim_matters: ClassVar[bool] = False
    """Does torch's 3-D version refuse what the others take?"""

    mixes_positions: ClassVar[bool] = False
    """Positions keep their order, axis by axis."""

    _rules: tuple[AxisRule, ...]
    _floors: tuple[tuple[int, int, int, int, int], ...] | None
    """The numbers of rules that are a floor and a minimum, for a loop without calls; None where one is more."""

    def _settle(self, *names: str, **limits: int) -> None:
        """Check the per-axis parameters `names` at the door and settle ndim; `limits` gives their least values."""
        values = {name: per_axis(getattr(self, name), name, self._converters.get(name, integer)) for name in names}
        ndim = self.ndim
        if ndim is None:
            lengths = {len(value) for value in values.values() if isinstance(value, tuple)}
            ndim = max(lengths, default=None)
        else:
            ndim = integer(ndim, "ndim")
        if ndim is not None and self.dimensions and ndim not in self.dimensions:
            raise ParameterError(f"{self.torch_name}{ndim}d does not exist: ndim is one of {self.dimensions}")
        for name, value in values.items():
            if ndim is not None:
                value = self._one_an_axis(name, value, ndim)
            for entry in value if isinstance(value, tuple) else (value,):
                if name in limits and isinstance(entry, int) and entry < limits[name]:
                    raise ParameterError(f"{name} is {entry}: it must be at least {limits[name]}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "ndim", ndim)

    def _one_an_axis(self, name: str, value: Any, ndim: int) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            return (value,) * ndim
        if len(value) == 1 and name not in self.never_spread:
            return value * ndim
        if len(value) != ndim:
            raise ParameterError(
                f"{name} has {len(value)} values {value} but {self.torch_name}{ndim}d has "
                f"{_axes(ndim)}: give one value, or one an axis"
            )
        return value

    def _set_rules(self) -> None:
        """Work out each axis's rule once; output_size then only applies it."""
        axes = range(1 if self.ndim is None else self.ndim)
        rules = tuple(self._rule(axis, self.ndim) for axis in axes)
        floors = all(isinstance(rule, FloorRule) and rule[5:] == (None, 1) for rule in rules)
        object.__setattr__(self, "_rules", rules)
        object.__setattr__(self, "_floors", tuple(rule[:5] for rule in rules) if floors else None)

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        """The size rule of one axis; `ndim` is how many the input has, as far as that is known."""
        raise NotImplementedError(type(self).__name__)

    def at(self, name: str, axis: int) -> int:
        """The value of a per-axis parameter at one axis.

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
            raise ShapeError(f"{self.name} has {_axes(self.ndim)}, got {ndim} sizes: give {self.ndim}")
        return self._rules

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The spatial output size of a spatial input size; one int stands for the same size on every axis.

        Raises ShapeError where torch refuses the input.

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
        for (rise, shift, step, offset, minimum), size in zip(floors, input_size):  # noqa: B905 - equally long by now
            if size.__class__ is not int or size < minimum:
                return self._slow_output_size(self.spatial_size(input_size))
            output.append(rise * ((size + shift) // step) + offset)
        return tuple(output)

    def output_rank(self, before: int | None) -> int | None:
        """The spatial axes, channels and a batch."""
        return before if self.ndim is None else self.ndim + 2

    def outputs_along(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """What each axis gives by its own rule: the output size; for an Unfold, how many blocks lie along each axis."""
        return SpatialLayer.output_size(self, input_size)

    def _slow_output_size(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The path of sizes that are refused, and of rules that are more than a floor."""
        output = []
        for axis, (rule, size) in enumerate(zip(self.rules(len(sizes)), sizes, strict=True)):
            result = rule(size)
            if result is None:
                where = self.name if len(sizes) == 1 else f"{self.name}, axis {axis} of {times(sizes)}"
                raise ShapeError(f"{where}: {self._refusal(axis, size, rule.minimum)}")
            output.append(result)
        return tuple(output)

    def spatial_size(self, input_size: object) -> tuple[int, ...]:
        """A size as users write it, one number for every axis; checked."""
        if isinstance(input_size, Sequence):
            return shape_of(input_size, "input size")
        return (integer(input_size, "input size"),) * (self.ndim or 1)

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """Each spatial axis by its rule; channels where they are known."""
        (shape,) = shapes
        ndim = self.ndim or max(1, len(shape) - 2)
        if len(shape) < ndim + 1:
            raise ShapeError(f"it takes {ndim} spatial axes, but {len(shape) - 2} are left")
        *lead, channels = shape[: len(shape) - ndim]
        pairs = zip(self.rules(ndim), shape[len(shape) - ndim :], strict=True)
        sizes = [limits.apply(rule, size) for rule, size in pairs]
        return (*lead, self._open_channels(channels), *sizes)

    def _open_channels(self, channels: "Dim") -> "Dim":
        """Output channels of input channels that may be open."""
        from convarith.sizes.letters import AxisSize, Unknown

        if isinstance(channels, int):
            return self._channels(channels)
        return channels if isinstance(channels, AxisSize) else Unknown()

    def _asked(self, input_size: int | Sequence[int], output_size: Sequence[int]) -> list[tuple[int, int]]:
        """(input, output that is asked for) of every axis, where a layer's forward may be asked for a size."""
        inputs, wanted = self.spatial_size(input_size), shape_of(output_size, "output_size")
        if len(wanted) != len(self.rules(len(inputs))):
            raise ShapeError(f"output_size {times(wanted)} has {len(wanted)} sizes, the input {len(inputs)}")
        return list(zip(inputs, wanted, strict=True))

    def _refusal(self, axis: int, size: int, least: int) -> str:
        """Why this axis cannot have this size, and what would help; `least` is the smallest that is taken."""
        return f"the input is {size}: it must be at least {least}"

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        batch, channels, spatial = self._split(shape)
        if channels == 0 and (self.empty_channels == "never" or (batch and self.empty_channels == "unbatched")):
            raise ShapeError(f"{self.name} got {times(shape)}: zero channels are refused, as torch refuses them")
        return (*batch, self._channels(channels), *self.output_size(spatial))

    def _channels(self, channels: int) -> int:
        """Output channels of input channels."""
        return channels

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        """(batch or nothing, channels, spatial sizes). While the dimension is open, a batch is expected."""
        ndim = len(shape) - 2 if self.ndim is None else self.ndim
        if len(shape) == ndim + 2 and ndim > 0:
            return shape[:1], shape[1], shape[2:]
        if len(shape) == ndim + 1 and self.ndim is not None:
            return (), shape[0], shape[1:]
        if self.ndim is None:
            raise ShapeError(f"{self.name} takes (N, C, *spatial), got {times(shape)}; ndim=1..3 allows (C, *spatial)")
        axes = ", ".join(AXIS_NAMES[ndim])
        raise ShapeError(f"{self.name} takes (N, C, {axes}) or (C, {axes}), got {len(shape)} sizes: {times(shape)}")

    def inputs_for(self, output_size: int | Sequence[int]) -> "tuple[SizeRange, ...]":
        """All input sizes of each axis that give this output size. Raises ShapeError where there are none.

        >>> import convarith as ca
        >>> [str(sizes) for sizes in ca.Conv(kernel_size=3, stride=2).inputs_for((13, 14))]
        ['27..28', '29..30']
        """
        wanted = self.spatial_size(output_size)
        found = []
        for axis, (rule, size) in enumerate(zip(self.rules(len(wanted)), wanted, strict=True)):
            inputs = rule.inputs_for(size)
            if inputs is None:
                where = self.name if len(wanted) == 1 else f"{self.name}, axis {axis}"
                raise ShapeError(f"{where}: no input gives an output of {size}, as o = {rule.formula()}")
            found.append(inputs)
        return tuple(found)

    def leftover(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """As `unread`; negative where ceil_mode lets the last window hang over the end."""
        return (0,) * len(self.outputs_along(input_size))

    def unread(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """How many positions at the end of each padded axis no window reaches; the padding comes last.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=3, stride=2).unread(28)
        (1,)
        """
        return tuple(max(0, left) for left in self.leftover(input_size))

    def with_output(self, input_size: tuple[int, ...], output_size: tuple[int, ...]) -> Self:
        """The layer that gives this output size, where torch's forward may be asked for one."""
        return self

    def back(self, input_size: int | Sequence[int]) -> tuple[Layer, ...]:
        """Layers that lead from this input's output size back to the input size; empty where there are none.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=3, stride=2, padding=1).back(28)
        (ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1),)
        """
        return ()

    def letters(self, axis: int) -> dict[str, int]:
        """The letters of the size formula at one axis, without the input size i."""
        raise NotImplementedError(type(self).__name__)

    def formula(self, axis: int = 0, **numbers: int) -> str:
        """The size formula; each letter that is given stands as its number.

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
        """The formula's text at one axis (a layer may have a form for asymmetric padding, say)."""
        return self.formula_text


def _axes(ndim: int) -> str:
    return "1 spatial axis" if ndim == 1 else f"{ndim} spatial axes"
