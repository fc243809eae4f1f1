"""Layers that keep the shape: activations, norms, dropout, identity. One table lists their parameters and checks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, Order
from convarith.layers.reads import Reads, Window
from convarith.layers.reshaping import axis_of
from convarith.sizes.normalise import counted, integer, nearest, per_axis, shape_of, times

if TYPE_CHECKING:
    from convarith.sizes.letters import Limits, OpenShape

REQUIRED = object()
"""Marks a parameter without a default in the table."""

Arguments = dict[str, Any]


def _axes(*counts: int) -> Callable[[Arguments, tuple[int, ...]], str | None]:
    """Check that the input has one of these numbers of axes."""

    def check(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) in counts else f"takes {' or '.join(map(str, counts))} axes"

    return check


def _at_least(count: int) -> Callable[[Arguments, tuple[int, ...]], str | None]:
    """Check that the input has at least this many axes."""

    def check(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) >= count else f"takes at least {count} axes"

    return check


def _dim(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
    if arguments["dim"] is not None:
        axis_of(integer(arguments["dim"], "dim"), max(len(shape), 1), "dim")
    return None


def _batch_norm(*counts: int) -> Callable[[Arguments, tuple[int, ...]], str | None]:
    def check(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
        features = arguments["num_features"]
        wrong = _axes(*counts)(arguments, shape)
        if wrong:
            return wrong
        tracked = arguments["track_running_stats"]
        if not tracked and shape[0] * prod(shape[2:]) == 1:
            return "needs more than one value per channel: a single value has no variance"
        checked = features is not None and (arguments["affine"] or tracked) and 0 not in shape
        if checked and shape[1] != features:  # torch does not check an empty input
            return f"expects {counted(features, 'channel')} (num_features), got {shape[1]:,}"
        return None

    return check


def _instance_norm(ndim: int) -> Callable[[Arguments, tuple[int, ...]], str | None]:
    def check(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
        if len(shape) not in (ndim + 1, ndim + 2):
            return f"takes {ndim + 1} or {ndim + 2} axes"
        channels, features = shape[-ndim - 1], arguments["num_features"]
        # torch compares its statistics only with an input that has values
        checked = arguments["affine"] or (arguments["track_running_stats"] and 0 not in shape)
        if features is not None and checked and channels != features:
            return f"expects {counted(features, 'channel')} (num_features), got {channels:,}"
        if arguments["affine"] and len(shape) == ndim + 2 and shape[0] == 0:
            return "does not accept an empty batch"
        if prod(shape[-ndim:]) == 1 and not arguments["track_running_stats"]:
            return "needs more than one position: a single value has no variance"
        return None

    return check


def _group_norm(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
    groups, channels = arguments["num_groups"], arguments["num_channels"]
    if len(shape) < 2:
        return "takes at least 2 axes"
    if shape[1] != channels:
        return f"expects {counted(channels, 'channel')} (num_channels), got {shape[1]:,}"
    if shape[0] * shape[1] // groups * prod(shape[2:]) == 1:
        return "needs more than one value per group: a single value has no variance"
    return None


def _layer_norm(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
    wanted = normalized_sizes(arguments["normalized_shape"])
    if shape[len(shape) - len(wanted) :] == wanted and len(shape) >= len(wanted):
        return None
    return f"expects (..., {', '.join(map(str, wanted))}) (normalized_shape)"


def _prelu(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
    count, channels = arguments["num_parameters"], shape[1] if len(shape) > 1 else 1
    return None if count in (1, channels) else f"expects {counted(count, 'channel')} (num_parameters), got {channels:,}"


def _channel_shuffle(arguments: Arguments, shape: tuple[int, ...]) -> str | None:
    if len(shape) < 3:
        return "takes at least 3 axes"
    groups = arguments["groups"]
    return f"has {counted(shape[1], 'channel')}, not divisible by groups={groups}" if shape[1] % groups else None


def normalized_sizes(value: object) -> tuple[int, ...]:
    """A LayerNorm's normalized_shape as a tuple."""
    sizes = per_axis(value, "normalized_shape")
    return sizes if isinstance(sizes, tuple) else (sizes,)


_NORM = {"num_features": REQUIRED, "eps": 1e-05, "momentum": 0.1, "affine": True, "track_running_stats": True}
BATCH = _NORM | {"bias": True}
SYNC = _NORM | {"process_group": None, "bias": True}
INSTANCE = BATCH | {"affine": False, "track_running_stats": False}
GROUP = {"num_groups": REQUIRED, "num_channels": REQUIRED, "eps": 1e-05, "affine": True, "bias": True}

