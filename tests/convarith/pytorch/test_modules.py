"""The bridge to torch.

- from_module(to_module(layer)) is the layer, and to_module gives torch's own class with torch's own settings.
- The module returns the shape that the layer predicts.
- A subclass of a torch module is the same layer unless it defines its own forward; an unrelated class of that name is not.
- A module that is not a single layer has no layer, and a module with two inputs is refused.
- ZeroInsert becomes a module that puts the values where the lecture does.
- A layer whose dimension or channels are open is refused, and the error says what to give.
- Without torch the error says how to install it.
"""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.strategies import Call, calls, torch_calls, zero_inserts

import convarith as ca
from convarith.dependencies import require_torch
from convarith.pytorch import from_module, layer_of, to_module


def comes_back(call: Call) -> bool:
    """torch keeps the size of a norm as a tuple, and drops the bias of a norm without scale."""
    scaled = "elementwise_affine" if call.name == "LayerNorm" else "affine"
    if call.arguments.get(scaled, not call.name.startswith("InstanceNorm")) is False:
        return False
    return not isinstance(call.arguments.get("normalized_shape"), int)


@settings(max_examples=300)
@given(torch_calls.filter(comes_back))
def test_there_and_back(torch: ModuleType, call: Call) -> None:
    module = to_module(call.layer)
    assert type(module).__module__.startswith("torch.nn.modules")
    assert from_module(module) == call.layer


@settings(max_examples=200)
@given(torch_calls)
def test_to_module_is_the_module_of_the_call(torch: ModuleType, call: Call) -> None:
    ours, theirs = to_module(call.layer), getattr(torch.nn, call.name)(**call.arguments)
    assert type(ours) is type(theirs)
    assert from_module(ours) == from_module(theirs)
    assert [tuple(each.shape) for each in ours.parameters()] == [tuple(each.shape) for each in theirs.parameters()]


@settings(max_examples=200)
@given(calls, st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_the_module_gives_the_shape(torch: ModuleType, call: Call, shape: list[int]) -> None:
    layer = call.layer
    assume(not call.name.startswith(("Add", "Concat", "MaxUnpool")) and len(shape) > (layer.ndim or 0))
    assume("track_running_stats" not in call.arguments)
    if "in_channels" in call.arguments and len(shape) > 2:
        shape[1] = call.arguments["in_channels"]
    try:
        output = layer.output_shape(shape)
    except ca.ShapeError:
        assume(False)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = to_module(layer).double().eval()(torch.zeros(shape, dtype=torch.float64))
    assert tuple((values[0] if isinstance(values, tuple) else values).shape) == output


def test_a_subclass_is_its_layer(torch: ModuleType) -> None:
    class Named(torch.nn.Conv2d):
        """A convolution under another name."""

    class Again(Named):
        """And once more."""

    for cls in (Named, Again):
        assert from_module(cls(1, 16, 3, stride=2)) == ca.parse("Conv2d(1, 16, 3, stride=2)")


def test_a_subclass_with_a_forward_of_its_own_is_not_that_layer(torch: ModuleType) -> None:
    class Cropped(torch.nn.Conv2d):
        """A convolution that gives another size."""

        def forward(self, values: Any) -> Any:
            return super().forward(values)[..., 1:]

    assert layer_of(Cropped(1, 16, 3)) is None


def test_a_namesake_is_not_that_layer(torch: ModuleType) -> None:
    class Conv2d(torch.nn.Module):
        """Not torch's."""

        kernel_size, in_channels, out_channels = 3, 1, 1

        def forward(self, values: Any) -> Any:
            return values

    assert layer_of(Conv2d()) is None
    assert not isinstance(from_module(Conv2d()), ca.Conv)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [("Bilinear", (1, 2, 3), "Bilinear takes 2 inputs"), ("PairwiseDistance", (), "PairwiseDistance takes 2 inputs")],
)
def test_unknown_modules_are_refused(torch: ModuleType, name: str, arguments: tuple[int, ...], message: str) -> None:
    module = getattr(torch.nn, name)(*arguments)
    assert layer_of(module) is None
    with pytest.raises(ca.ParameterError, match=message):
        from_module(module)


