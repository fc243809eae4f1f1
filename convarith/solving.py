"""Inverse questions: which inputs give an output, and which parameters turn one size into another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, overload

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.registry import KINDS, class_of_kind
from convarith.sizes.normalise import integer, nearest, shape_of, times
from convarith.sizes.rules import hits_evenly
from convarith.sizes.sets import SizeRange

BOUNDS = {
    "kernel_size": (1, 7), "stride": (1, 4), "padding": (0, 3), "dilation": (1, 2), "output_padding": (0, 3),
}  # fmt: skip
"""The smallest and largest value to search for each parameter, unless the call gives others."""

MOST_CANDIDATES = 2_000_000


@dataclass(frozen=True, slots=True)
class Solution:
    """A layer that turns the input size into the output size.

    Attributes:
        layer: the layer; its dimension stays open if a single size was given.
        even: does the transposed layer hit every inner position equally often, so that it makes no checkerboard?
        unread: for each axis, how many positions at the end of the padded input it never reads.
    """

    layer: SpatialLayer
    even: bool
    unread: tuple[int, ...]


@overload
def solve(layer: Layer, *, output_size: int | Sequence[int]) -> tuple[SizeRange, ...]: ...
@overload
def solve(
    layer: str, *, input_size: int | Sequence[int], output_size: int | Sequence[int], **parameters: Any
) -> list[Solution]: ...
def solve(
    layer: Layer | str,
    *,
    input_size: int | Sequence[int] | None = None,
    output_size: int | Sequence[int],
    **parameters: Any,
) -> tuple[SizeRange, ...] | list[Solution]:
    """Find input sizes for an output, or layers between two sizes.

    Given a layer, returns the input sizes of each axis that give `output_size`. Given a kind such as "conv" and both
    sizes, returns the layers that turn one into the other, simplest first. A parameter may be fixed (`stride=2`) or
    bounded (`stride=(1, 3)`); the others are searched within BOUNDS, and the stride of a pool may also be its kernel.

    Raises ShapeError if no input gives the output, ParameterError for an unknown kind or parameter.

    >>> import convarith as ca
    >>> [str(sizes) for sizes in ca.solve(ca.Conv(kernel_size=3, stride=2), output_size=(14,))]
    ['29..30']
    >>> [str(found.layer) for found in ca.solve("conv", input_size=28, output_size=14)[:2]]
    ['Conv(kernel_size=2, stride=2)', 'Conv(kernel_size=4, stride=2, padding=1)']
    """
    if isinstance(layer, Layer):
        if input_size is not None or parameters:
            remedy = f"give its kind ({layer.kind!r}) to search for others"
            raise ParameterError(f"{layer} already has its parameters: {remedy}")
        if not isinstance(layer, SpatialLayer):
            raise ShapeError(f"{layer.name} mixes channels with positions: it has no size to solve for")
        return layer.inputs_for(output_size)
    if input_size is None:
        raise ParameterError(f"{layer!r} alone is not enough: give an input size, or a layer with parameters")
    return find(layer, _sizes(input_size), _sizes(output_size), **parameters)


def _sizes(size: int | Sequence[int]) -> tuple[int, ...]:
    return (integer(size, "size"),) if not isinstance(size, Sequence) else shape_of(size, "size")


def find(kind: str, input_size: tuple[int, ...], output_size: tuple[int, ...], **parameters: Any) -> list[Solution]:
    """The layers of a kind that turn the input size into the output size, simplest first.

    Parameters that work for all axes are preferred; the axes differ only if there are none.

    >>> [str(found.layer) for found in find("max-pool", (7, 7), (4, 4), kernel_size=2, dilation=1)]
    ['MaxPool2d(kernel_size=2, ceil_mode=True)', 'MaxPool2d(kernel_size=2, padding=1)']
    """
    if kind not in KINDS or class_of_kind(kind).searched is None:
        raise ParameterError(f"cannot search parameters of {kind!r}: {nearest(kind, searchable_kinds())}")
    if len(input_size) != len(output_size):
        both = f"the input {times(input_size)} and the output {times(output_size)}"
        raise ShapeError(f"{both} have different numbers of axes")
    if not 1 <= len(input_size) <= 3:
        raise ShapeError(f"layers have 1 to 3 spatial axes, got {len(input_size)}: {times(input_size)}")
    axes = searched_values(kind, parameters)
    count = prod(len(values) for values in axes.values())
    if count > MOST_CANDIDATES:
        raise ParameterError(f"the bounds allow {count:,} layers, more than {MOST_CANDIDATES:,}: narrow them")
    together = list(dict.fromkeys(zip(input_size, output_size, strict=True)))
    by_pair = [list(_candidates(kind, axes, i, o)) for i, o in together]
    shared = [values for values in by_pair[0] if all(values in others for others in map(set, by_pair[1:]))]
    ndim = len(input_size)
    if shared or len(together) == 1:
        layers = [_layer(kind, tuple(axes), (values,) * ndim) for values in shared]
    else:
        place = [together.index(pair) for pair in zip(input_size, output_size, strict=True)]
        best = [sorted(found, key=lambda v: _simplicity(_layer(kind, tuple(axes), (v,)), (i,)))[:6]
                for found, (i, _) in zip(by_pair, together, strict=True)]  # fmt: skip
        choices = (tuple(choice[at] for at in place) for choice in product(*best))
        layers = [_layer(kind, tuple(axes), choice) for choice in choices if _one_rounding(tuple(axes), choice)]
    layers = [layer for layer in layers if _leads(layer, input_size, output_size)]
    layers.sort(key=lambda layer: _simplicity(layer, input_size))
    return [Solution(layer, _even(layer), layer.unread(input_size)) for layer in layers]


def searchable_kinds() -> tuple[str, ...]:
    """The kinds whose parameters can be searched for.

    >>> searchable_kinds()
    ('conv', 'conv-transpose', 'max-pool', 'avg-pool', 'lp-pool', 'max-unpool')
    """
    return tuple(kind for kind in KINDS if class_of_kind(kind).searched is not None)


def searched_values(kind: str, parameters: dict[str, Any]) -> dict[str, list[Any]]:
    """The values to search for each parameter of a kind, from BOUNDS and from the parameters that the call gave.

    A pool's stride of None stands for its kernel size.

    >>> searched_values("max-unpool", {"kernel_size": (2, 3), "stride": 2})
    {'kernel_size': [2, 3], 'stride': [2], 'padding': [0, 1, 2, 3]}
    >>> searched_values("lp-pool", {"kernel_size": 7})["stride"]
    [1, 2, 3, 4, None]
    """
    layer_class = class_of_kind(kind)
    signature = layer_class.signature
    axes: dict[str, list[Any]] = {
        name: list(range(low, high + 1)) for name, (low, high) in BOUNDS.items() if name in signature
    }
    if getattr(layer_class, "stride", 1) is None:
        axes["stride"].append(None)
    axes |= layer_class.searched or {}
    for name, value in parameters.items():
        if name not in axes:
            raise ParameterError(f"{kind} has no parameter {name!r} to search: {nearest(name, axes)}")
        if isinstance(value, (tuple, list)):
            if len(value) != 2:
                raise ParameterError(f"{name} takes one value, or a pair (smallest, largest), got {value!r}")
            low, high = (integer(entry, name) for entry in value)
            if not 0 <= high - low <= MOST_CANDIDATES:
                wrong = "empty" if high < low else "too wide to search"
                raise ParameterError(f"{name} from {low} to {high} is {wrong}: give (smallest, largest)")
            axes[name] = list(range(low, high + 1))
        else:
            axes[name] = [value]
    return axes


def _candidates(kind: str, axes: dict[str, list[Any]], i: int, o: int) -> Iterator[tuple[Any, ...]]:
    """The parameter values that turn the size i of one axis into o."""
    for values in product(*axes.values()):
        if None in values:
            kernel = values[list(axes).index("kernel_size")]
            if kernel in axes["stride"]:
                continue
            values = tuple(kernel if value is None else value for value in values)
        try:
            layer = _layer(kind, tuple(axes), (values,))
        except ParameterError:
            continue
        if layer.rules()[0](i) == o and not _idle(layer, i):
            yield values


def _idle(layer: SpatialLayer, i: int) -> bool:
    """Does some parameter differ from its default without any effect? Then a simpler layer does the same."""
    if layer.at("kernel_size", 0) == 1 and getattr(layer, "dilation", 1) != 1:
        return True
    return getattr(layer, "ceil_mode", False) and layer.leftover(i)[0] >= 0


def _layer(kind: str, names: tuple[str, ...], per_axis: tuple[tuple[Any, ...], ...]) -> SpatialLayer:
    arguments: dict[str, Any] = {}
    for name, values in zip(names, zip(*per_axis, strict=True), strict=True):
        arguments[name] = values[0] if name in ("ceil_mode", "norm_type") else values
    if len(per_axis) == 1:  # a single size: the dimension stays open
        arguments = {name: value[0] if isinstance(value, tuple) else value for name, value in arguments.items()}
    layer = class_of_kind(kind)(**arguments)
    assert isinstance(layer, SpatialLayer)
    return layer


def _leads(layer: SpatialLayer, input_size: tuple[int, ...], output_size: tuple[int, ...]) -> bool:
    """Does the whole layer give the output? torch's 3-D average pools reject sizes that each axis alone accepts."""
    try:
        return layer.output_size(input_size) == output_size
    except ShapeError:
        return False