TABLE: dict[str, tuple[Arguments, Callable[[Arguments, tuple[int, ...]], str | None] | None]] = {
    "Identity": ({}, None),
    "ReLU": ({"inplace": False}, None),
    "ReLU6": ({"inplace": False}, None),
    "LeakyReLU": ({"negative_slope": 0.01, "inplace": False}, None),
    "PReLU": ({"num_parameters": 1, "init": 0.25}, _prelu),
    "RReLU": ({"lower": 1.0 / 8, "upper": 1.0 / 3, "inplace": False}, None),
    "ELU": ({"alpha": 1.0, "inplace": False}, None),
    "CELU": ({"alpha": 1.0, "inplace": False}, None),
    "SELU": ({"inplace": False}, None),
    "GELU": ({"approximate": "none"}, None),
    "SiLU": ({"inplace": False}, None),
    "Mish": ({"inplace": False}, None),
    "Sigmoid": ({}, None),
    "LogSigmoid": ({}, None),
    "Hardsigmoid": ({"inplace": False}, None),
    "Hardswish": ({"inplace": False}, None),
    "Hardtanh": ({"min_val": -1.0, "max_val": 1.0, "inplace": False}, None),
    "Tanh": ({}, None),
    "Tanhshrink": ({}, None),
    "Softplus": ({"beta": 1.0, "threshold": 20.0}, None),
    "Softsign": ({}, None),
    "Softshrink": ({"lambd": 0.5}, None),
    "Hardshrink": ({"lambd": 0.5}, None),
    "Threshold": ({"threshold": REQUIRED, "value": REQUIRED, "inplace": False}, None),
    "Softmax": ({"dim": None}, _dim),
    "LogSoftmax": ({"dim": None}, _dim),
    "Softmin": ({"dim": None}, _dim),
    "Softmax2d": ({}, _axes(3, 4)),
    "Dropout": ({"p": 0.5, "inplace": False}, None),
    "Dropout1d": ({"p": 0.5, "inplace": False}, _axes(2, 3)),
    "Dropout2d": ({"p": 0.5, "inplace": False}, None),
    "Dropout3d": ({"p": 0.5, "inplace": False}, None),
    "AlphaDropout": ({"p": 0.5, "inplace": False}, None),
    "FeatureAlphaDropout": ({"p": 0.5, "inplace": False}, None),
    "BatchNorm1d": (BATCH, _batch_norm(2, 3)),
    "BatchNorm2d": (BATCH, _batch_norm(4)),
    "BatchNorm3d": (BATCH, _batch_norm(5)),
    "SyncBatchNorm": (SYNC, None),
    "InstanceNorm1d": (INSTANCE, _instance_norm(1)),
    "InstanceNorm2d": (INSTANCE, _instance_norm(2)),
    "InstanceNorm3d": (INSTANCE, _instance_norm(3)),
    "GroupNorm": (GROUP, _group_norm),
    "LayerNorm": ({"normalized_shape": REQUIRED, "eps": 1e-05, "elementwise_affine": True, "bias": True}, _layer_norm),
    "RMSNorm": ({"normalized_shape": REQUIRED, "eps": None, "elementwise_affine": True}, _layer_norm),
    "LocalResponseNorm": ({"size": REQUIRED, "alpha": 0.0001, "beta": 0.75, "k": 1.0}, _at_least(3)),
    "ChannelShuffle": ({"groups": REQUIRED}, _channel_shuffle),
}
"""torch's name: (its parameters with their defaults, a check that returns what is wrong with a shape)."""

LEADING = {"num_features", "num_groups", "num_channels", "normalized_shape"}
"""Parameters that torch's repr writes without a name."""


