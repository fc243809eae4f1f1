"""Sizes of a single layer.

- The output size of a layer with a window is the number of windows that fit, counted one by one; zero is an error.
- ceil_mode adds windows until one reaches the end, and drops the last one if it starts after the input.
- The output of a transposed layer is the range its taps reach, cropped by the padding, plus output_padding.
- `unread` is the number of positions after the last one that a window reads.
- inputs_for(o) is the set of inputs that give o; it raises if there are none.
- The formula with numbers, the formula with letters and the short rule all evaluate to the size in Python.
- A rule with any numbers, even ones that no layer has, matches its definition forwards, backwards and as text.
- Sizes of 10**18 are exact: the last window fits, and one more would not.
- back(i) turns the output back into size i, in integers and through torch's modules.
- Asymmetric padding is equal to F.pad followed by the convolution, value for value; 'same' is such a padding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import floor, prod
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.strategies import (
    Call,
    Window,
    asymmetric_convs,
    at,
    avg_pools,
    blocks,
    conv_transposes,
    convs,
    floor_rules,
    huge_sizes,
    lp_pools,
    max_pools,
    size_calls,
    sizes,
    upsamples,
    window_calls,
    windows,
)

import convarith as ca
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.window import WindowLayer
from convarith.sizes.rules import FloorRule

pools = st.sampled_from((max_pools, avg_pools, lp_pools)).flatmap(lambda make: make(2))


def starts_that_fit(size: int, window: Window) -> list[int]:
    """The starts of the windows that fit in the padded input, which begins at -before."""
    span = window.dilation * (window.kernel - 1) + 1
    return [
        start
        for start in range(-window.before, size + window.after, window.stride)
        if start + span <= size + window.after
    ]


def starts_rounded_up(size: int, window: Window) -> list[int]:
    """The starts with ceil_mode: windows until one reaches the end, without the last if it starts after the input."""
    span, end = window.dilation * (window.kernel - 1) + 1, size + window.after
    starts, start = [], -window.before
    while start - window.stride + span < end:
        starts.append(start)
        start += window.stride
    return [start for start in starts if start < size]


def touched(starts: Iterable[int], window: Window) -> set[int]:
    return {start + tap * window.dilation for start in starts for tap in range(window.kernel)}


def window_of(call: Call, axis: int) -> Window:
    """The window of a call along one axis, computed from its arguments only."""
    numbers = call.arguments
    kernel, dilation = at(numbers["kernel_size"], axis), at(numbers.get("dilation", 1), axis)
    stride = at(numbers.get("stride", kernel if "Pool" in call.name else 1), axis)
    padding = numbers.get("padding", 0)
    if padding == "same":
        before = dilation * (kernel - 1) // 2
        return Window(kernel, stride, before, dilation * (kernel - 1) - before, dilation)
    side = 0 if padding == "valid" else at(padding, axis)
    return Window(kernel, stride, side, side, dilation)


def starts_of(call: Call, axis: int, size: int) -> list[int]:
    rounded_up = call.arguments.get("ceil_mode", False)
    return (starts_rounded_up if rounded_up else starts_that_fit)(size, window_of(call, axis))


def output_or_none(layer: SpatialLayer, size: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return layer.output_size(size)
    except ca.ShapeError:
        return None


def spatial(call: Call) -> SpatialLayer:
    layer = call.layer
    assert isinstance(layer, SpatialLayer)
    return layer


# Counted one by one --------------------------------------------------------------------------------------------------


@given(windows(), sizes)
def test_a_convolution_counts_its_windows(window: Window, size: int) -> None:
    conv = ca.Conv(
        kernel_size=window.kernel, stride=window.stride, padding=((window.before, window.after),),
        dilation=window.dilation,
    )  # fmt: skip
    count = len(starts_that_fit(size, window))
    assert output_or_none(conv, (size,)) == ((count,) if count else None)


@given(st.one_of(convs(2), pools), st.tuples(sizes, sizes))
def test_output_size_is_the_number_of_windows(call: Call, size: tuple[int, int]) -> None:
    assume(call.arguments.get("padding_mode") in (None, "zeros"))
    counts = tuple(len(starts_of(call, axis, size[axis])) for axis in (0, 1))
    assert output_or_none(spatial(call), size) == (counts if all(counts) else None)


@given(blocks(), st.tuples(sizes, sizes))
def test_unfold_and_fold_count_blocks(call: Call, size: tuple[int, int]) -> None:
    layer: Any = call.layer
    if call.name == "Fold":
        size = (at(call.arguments["output_size"], 0), at(call.arguments["output_size"], 1))
    count = prod(len(starts_of(call, axis, size[axis])) for axis in (0, 1))
    assume(count)
    assert (layer.columns if call.name == "Fold" else layer.output_size(size)[0]) == count


@given(conv_transposes(1), st.integers(1, 12))
def test_a_transposed_convolution_reaches_as_far_as_its_taps(call: Call, size: int) -> None:
    numbers = {name: at(value, 0) for name, value in call.arguments.items()}
    reached = {
        position * numbers["stride"] + tap * numbers["dilation"]
        for position in range(size)
        for tap in range(numbers["kernel_size"])
    }
    length = max(reached) + 1 - 2 * numbers.get("padding", 0) + numbers["output_padding"]
    assert output_or_none(spatial(call), (size,)) == ((length,) if length > 0 else None)


@given(st.one_of(convs(2), pools), st.tuples(sizes, sizes))
def test_unread_counts_positions_after_the_last_window(call: Call, size: tuple[int, int]) -> None:
    layer = spatial(call)
    assert isinstance(layer, WindowLayer)
    assume(output_or_none(layer, size))
    for axis in (0, 1):
        window = window_of(call, axis)
        last = max(touched(starts_of(call, axis, size[axis]), window))
        assert layer.unread(size)[axis] == max(0, size[axis] + window.after - 1 - last)


# Backwards -----------------------------------------------------------------------------------------------------------


@given(size_calls(1, 2, 3), st.integers(0, 40))
def test_inputs_for_is_the_set_of_inputs_that_give_an_output(call: Call, wanted: int) -> None:
    layer = spatial(call)
    axes = range(layer.ndim or 1)
    outputs = {i: output_or_none(layer, (i,) * len(axes)) for i in range(60)}
    for axis, rule in zip(axes, layer.rules(len(axes)), strict=True):
        found = rule.inputs_for(wanted)
        scanned = {i for i in range(60) if rule(i) == wanted}
        assert {i for i in range(60) if found is not None and i in found} == scanned
        assert all(output is None or output[axis] == rule(i) for i, output in outputs.items())


@given(size_calls(1, 2, 3), sizes)
def test_all_inputs_of_an_output_give_it(call: Call, size: int) -> None:
    layer = spatial(call)
    output = output_or_none(layer, (size,) * (layer.ndim or 1))
    assume(output is not None and all(output))
    assert output is not None
    for axis, inputs in enumerate(layer.inputs_for(output)):
        assert size in inputs
        ends = [end for end in (inputs.first, inputs.last) if end is not None]
        for end in ends:
            assert layer.rules()[axis](end) == output[axis]
        step = inputs.step
        assert layer.rules()[axis](inputs.first - step) != output[axis]
        assert inputs.last is None or layer.rules()[axis](inputs.last + step) != output[axis]


@pytest.mark.parametrize(
    ("layer", "output", "message"),
    [
        (ca.ConvTranspose(kernel_size=3, stride=2), 8, r"no input gives an output of 8, as o = 2\*i \+ 1"),
        (ca.Conv(kernel_size=3), 0, r"no input gives an output of 0, as o = i - 2"),
        (ca.AdaptiveAvgPool(output_size=7), 8, r"no input gives an output of 8, as o = 7"),
        (ca.Upsample(scale_factor=2.5), 4, r"no input gives an output of 4, as o = floor\(i\*2\.5\)"),
        (ca.PixelShuffle(upscale_factor=2), 5, r"H: no input gives an output of 5, as o = 2\*i"),
        (ca.Unfold(kernel_size=2), 4, "many input sizes give the same number"),
        (ca.Fold(output_size=4, kernel_size=2), 5, "always gives 4x4"),
    ],
)
def test_an_output_without_inputs_is_an_error(layer: SpatialLayer, output: int, message: str) -> None:
    with pytest.raises(ca.ShapeError, match=message):
        layer.inputs_for(output)


# Formulas ------------------------------------------------------------------------------------------------------------


def evaluate(formula: str, **numbers: int) -> int:
    value = eval(formula, {"__builtins__": {}, "floor": floor, "min": min}, dict(numbers))
    assert value == int(value)
    return int(value)


@given(size_calls(1, 2, 3), sizes)
def test_formulas_evaluate_to_the_size(call: Call, size: int) -> None:
    layer = spatial(call)
    output = output_or_none(layer, (size,) * (layer.ndim or 1))
    assume(output is not None)
    assert output is not None
    for axis, rule in enumerate(layer.rules(layer.ndim)):
        letters = layer.letters(axis)
        assert evaluate(layer.formula(axis, i=size, **letters)) == output[axis]
        assert evaluate(layer.formula(axis), i=size, **letters) == output[axis]
        assert evaluate(rule.formula(), i=size) == output[axis]
        assert evaluate(rule.formula("height"), height=size) == output[axis]


@given(blocks(), st.integers(8, 30))
def test_formulas_of_blocks_multiply_to_the_columns(call: Call, size: int) -> None:
    layer: Any = call.layer
    target = at(call.arguments.get("output_size", size), 0), at(call.arguments.get("output_size", size), 1)
    columns = prod(evaluate(layer.formula(axis, i=target[axis], **layer.letters(axis))) for axis in (0, 1))
    assert columns == (layer.columns if call.name == "Fold" else layer.output_size(size)[0])


# Rules -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(floor_rules, st.integers(-30, 80))
def test_a_rule_matches_its_definition(rule: FloorRule, wanted: int) -> None:
    taken = [
        i
        for i in range(80)
        if i >= rule.minimum and (rule.maximum is None or i <= rule.maximum) and i % rule.multiple_of == 0
    ]
    outputs = {i: floor(Fraction(i + rule.shift, rule.step)) * rule.rise + rule.offset for i in taken}
    assert {i: rule(i) for i in range(80) if rule(i) is not None} == outputs
    assert all(evaluate(rule.formula(), i=i) == output for i, output in outputs.items())
    found = rule.inputs_for(wanted)
    assert [i for i in range(80) if found is not None and i in found] == [i for i in taken if outputs[i] == wanted]
    assert found is None or found.first in taken or found.first >= 80
    assert found is None or found.last is None or found.last in taken or found.last >= 80


# Large sizes ---------------------------------------------------------------------------------------------------------


@given(windows(), huge_sizes)
def test_huge_convolutions_are_exact(window: Window, size: int) -> None:
    conv = ca.Conv(
        kernel_size=window.kernel, stride=window.stride, padding=((window.before, window.after),),
        dilation=window.dilation,
    )  # fmt: skip
    (count,) = conv.output_size(size)
    span, padded = window.dilation * (window.kernel - 1) + 1, size + window.before + window.after
    assert (count - 1) * window.stride + span <= padded < count * window.stride + span
    (inputs,) = conv.inputs_for(count)
    assert size in inputs
    assert inputs.count == window.stride


@given(conv_transposes(2), huge_sizes)
def test_huge_transposed_convolutions_are_exact(call: Call, size: int) -> None:
    near = spatial(call).output_size(100)
    far = spatial(call).output_size(100 + size)
    assert far == tuple(one + size * at(call.arguments["stride"], axis) for axis, one in enumerate(near))


@given(pools, huge_sizes)
def test_huge_pools_are_exact(call: Call, size: int) -> None:
    strides = [window_of(call, axis).stride for axis in (0, 1)]
    period = prod(strides)
    near = spatial(call).output_size(100 + size % period)
    far = spatial(call).output_size(100 + size)
    rises = [(size - size % period) // stride for stride in strides]
    assert far == tuple(one + rise for one, rise in zip(near, rises, strict=True))


# The way back --------------------------------------------------------------------------------------------------------

unfolds = blocks().filter(lambda call: call.name == "Unfold")
layers_with_a_way_back = st.one_of(window_calls(1, 2, 3), st.integers(1, 3).flatmap(conv_transposes), unfolds)


def sized(layer: Layer, size: tuple[int, ...]) -> tuple[int, ...]:
    return layer.output_size(size)


@given(layers_with_a_way_back, st.lists(sizes, min_size=3, max_size=3))
def test_back_restores_the_size(call: Call, lengths: list[int]) -> None:
    layer = spatial(call)
    size = tuple(lengths[: layer.ndim])
    output = output_or_none(layer, size)
    assume(output is not None)
    assert output is not None
    steps = layer.back(size)
    assert steps
    for step in steps:
        output = sized(step, output)
    assert output == size


@given(st.one_of(size_calls(1, 2, 3), upsamples()), st.integers(6, 20))
def test_every_way_back_restores_the_size(call: Call, length: int) -> None:
    layer = spatial(call)
    size = (length,) * (layer.ndim or 1)
    output = output_or_none(layer, size)
    assume(output is not None and all(output))
    assert output is not None
    steps = layer.back(size)
    assume(steps)
    for step in steps:
        output = sized(step, output)
    assert output == size


@settings(max_examples=150)
@given(st.one_of(window_calls(1, 2), st.integers(1, 2).flatmap(conv_transposes)), st.tuples(sizes, sizes))
def test_back_restores_the_size_in_torch(torch: ModuleType, call: Call, lengths: tuple[int, int]) -> None:
    layer = spatial(call)
    channels = call.arguments.get("in_channels", 2)
    shape = (1, channels, *lengths[: layer.ndim])
    output = output_or_none(layer, shape[2:])
    assume(output is not None)
    with torch.no_grad():
        values = ca.pytorch.to_module(layer).double()(torch.ones(shape, dtype=torch.float64))
        values = values[0] if isinstance(values, tuple) else values
        for step in layer.back(shape[2:]):
            if isinstance(step, ca.ConvTranspose) and step.in_channels is None:
                step = replace(step, in_channels=channels, out_channels=channels)
            values = ca.pytorch.to_module(step).double()(values)
    assert tuple(values.shape) == shape


@pytest.mark.parametrize(
    ("call", "size"),
    [
        ("MaxPool1d(2, ceil_mode=True)", 7),
        ("MaxPool1d(3, stride=2, padding=1, ceil_mode=True)", 8),
        ("Conv1d(2, 2, 4, padding='same')", 7),
        ("Conv1d(2, 2, 2, padding='same', dilation=3)", 9),
        ("ConvTranspose1d(2, 2, 3, stride=2, dilation=4, output_padding=3)", 5),
        ("ConvTranspose1d(2, 2, 3, stride=1, dilation=3, output_padding=2)", 5),
        ("Conv1d(2, 2, 3, stride=7)", 20),
    ],
)
def test_difficult_ways_back(torch: ModuleType, call: str, size: int) -> None:
    layer = ca.parse(call)
    assert isinstance(layer, SpatialLayer)
    values = ca.pytorch.to_module(layer)(torch.ones(1, 2, size))
    for step in layer.back(size):
        if isinstance(step, ca.ConvTranspose) and step.in_channels is None:
            step = replace(step, in_channels=2, out_channels=2)
        values = ca.pytorch.to_module(step)(values)
    assert tuple(values.shape) == (1, 2, size)


@given(asymmetric_convs(1), sizes)
def test_back_of_an_asymmetric_convolution_restores_the_size_in_torch(
    torch: ModuleType, conv: tuple[dict[str, Any], Window], size: int
) -> None:
    layer = asymmetric(*conv)
    assume(output_or_none(layer, (size,)))
    with torch.no_grad():
        values = ca.pytorch.to_module(layer)(torch.ones(1, layer.in_channels or 0, size))
        for step in layer.back(size):
            values = ca.pytorch.to_module(step)(values)
    assert tuple(values.shape) == (1, layer.in_channels, size)


# Asymmetric padding --------------------------------------------------------------------------------------------------


def asymmetric(parameters: dict[str, Any], window: Window) -> ca.Conv:
    ndim = parameters["ndim"]
    return ca.Conv(
        kernel_size=window.kernel, stride=window.stride, dilation=window.dilation,
        padding=((window.before, window.after),) * ndim, **parameters,
    )  # fmt: skip


@given(st.integers(1, 2).flatmap(asymmetric_convs), st.integers(1, 12))
def test_asymmetric_padding_is_pad_then_convolution(
    torch: ModuleType, conv: tuple[dict[str, Any], Window], size: int
) -> None:
    parameters, window = conv
    layer, functional = asymmetric(parameters, window), torch.nn.functional
    ndim, mode = parameters["ndim"], parameters["padding_mode"]
    shape = (2, parameters["in_channels"], *(size,) * ndim)
    values = torch.arange(prod(shape), dtype=torch.float64).reshape(shape)
    module = ca.pytorch.to_module(layer).double()
    convolution = module[-1] if isinstance(module, torch.nn.Sequential) else module
    with torch.no_grad():
        try:
            padded = functional.pad(
                values, (window.before, window.after) * ndim, mode="constant" if mode == "zeros" else mode
            )
            expected = getattr(functional, f"conv{ndim}d")(
                padded, convolution.weight, convolution.bias, window.stride, 0, window.dilation,
                parameters.get("groups", 1),
            )  # fmt: skip
        except RuntimeError:
            with pytest.raises(ca.ShapeError):
                layer.output_shape(shape)
            return
        assert layer.output_shape(shape) == tuple(expected.shape)
        assert torch.equal(module(values), expected)


@given(st.integers(1, 6), st.integers(1, 3), sizes)
def test_same_padding_is_asymmetric_padding(torch: ModuleType, kernel: int, dilation: int, size: int) -> None:
    same = ca.Conv(kernel_size=kernel, dilation=dilation, padding="same", in_channels=1, out_channels=1, ndim=1)
    assert same.output_size(size) == (size,)
    module = ca.pytorch.to_module(same).double()
    values = torch.arange(size, dtype=torch.float64).reshape(1, 1, size)
    with torch.no_grad():
        padded = torch.nn.functional.pad(values, same.pads(0))
        expected = torch.nn.functional.conv1d(padded, module.weight, module.bias, dilation=dilation)
        assert torch.equal(module(values), expected)