def test_bed_of_nails_puts_values_where_the_lecture_does(torch: ModuleType) -> None:
    nails = to_module(ca.ZeroInsert(stride=2, ndim=2))(torch.tensor([[[[1, 2], [3, 4]]]]))
    assert nails.tolist() == [[[[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]]]


@given(st.integers(1, 3).flatmap(zero_inserts), st.data())
def test_zero_insert_is_a_transposed_convolution_with_one_tap(
    torch: ModuleType, call: Call, data: st.DataObject
) -> None:
    layer = call.layer
    size = data.draw(st.tuples(*(st.integers(1, 4),) * (layer.ndim or 0)))
    values = torch.rand(1, 1, *size)
    nails = to_module(layer)(values)
    assert tuple(nails.shape) == layer.output_shape((1, 1, *size))
    stride = call.arguments["stride"]
    one = torch.ones(1, 1, *(1,) * len(size))
    up = getattr(torch.nn.functional, f"conv_transpose{layer.ndim}d")(values, one, stride=stride)
    assert torch.equal(nails[(..., *(slice(length) for length in up.shape[2:]))], up)
    assert nails.count_nonzero() == up.count_nonzero()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (ca.MaxPool(kernel_size=2), r"MaxPool\(kernel_size=2\) has no dimension: give ndim, or write it as MaxPool2d"),
        (ca.Conv(kernel_size=3), r"has no dimension: give ndim, or write it as Conv2d\(\.\.\.\)"),
        (ca.Conv(kernel_size=3, ndim=2, out_channels=1), r"Conv2d\(.*\) has no in_channels: a torch module needs both"),
        (ca.Conv(kernel_size=3, ndim=2, in_channels=1), r"Conv2d\(.*\) has no out_channels: a torch module needs both"),
        (ca.Add(), r"torch has no module for Add\(\): write it in the forward method"),
        (ca.Concat(), r"torch has no module for Concat\(\): write it in the forward method"),
    ],
)
def test_what_is_open_is_refused(torch: ModuleType, layer: ca.Layer, message: str) -> None:
    with pytest.raises(ca.ParameterError, match=message):
        to_module(layer)


@pytest.mark.parametrize("ask", [require_torch, lambda: to_module(ca.parse("ReLU()")), lambda: from_module(None)])
def test_without_torch_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, ask: object) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert callable(ask)
    with pytest.raises(
        ca.MissingDependencyError, match=r"^torch is not installed: run  pip install 'convarith\[torch\]'"
    ):
        ask()


@pytest.mark.parametrize("padding", [((1, 2), (3, 0)), ((1, 2), 3), (0, (2, 1)), ((2, 1), (2, 1))])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_padding_that_differs_between_the_sides_is_a_module_of_its_own(
    torch: ModuleType, padding: Any, mode: str
) -> None:
    layer = ca.Conv(kernel_size=3, stride=2, padding=padding, padding_mode=mode, in_channels=2, out_channels=3, ndim=2)
    pad, convolution = to_module(layer)
    for size in ((7, 9), (8, 6)):
        assert tuple(convolution(pad(torch.ones(1, 2, *size))).shape) == layer.output_shape((1, 2, *size))
    sides = [(each, each) if isinstance(each, int) else each for each in padding]
    padded = pad(torch.ones(1, 2, 7, 9))
    assert tuple(padded.shape[2:]) == (7 + sum(sides[0]), 9 + sum(sides[1]))
    assert bool((padded == 1).all()) == (mode == "reflect")
    assert convolution.padding == (0, 0)
    even = ca.Conv(kernel_size=3, padding=(1, 2), in_channels=2, out_channels=3, ndim=2)
    assert isinstance(to_module(even), torch.nn.Conv2d)


def test_a_class_between_is_looked_through(torch: ModuleType) -> None:
    """A subclass of a class of torch that is no layer itself, such as LazyConv2d's own parents."""

    class Mixin:
        """No module."""

    class Mixed(Mixin, torch.nn.Conv2d):
        """A layer with another parent before it."""

    assert layer_of(Mixed(1, 2, 3)) == ca.parse("Conv2d(1, 2, 3)")
    assert str(layer_of(torch.nn.LazyConv2d(2, 3))) == "Conv2d(out_channels=2, kernel_size=3)"
    assert str(layer_of(torch.nn.Unflatten(1, [2, 3]))) == "Unflatten(1, (2, 3))"
    assert str(layer_of(torch.nn.Unflatten(1, torch.Size([2, 3])))) == "Unflatten(1, (2, 3))"
    for bias in (True, False):
        layer = layer_of(torch.nn.Linear(2, 3, bias=bias))
        assert layer is not None
        assert layer.parameter_count == 6 + 3 * bias