@dataclass(frozen=True, repr=False, init=False)
class Elementwise(Layer):
    """A layer that keeps the shape: an activation, a norm, dropout or Identity, with torch's name and parameters.

    Norms are checked as in evaluation mode, where a batch of one is allowed.

    Raises ParameterError for an unknown name or parameter, ShapeError for a shape that torch rejects.

    >>> import convarith as ca
    >>> norm = ca.Elementwise("BatchNorm2d", num_features=16)
    >>> norm.output_shape((1, 16, 28, 28)), norm.parameter_count, str(norm)
    ((1, 16, 28, 28), 32, 'BatchNorm2d(16)')
    """

    word: str
    values: tuple[tuple[str, Any], ...]

    torch_name: ClassVar[str] = "Elementwise"
    rule_text: ClassVar[str] = "the shape is unchanged"
    keeps_positions: ClassVar[bool] = True

    def __init__(self, word: str = "Identity", **arguments: Any) -> None:
        if word not in TABLE:
            raise ParameterError(f"{word!r} is not a layer that keeps the shape: {nearest(word, TABLE)}")
        defaults, _ = TABLE[word]
        for name in arguments:
            if name not in defaults and word != "Identity":
                raise ParameterError(f"{word} has no parameter {name!r}: {nearest(name, defaults)}")
        missing = [name for name, value in defaults.items() if value is REQUIRED and name not in arguments]
        if missing:
            raise ParameterError(f"{word} needs {' and '.join(missing)}")
        given = {name: _frozen(arguments[name]) for name in defaults if name in arguments}
        object.__setattr__(self, "word", word)
        object.__setattr__(
            self, "values", tuple((name, value) for name, value in given.items() if value != defaults[name])
        )
        self._check()

    def _check(self) -> None:
        """Reject parameters that torch rejects when it builds the layer."""
        given = self.settings
        if "p" in given and not (isinstance(given["p"], (int, float)) and 0 <= given["p"] <= 1):
            raise ParameterError(f"p is {given['p']!r}: a dropout probability must be between 0 and 1")
        for name in ("num_features", "num_groups", "num_channels", "num_parameters", "groups"):
            if given.get(name) is not None and integer(given[name], name) < 1:
                raise ParameterError(f"{name} is {given[name]}: it must be at least 1")
        if "normalized_shape" in given:
            shape_of(normalized_sizes(given["normalized_shape"]), "normalized_shape")
        if "num_groups" in given and given["num_channels"] % given["num_groups"]:
            raise ParameterError(
                f"num_channels {given['num_channels']} is not divisible by num_groups {given['num_groups']}"
            )
        if "min_val" in given and not given["max_val"] > given["min_val"]:
            raise ParameterError(f"max_val {given['max_val']} must be greater than min_val {given['min_val']}")

    @property
    def name(self) -> str:
        """The name of torch's class."""
        return self.word

    @property
    def ndim(self) -> int | None:  # type: ignore[override]
        """The number of spatial axes, if the name of a norm determines it."""
        return int(self.word[-2]) if self.word.startswith(("BatchNorm2", "BatchNorm3", "InstanceNorm")) else None

    @property
    def settings(self) -> Arguments:
        """Every parameter with its value.

        >>> import convarith as ca
        >>> ca.Elementwise("LeakyReLU", negative_slope=0.2).settings
        {'negative_slope': 0.2, 'inplace': False}
        """
        return TABLE[self.word][0] | dict(self.values)

    @property
    def signature(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the parameters in the table."""
        return tuple(TABLE[self.word][0])

    @property
    def leading(self) -> int:  # type: ignore[override]
        """The sizes are written without a name, as in torch."""
        return len(LEADING.intersection(self.signature))

    def arguments(self) -> Iterator[tuple[str, Any]]:
        """The parameters that differ from their defaults."""
        yield from self.values

    @classmethod
    def from_call(cls, name: str, ndim: int | None, arguments: Arguments) -> Self:
        """Build the layer from torch's name and parameters."""
        return cls(name, **arguments)

    def output_size(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """The input size, unchanged."""
        return shape_of((input_size,) if isinstance(input_size, int) else input_size, "input size")

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """Each output reads the input at the same position."""
        return Window()

    def order(self, before: Sequence[Order]) -> Order:
        """The order of the input."""
        return before[0]

    def changed(self, **changes: object) -> Self:
        """A copy of the layer with some parameters changed, by torch's names."""
        return type(self)(self.word, **(dict(self.values) | changes))

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """The input shape; a LayerNorm fixes its last sizes, an InstanceNorm needs more than one position."""
        from convarith.sizes.letters import product

        (shape,) = shapes
        settings = self.settings
        if "normalized_shape" in settings:
            wanted = normalized_sizes(settings["normalized_shape"])
            for size, value in zip(reversed(shape), reversed(wanted), strict=False):
                limits.must_be(size, value)
        elif len(shape) > 1 and isinstance(shape[1], int):
            self.output_shape([each if isinstance(each, int) else 2 for each in shape])
        if self.word.startswith("InstanceNorm") and not settings["track_running_stats"]:
            limits.must_not_be(product(shape[2:]), 1, "it needs more than one position")
        return shape

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        check = TABLE[self.word][1]
        wrong = check(self.settings, shape) if check else None
        if wrong:
            raise ShapeError(f"{self.word} got {times(shape)}: it {wrong}")
        return shape

    @property
    def needs_all_positions(self) -> bool:
        """A norm over positions takes its statistics from all of them."""
        return self.word.startswith(("InstanceNorm", "GroupNorm", "LayerNorm", "RMSNorm", "LocalResponseNorm"))

    @property
    def parameter_count(self) -> int:
        """The scales and shifts of a norm, or the slopes of a PReLU.

        >>> import convarith as ca
        >>> ca.Elementwise("LayerNorm", normalized_shape=(3, 4)).parameter_count
        24
        """
        given = self.settings
        if self.word == "PReLU":
            return int(given["num_parameters"])
        scale_and_shift = 1 + bool(given.get("bias", False))
        if "normalized_shape" in given:
            return (
                prod(normalized_sizes(given["normalized_shape"])) * scale_and_shift * bool(given["elementwise_affine"])
            )
        if "affine" in given:
            channels = given.get("num_features") or given.get("num_channels") or 0
            return channels * scale_and_shift * bool(given["affine"])
        return 0


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
