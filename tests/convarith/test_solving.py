"""The inverse questions that `solve` answers.

- Every solution turns the input size into the output size, checked by counting windows one by one.
- The list is complete: it has every set of parameters within the bounds that works, except for parameters without
  effect (the dilation of a single tap, a ceil_mode that adds no window). The stride of a pool may also be its kernel.
- `even` says whether a transposed convolution of ones is constant inside.
- `unread` is the number of positions after the last window.
- The simplest come first: undilated before dilated, then the fewest parameters to write; known layers are found.
- The inputs of an output are exactly those that give it.
- Sizes that differ between axes are solved axis by axis.
- Invalid questions raise errors that say how to fix them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.strategies import size_calls, sizes

import convarith as ca
from convarith.layers.base import SpatialLayer
from convarith.sizes.rules import hits_evenly
from convarith.solving import BOUNDS, Solution, searchable_kinds, solve

PARAMETERS = {
    "conv": ("kernel_size", "stride", "padding", "dilation"),
    "conv-transpose": ("kernel_size", "stride", "padding", "output_padding", "dilation"),
    "max-pool": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg-pool": ("kernel_size", "stride", "padding", "ceil_mode"),
    "lp-pool": ("kernel_size", "stride", "ceil_mode"),
    "max-unpool": ("kernel_size", "stride", "padding"),
}
"""The parameters that are searched for each kind."""

BOUND = {"kernel_size": (1, 7), "stride": (1, 4), "padding": (0, 3), "dilation": (1, 2), "output_padding": (0, 3)}
small = st.integers(1, 30)
kinds = st.sampled_from(sorted(PARAMETERS))


def windows(i: int, k: int, s: int, p: int, d: int, ceil: bool) -> list[int]:
    """The starts of the windows in the padded input."""
    span, end, starts, start = d * (k - 1) + 1, i + 2 * p, [], 0
    while start + span <= end or (ceil and start - s + span < end and start < i + p):
        starts.append(start)
        start += s
    return starts


def length(kind: str, i: int, values: dict[str, Any]) -> int | None:
    """The output size by counting; None for an invalid layer."""
    k, s, p, d, extra = (
        int(values.get(name, default))
        for name, default in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0))
    )
    if kind == "conv-transpose":
        if extra >= s and extra >= d:
            return None
        taps = {position * s + tap * d for position in range(i) for tap in range(k)}
        return max(taps) + 1 - 2 * p + extra
    if kind == "max-unpool":
        return (i - 1) * s + k - 2 * p
    if "pool" in kind and 2 * p > k:
        return None
    return len(windows(i, k, s, p, d, values.get("ceil_mode", False)))


def does_nothing(kind: str, i: int, values: dict[str, Any]) -> bool:
    if values["kernel_size"] == 1 and values.get("dilation", 1) > 1:
        return True
    ceil = values.get("ceil_mode", False)
    return bool(ceil) and length(kind, i, values) == length(kind, i, {**values, "ceil_mode": False})


def within_bounds(kind: str) -> Iterator[dict[str, Any]]:
    names = PARAMETERS[kind]
    bounds = {**BOUND, "ceil_mode": (False, True)}
    if "pool" in kind:
        bounds["stride"] = bounds["kernel_size"]
    for values in product(*(range(low, high + 1) for low, high in (bounds[name] for name in names))):
        found = dict(zip(names, values, strict=True))
        found |= {name: bool(value) for name, value in found.items() if name == "ceil_mode"}
        if found["stride"] <= BOUND["stride"][1] or found["stride"] == found["kernel_size"]:
            yield found


def values_of(kind: str, layer: SpatialLayer, axis: int = 0) -> dict[str, Any]:
    return {name: getattr(layer, name) if name == "ceil_mode" else layer.at(name, axis) for name in PARAMETERS[kind]}


def test_the_bounds_are_the_documented_ones() -> None:
    assert BOUND == BOUNDS
    assert set(PARAMETERS) == set(searchable_kinds())


@settings(max_examples=40)
@given(kinds, small, small)
def test_solutions_are_right_and_complete(kind: str, size: int, wanted: int) -> None:
    found = [values_of(kind, solution.layer) for solution in solve(kind, input_size=size, output_size=wanted)]
    expected = [
        values
        for values in within_bounds(kind)
        if length(kind, size, values) == wanted and not does_nothing(kind, size, values)
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


@settings(max_examples=40)
@given(kinds, st.tuples(small, small), st.data())
def test_fixed_and_bounded_parameters(kind: str, size: tuple[int, int], data: st.DataObject) -> None:
    names = st.sampled_from([name for name in PARAMETERS[kind] if name != "ceil_mode"])
    fixed, bounded = data.draw(st.lists(names, min_size=2, max_size=2, unique=True))
    value = data.draw(st.integers(*BOUND[fixed]))
    low = data.draw(st.integers(*BOUND[bounded]))
    high = data.draw(st.integers(low, BOUND[bounded][1]))
    narrowed = solve(kind, input_size=size[0], output_size=size[1], **{fixed: value, bounded: (low, high)})
    everything = solve(kind, input_size=size[0], output_size=size[1])
    assert [str(solution.layer) for solution in narrowed] == [
        str(solution.layer)
        for solution in everything
        if solution.layer.at(fixed, 0) == value and low <= solution.layer.at(bounded, 0) <= high
    ]


@settings(max_examples=30)
@given(st.sampled_from(("conv", "conv-transpose")), small, small)
def test_solutions_are_right_in_torch(torch: ModuleType, kind: str, size: int, wanted: int) -> None:
    for solution in solve(kind, input_size=size, output_size=wanted)[:20]:
        numbers = values_of(kind, solution.layer)
        make = torch.nn.Conv1d if kind == "conv" else torch.nn.ConvTranspose1d
        with torch.no_grad():
            assert make(1, 1, **numbers)(torch.zeros(1, 1, size)).shape[-1] == wanted


@settings(max_examples=40)
@given(kinds, small, small)
def test_unread_of_a_solution(kind: str, size: int, wanted: int) -> None:
    for solution in solve(kind, input_size=size, output_size=wanted)[:30]:
        values = values_of(kind, solution.layer)
        padding, left = values.get("padding", 0), 0
        if kind in ("conv", "max-pool", "avg-pool", "lp-pool"):
            k, s, d = values["kernel_size"], values["stride"], values.get("dilation", 1)
            starts = windows(size, k, s, padding, d, values.get("ceil_mode", False))
            left = max(0, size + 2 * padding - (starts[-1] + d * (k - 1) + 1))
        assert solution.unread == (left,)


# Even overlap --------------------------------------------------------------------------------------------------------


def is_even_inside(torch: ModuleType, kernel: int, stride: int, dilation: int) -> bool:
    """Is a transposed convolution of ones constant inside, away from the ends of the input?"""
    span = dilation * (kernel - 1)
    n = 2 * stride + span // stride + 4
    ones = torch.ones(1, 1, n, dtype=torch.float64), torch.ones(1, 1, kernel, dtype=torch.float64)
    counts = torch.nn.functional.conv_transpose1d(*ones, stride=stride, dilation=dilation)[0, 0]
    inside = counts[span : stride * (n - 1) + 1]
    assert len(inside) >= 2 * stride
    return len(set(inside.tolist())) == 1


def test_even_matches_torch(torch: ModuleType) -> None:
    table = {(k, s, d): is_even_inside(torch, k, s, d) for k, s, d in product(range(1, 10), range(1, 7), range(1, 5))}
    assert {numbers: hits_evenly(*numbers) for numbers in table} == table
    assert len(set(table.values())) == 2


@settings(max_examples=25)
@given(kinds, small, small)
def test_even_of_a_solution(torch: ModuleType, kind: str, size: int, wanted: int) -> None:
    for solution in solve(kind, input_size=size, output_size=wanted)[:30]:
        values = values_of(kind, solution.layer)
        numbers = values["kernel_size"], values["stride"], values.get("dilation", 1)
        assert solution.even == is_even_inside(torch, *numbers)


# The order -----------------------------------------------------------------------------------------------------------


def written(solution: Solution) -> int:
    """The number of parameters in the layer's text, except for the norm_type of an LPPool."""
    return len([name for name, _ in solution.layer.arguments() if name != "norm_type"])