def _one_rounding(names: tuple[str, ...], choice: tuple[tuple[Any, ...], ...]) -> bool:
    """Do all axes have the same ceil_mode? A layer has only one."""
    return "ceil_mode" not in names or len({values[names.index("ceil_mode")] for values in choice}) == 1


def _even(layer: SpatialLayer) -> bool:
    axes = range(layer.ndim or 1)
    dilated = hasattr(layer, "dilation")
    return all(
        hits_evenly(
            layer.at("kernel_size", axis), layer.at("stride", axis), layer.at("dilation", axis) if dilated else 1
        )
        for axis in axes
    )


def _simplicity(layer: SpatialLayer, input_size: tuple[int, ...]) -> tuple[int, ...]:
    """The order of solutions: few parameters to write, nothing left unread, an even overlap, small numbers."""
    given = dict(layer.arguments())
    axes = range(layer.ndim or 1)
    return (
        "dilation" in given,
        any(layer.at("stride", axis) > layer.at("kernel_size", axis) for axis in axes),
        len(given) - ("norm_type" in given),
        any(layer.unread(input_size)),
        not _even(layer),
        *(sum(layer.at(name, axis) for axis in axes)
          for name in ("dilation", "output_padding", "padding", "kernel_size") if hasattr(layer, name)),
    )  # fmt: skip