@settings(max_examples=40)
@given(kinds, small, small)
def test_the_simplest_come_first(kind: str, size: int, wanted: int) -> None:
    solutions = solve(kind, input_size=size, output_size=wanted)
    keys = []
    for solution in solutions:
        values = values_of(kind, solution.layer)
        gaps = values["stride"] > values["kernel_size"]
        keys.append((values.get("dilation", 1) > 1, gaps, written(solution)))
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("kind", "sizes", "bounds", "layer"),
    [
        ("conv", (32, 28), {}, "Conv(kernel_size=5)"),
        ("conv", (28, 28), {"kernel_size": 3}, "Conv(kernel_size=3, padding=1)"),
        ("conv", (28, 14), {"kernel_size": 3}, "Conv(kernel_size=3, stride=2, padding=1)"),
        ("conv", (224, 112), {"kernel_size": 7, "stride": 2}, "Conv(kernel_size=7, stride=2, padding=3)"),
        ("conv", (224, 14), {"kernel_size": 16, "stride": 16}, "Conv(kernel_size=16, stride=16)"),
        ("conv", (227, 55), {"kernel_size": 11}, "Conv(kernel_size=11, stride=4)"),
        ("max-pool", (28, 14), {}, "MaxPool(kernel_size=2)"),
        ("max-pool", (112, 56), {"kernel_size": 3, "padding": 1}, "MaxPool(kernel_size=3, stride=2, padding=1)"),
        ("max-pool", (7, 4), {"kernel_size": 2}, "MaxPool(kernel_size=2, ceil_mode=True)"),
        ("avg-pool", (7, 1), {"kernel_size": 7, "stride": 7}, "AvgPool(kernel_size=7)"),
        ("conv-transpose", (1, 4), {"kernel_size": 4}, "ConvTranspose(kernel_size=4)"),
        ("conv-transpose", (4, 8), {"kernel_size": 4}, "ConvTranspose(kernel_size=4, stride=2, padding=1)"),
        ("conv-transpose", (7, 14), {"kernel_size": 3, "stride": 2, "padding": 1},
         "ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1)"),
        ("conv-transpose", (572 // 2, 572), {}, "ConvTranspose(kernel_size=2, stride=2)"),
        ("max-unpool", (14, 28), {}, "MaxUnpool(kernel_size=2)"),
    ],
    ids=[
        "LeNet C1", "VGG", "sutd autoencoder", "ResNet stem", "ViT patches", "AlexNet", "VGG pool", "ResNet pool",
        "last pool rounds up", "ResNet last pool", "DCGAN first", "DCGAN", "sutd decoder", "U-Net up", "DeconvNet",
    ],
)  # fmt: skip
def test_known_layers_come_first(kind: str, sizes: tuple[int, int], bounds: dict[str, Any], layer: str) -> None:
    first, *_ = solve(kind, input_size=sizes[0], output_size=sizes[1], **bounds)
    assert str(first.layer) == layer


# Inputs --------------------------------------------------------------------------------------------------------------


@given(size_calls(2), sizes)
def test_inputs_of_an_output_are_exactly_those_that_give_it(call: Any, size: int) -> None:
    layer: SpatialLayer = call.layer
    try:
        output = layer.output_size((size, size))
    except ca.ShapeError:
        assume(False)
    ranges = ca.solve(layer, output_size=output)
    assert all(size in inputs for inputs in ranges)
    for other in range(60):
        try:
            forward: tuple[int | None, ...] = layer.output_size((other, other))
        except ca.ShapeError:
            forward = tuple(rule(other) for rule in layer.rules(2))
        assert [other in inputs for inputs in ranges] == [one == two for one, two in zip(forward, output, strict=True)]


def test_published_inputs() -> None:
    conv = ca.Conv(kernel_size=3, stride=2)
    assert [str(inputs) for inputs in ca.solve(conv, output_size=14)] == ["29..30"]
    assert [str(inputs) for inputs in ca.solve(conv, output_size=(14, 15))] == ["29..30", "31..32"]
    assert [str(inputs) for inputs in ca.solve(ca.AdaptiveAvgPool(output_size=7), output_size=7)] == ["every size >= 1"]


# Several axes --------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(kinds, st.tuples(small, small), st.tuples(small, small))
def test_each_axis_of_a_solution_is_right(kind: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    for solution in solve(kind, input_size=size, output_size=wanted)[:30]:
        assert solution.layer.ndim == 2
        for axis in (0, 1):
            assert length(kind, size[axis], values_of(kind, solution.layer, axis)) == wanted[axis]


def test_one_set_of_parameters_for_both_axes_is_preferred() -> None:
    solutions = solve("conv", input_size=(28, 30), output_size=(14, 15))
    assert str(solutions[0].layer) == "Conv2d(kernel_size=2, stride=2)"
    assert {solution.layer.at("stride", 0) for solution in solutions} == {2}
    assert all(solution.layer.at("kernel_size", 0) == solution.layer.at("kernel_size", 1) for solution in solutions)


def test_axes_differ_if_necessary() -> None:
    solutions = solve("conv", input_size=(28, 28), output_size=(14, 28))
    assert solutions
    assert all(solution.layer.at("stride", 0) != solution.layer.at("stride", 1) for solution in solutions)


def test_no_solution_is_an_empty_list() -> None:
    assert solve("conv", input_size=5, output_size=50) == []
    assert solve("max-pool", input_size=(8, 8), output_size=(4, 30)) == []


# Refusals ------------------------------------------------------------------------------------------------------------


SIZES = {"input_size": 3, "output_size": 3}


@pytest.mark.parametrize(
    ("kind", "question", "error", "message"),
    [
        ("cnov", SIZES, ca.ParameterError, "cannot search parameters of 'cnov': did you mean 'conv'"),
        ("linear", SIZES, ca.ParameterError, "cannot search parameters of 'linear': choose from conv, conv-transpose"),
        ("conv", {"output_size": 3}, ca.ParameterError, "'conv' alone is not enough: give an input size"),
        (
            "conv",
            SIZES | {"output_size": (3, 3)},
            ca.ShapeError,
            "the input 3 and the output 3x3 have different numbers of axes",
        ),
        ("conv", {"input_size": (1,) * 4, "output_size": (1,) * 4}, ca.ShapeError, "1 to 3 spatial axes, got 4"),
        ("conv", SIZES | {"input_size": (-1,)}, ca.ShapeError, "size -1 has a negative size: sizes must be at least 0"),
        ("conv", SIZES | {"input_size": 3.0}, ca.ParameterError, r"size must be an integer, got 3\.0"),
        ("conv", SIZES | {"strid": 2}, ca.ParameterError, "conv has no parameter 'strid' .*did you mean 'stride'"),
        ("avg-pool", SIZES | {"dilation": 2}, ca.ParameterError, "avg-pool has no parameter 'dilation' to search"),
        ("conv", SIZES | {"stride": (3, 1)}, ca.ParameterError, "stride from 3 to 1 is empty"),
        ("conv", SIZES | {"stride": (1, 2, 3)}, ca.ParameterError, "stride takes one value, or a pair"),
        ("conv", SIZES | {"kernel_size": (1, 10**30)}, ca.ParameterError, "is too wide to search"),
        ("conv", SIZES | {"kernel_size": (1, 10**6)}, ca.ParameterError, "more than 2,000,000: narrow them"),
    ],
)
def test_invalid_questions(kind: str, question: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        solve(kind, **question)


@pytest.mark.parametrize(
    ("layer", "question", "error", "message"),
    [
        ("ConvTranspose2d(1, 1, 3, stride=2)", {}, ca.ShapeError, "no input gives an output of 8, as o = "),
        ("Conv2d(1, 1, 3)", {"output_size": (1, 2, 3)}, ca.ShapeError, "Conv2d has 2 spatial axes, got 3 sizes"),
        (
            "Conv2d(1, 1, 3)",
            {"input_size": 5},
            ca.ParameterError,
            r"already has its parameters: give its kind \('conv'\)",
        ),
        ("Conv2d(1, 1, 3)", {"stride": 5}, ca.ParameterError, r"already has its parameters: give its kind \('conv'\)"),
        ("Linear(3, 4)", {}, ca.ShapeError, "Linear mixes channels with positions: it has no size to solve for"),
        ("ReLU()", {}, ca.ShapeError, "ReLU mixes channels with positions: it has no size to solve for"),
    ],
)
def test_layers_without_an_answer(layer: str, question: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        solve(ca.parse(layer), **({"output_size": 8} | question))


# One axis among several ----------------------------------------------------------------------------------------------


def test_axes_are_solved_from_the_simplest_of_each() -> None:
    """Six choices per axis that differs; axes of the same sizes get the same parameters."""
    solutions = solve("conv", input_size=(28, 28, 28), output_size=(14, 28, 14))
    assert len(solutions) == 36
    for solution in solutions:
        layer = solution.layer
        assert [layer.at(name, 0) for name in BOUNDS if hasattr(layer, name)] == [
            layer.at(name, 2) for name in BOUNDS if hasattr(layer, name)
        ]
    by_axis = [solve("conv", input_size=28, output_size=size) for size in (14, 28)]
    kept = [{repr(values_of("conv", one.layer)) for one in found[:6]} for found in by_axis]
    assert {repr(values_of("conv", solution.layer, 0)) for solution in solutions} == kept[0]
    assert {repr(values_of("conv", solution.layer, 1)) for solution in solutions} == kept[1]


def test_all_axes_round_the_same_way() -> None:
    solutions = solve("max-pool", input_size=(7, 9), output_size=(4, 3), dilation=1, padding=0)
    assert {solution.layer.at("stride", 0) for solution in solutions} == {1, 2}
    for solution in solutions:
        assert solution.layer.output_size((7, 9)) == (4, 3)


def test_a_pool_of_three_axes_is_at_least_as_large_as_its_kernel() -> None:
    """torch's 3-D average pools do not count the padding, so that some solutions of an axis are none of the layer."""
    assert any(found.layer.at("kernel_size", 0) > 2 for found in solve("avg-pool", input_size=2, output_size=1))
    found = solve("avg-pool", input_size=(2, 2, 2), output_size=(1, 1, 1))
    assert found
    assert all(solution.layer.at("kernel_size", 0) <= 2 for solution in found)


@pytest.mark.parametrize(
    ("kind", "sizes", "bounds", "layers"),
    [
        ("conv", (5, 3), {"dilation": (1, 2), "kernel_size": (2, 3), "stride": 1, "padding": (0, 1)},
         ["Conv(kernel_size=3)", "Conv(kernel_size=2, dilation=2)", "Conv(kernel_size=3, padding=1, dilation=2)"]),
        ("conv", (6, 3), {"kernel_size": (1, 3), "stride": 2, "padding": (0, 1), "dilation": 1},
         ["Conv(kernel_size=2, stride=2)", "Conv(kernel_size=3, stride=2, padding=1)", "Conv(kernel_size=1, stride=2)"]),
        ("conv-transpose", (3, 6), {"kernel_size": (2, 4), "stride": 2, "dilation": 1},
         ["ConvTranspose(kernel_size=2, stride=2)", "ConvTranspose(kernel_size=4, stride=2, padding=1)",
          "ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1)"]),
    ],
)  # fmt: skip
def test_the_order_in_full(kind: str, sizes: tuple[int, int], bounds: dict[str, Any], layers: list[str]) -> None:
    found = solve(kind, input_size=sizes[0], output_size=sizes[1], **bounds)
    assert [str(solution.layer) for solution in found] == layers


def test_evenness_of_several_axes_is_that_of_all() -> None:
    found = solve("conv-transpose", input_size=(3, 3), output_size=(6, 9), stride=(2, 3), dilation=1)
    assert {solution.even for solution in found} == {False, True}
    for solution in found:
        kernels, strides = ([solution.layer.at(name, axis) for axis in (0, 1)] for name in ("kernel_size", "stride"))
        assert solution.even == all(not kernel % stride for kernel, stride in zip(kernels, strides, strict=True))
    assert all(solution.unread == (0, 0) for solution in found)


def test_bounds_may_be_one_value() -> None:
    one = solve("conv", input_size=28, output_size=14, kernel_size=(3, 3), stride=2)
    assert one == solve("conv", input_size=28, output_size=14, kernel_size=3, stride=2)
    assert solve("conv", input_size=(28,), output_size=[14], kernel_size=3)[0].layer.ndim is None
    with pytest.raises(ca.ShapeError, match="1 to 3 spatial axes, got 0"):
        solve("conv", input_size=(), output_size=())


def test_the_stride_of_a_pool_may_be_its_kernel() -> None:
    found = solve("max-pool", input_size=21, output_size=3, padding=0, dilation=1, ceil_mode=False)
    assert "MaxPool(kernel_size=7)" in {str(solution.layer) for solution in found}
    assert len({str(solution.layer) for solution in found}) == len(found)
