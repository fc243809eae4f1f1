"""Shapes of single layers on small cases, compared with torch on the CPU.

- Random calls of every kind of layer, valid or not, give torch's shape or are refused where torch refuses them.
- Small windows along one axis, a sample of all of them, do so too.
- Norms, activations and dropout accept the shapes that torch accepts, of any number of axes and with empty ones.
- Parameters with which torch cannot build a layer are refused.
- Layers with several inputs have the shapes of torch's functions.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from functools import partial
from itertools import product
from math import prod
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.layers.registry import build
from convarith.pytorch.verification import Case, Report, check, grid_cases, ours, random_cases, torchs

SEED = 11


@pytest.fixture(autouse=True)
def _needs_torch(torch: ModuleType) -> Iterator[None]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def compare(cases: Iterator[Case] | list[Case]) -> Report:
    report = Report()
    for case in cases:
        check(case, report, 3)
    assert "\n".join(map(str, report.mismatches)) == ""
    return report


@pytest.mark.parametrize("seed", range(5))
def test_random_layers_have_the_shapes_of_torch(seed: int) -> None:
    report = compare(random_cases(600, SEED + seed))
    assert all(sum(getattr(tally, kind) for tally in report.tallies.values()) > 100 for kind in ("accepted", "refused"))


def test_small_windows_have_the_sizes_of_torch() -> None:
    compare(random.Random(SEED).sample(list(grid_cases()), 1_200))


# Layers that keep the shape ------------------------------------------------------------------------------------------

SHAPES = [(), *((size,) for size in (0, 1, 4)), *product((0, 1, 2), (0, 1, 4))]
SHAPES += [*product((0, 1, 2), (1, 4), (0, 1, 3)), *product((0, 1, 2), (1, 4), (1, 3), (0, 1, 3))]
SHAPES += [*product((0, 2), (1, 4), (1, 3), (1,), (1, 3)), (1, 4, 1, 1, 1), (1, 4, 1, 1, 1, 1)]

NORMS: dict[str, list[dict[str, Any]]] = {
    **{
        f"{name}{ndim}d": [
            {"num_features": 4, "affine": affine, "track_running_stats": tracked}
            for affine, tracked in product((False, True), (False, True))
        ]
        for name, ndim in product(("BatchNorm", "InstanceNorm"), (1, 2, 3))
    },
    "GroupNorm": [{"num_groups": groups, "num_channels": 4} for groups in (1, 2, 4)],
    "LayerNorm": [{"normalized_shape": 3}, {"normalized_shape": (1, 3)}, {"normalized_shape": (4, 1, 3)}],
    "RMSNorm": [{"normalized_shape": 3}, {"normalized_shape": (4, 3)}],
    "PReLU": [{}, {"num_parameters": 4}],
    "Softmax": [{"dim": dim} for dim in (-3, -1, 0, 1, 2)],
    "LogSoftmax": [{"dim": -2}],
    "Softmin": [{"dim": 1}],
    "Softmax2d": [{}],
    "ChannelShuffle": [{"groups": 2}, {"groups": 1}],
    "Dropout1d": [{}],
    "LocalResponseNorm": [{"size": 2}],
    "Identity": [{}],
    "ReLU": [{}],
}


@pytest.mark.parametrize("name", NORMS)
def test_a_layer_that_keeps_the_shape_takes_those_that_torch_takes(name: str) -> None:
    for arguments, shape in product(NORMS[name], SHAPES):
        if name in ("LocalResponseNorm", "ChannelShuffle") and 0 in shape:
            continue  # torch divides by zero in its own code
        case = Case(name, arguments, shape)
        mine, theirs = ours(case), torchs(case)
        assert mine == theirs or (isinstance(mine, str) and isinstance(theirs, str)), f"{case}\n{mine}\n{theirs}"


def refused(make: partial[Any]) -> bool:
    try:
        make()
    except (ca.ConvarithError, RuntimeError, ValueError, TypeError, AssertionError, ZeroDivisionError):
        return True
    return False


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("Dropout", [{"p": p} for p in (-0.1, 0, 0.0, 0.5, 1, 1.0, 1.01)]),
        ("BatchNorm2d", [{"num_features": count} for count in (1, 2)]),
        ("GroupNorm", [{"num_groups": groups, "num_channels": 6} for groups in (1, 2, 3, 4, 5, 6, 7)]),
        ("Hardtanh", [{"min_val": low, "max_val": 1.0} for low in (-1.0, 0.99, 1.0, 2.0)]),
        ("Conv2d", [{"in_channels": i, "out_channels": o, "kernel_size": 1, "groups": g}
                    for i, o, g in product((0, 1, 2, 3, 4), (1, 2, 3, 4), (0, 1, 2, 3))]),
        ("ConvTranspose2d", [{"in_channels": i, "out_channels": o, "kernel_size": 1, "groups": g}
                             for i, o, g in product((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3))]),
        ("Linear", [{"in_features": i, "out_features": o} for i, o in product((-1, 0, 1), (-1, 0, 1))]),
        ("FractionalMaxPool2d", [{"kernel_size": 2, "output_ratio": ratio} for ratio in (-0.5, 0.0, 0.5, 1.0, 1.5)]),
        ("Upsample", [{"scale_factor": 2, "mode": mode, "align_corners": True}
                      for mode in ("linear", "bilinear", "bicubic", "trilinear")]),
    ],
)  # fmt: skip
def test_parameters_are_those_that_torch_takes(torch: ModuleType, name: str, choices: list[dict[str, Any]]) -> None:
    for arguments in choices:
        theirs = refused(partial(getattr(torch.nn, name), **arguments))
        assert refused(partial(build, name, arguments)) == theirs, arguments


@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm3d", "GroupNorm", "PReLU", "ChannelShuffle"])
def test_counts_of_channels_are_at_least_one(name: str) -> None:
    words = {"GroupNorm": "num_groups", "PReLU": "num_parameters", "ChannelShuffle": "groups"}
    word = words.get(name, "num_features")
    given = {"num_channels": 4} if name == "GroupNorm" else {}
    assert build(name, given | {word: 1}) is not None
    for count in (0, -1):
        with pytest.raises(ca.ParameterError, match=f"{word} is {count}: it must be at least 1"):
            build(name, given | {word: count})


def test_parameters_are_counted_as_in_torch(torch: ModuleType) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("PReLU", {"num_parameters": 5}), ("PReLU", {}), ("ReLU", {}), ("LayerNorm", {"normalized_shape": (3, 4)}),
        ("LayerNorm", {"normalized_shape": 3, "bias": False}), ("RMSNorm", {"normalized_shape": (3, 4)}),
        ("LayerNorm", {"normalized_shape": 3, "elementwise_affine": False}),
        ("RMSNorm", {"normalized_shape": 3, "elementwise_affine": False}),
        ("GroupNorm", {"num_groups": 2, "num_channels": 6}),
        ("GroupNorm", {"num_groups": 2, "num_channels": 6, "affine": False}),
        ("InstanceNorm2d", {"num_features": 3}), ("InstanceNorm2d", {"num_features": 3, "affine": True}),
        ("BatchNorm1d", {"num_features": 3}), ("BatchNorm3d", {"num_features": 3, "affine": False}),
        ("Linear", {"in_features": 3, "out_features": 4}),
        ("Linear", {"in_features": 3, "out_features": 4, "bias": False}),
        ("Conv2d", {"in_channels": 4, "out_channels": 6, "kernel_size": (2, 3), "groups": 2}),
        ("Conv1d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "bias": False}),
        ("ConvTranspose3d", {"in_channels": 4, "out_channels": 6, "kernel_size": (2, 3, 1), "groups": 2}),
        ("MaxPool2d", {"kernel_size": 2}),
    ]  # fmt: skip
    for name, arguments in calls:
        module = getattr(torch.nn, name)(**arguments)
        layer = build(name, arguments)
        assert layer.parameter_count == sum(each.numel() for each in module.parameters()), (name, arguments)


@pytest.mark.parametrize("text", ["Conv2d(out_channels=8, kernel_size=3)", "LazyLinear(5)"])
def test_open_channels_cannot_be_counted(text: str) -> None:
    with pytest.raises(ca.ParameterError, match="to count its parameters"):
        _ = ca.parse(text).parameter_count


# Layers with several inputs ------------------------------------------------------------------------------------------


def outcome(make: partial[Any]) -> tuple[int, ...] | None:
    try:
        return tuple(make())
    except (ca.ShapeError, RuntimeError, IndexError):
        return None


def changed(rng: random.Random, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with another size of one axis, or with an axis more or less."""
    at = rng.randrange(len(shape))
    return rng.choice((shape[1:], (2, *shape), (*shape[:at], rng.randint(1, 3), *shape[at + 1 :]), shape))


def test_joining_layers_have_the_shapes_of_torch(torch: ModuleType) -> None:
    rng = random.Random(SEED)
    joined = 0
    for _ in range(800):
        first = tuple(rng.choice((1, 2, 3)) for _ in range(rng.choice((2, 3, 3))))
        shapes = [first, *(changed(rng, first) for _ in range(rng.randint(0, 2)))]
        dim = rng.randint(-4, 3)
        zeros = [torch.zeros(shape) for shape in shapes]
        added, multiplied = zeros[0], zeros[0]
        expected = outcome(partial(torch.broadcast_shapes, *shapes))
        assert outcome(partial(ca.Add().output_shape, *shapes)) == expected
        assert outcome(partial(ca.Multiply().output_shape, *shapes)) == expected
        if expected is not None:
            for one in zeros[1:]:
                added, multiplied = added + one, multiplied * one
            assert tuple(added.shape) == tuple(multiplied.shape) == expected
        cat = outcome(partial(lambda given, axis: torch.cat(given, axis).shape, zeros, dim))
        assert outcome(partial(ca.Concat(dim=dim).output_shape, *shapes)) == cat
        joined += cat is not None and len(shapes) > 1
    assert joined > 80


def test_the_code_of_a_joining_layer_is_what_it_does(torch: ModuleType) -> None:
    a, b = torch.arange(6.0).reshape(1, 2, 3), torch.ones(1, 2, 3) * 2
    expected = {"Add()": a + b, "Multiply()": a * b, "Concat()": torch.cat([a, b], 1)}
    expected["Concat(dim=-1)"] = torch.cat([a, b], -1)
    for text, values in expected.items():
        expression = ca.parse(text).torch_expression(("a", "b"))
        assert expression is not None
        assert torch.equal(eval(expression, {"torch": torch, "a": a, "b": b}), values)


def test_a_size_is_matched_to_the_second_input() -> None:
    match = ca.MatchSize()
    assert match.output_shape((2, 64, 5, 6), (1, 32, 7, 8)) == (2, 64, 7, 8)
    assert match.carried(("one", "other")) == ("one",)
    for shapes in (((1, 2, 3),), ((1, 2, 3), (1, 2, 3, 4)), ((1, 2, 3),) * 3):
        with pytest.raises(ca.ShapeError, match="takes two inputs with the same number of axes"):
            match.output_shape(*shapes)
    with pytest.raises(ca.ParameterError, match="cannot be a module on its own: it takes two inputs"):
        match.torch_calls()


@pytest.mark.parametrize("text", ["Add()", "Multiply()", "Concat()"])
def test_a_join_needs_an_input(text: str) -> None:
    with pytest.raises(ca.ShapeError, match=f"{text[:-2]} takes at least one input"):
        ca.parse(text).output_shape()
    assert ca.parse(text).output_shape((1, 2, 3)) == (1, 2, 3)


@pytest.mark.parametrize("text", ["Add()", "Multiply()", "Concat()", "ReLU()", "BatchNorm2d(3)"])
def test_a_layer_that_keeps_positions_keeps_the_size(text: str) -> None:
    layer = ca.parse(text)
    assert layer.output_size(28) == (28,)
    assert layer.output_size((28, 0)) == (28, 0)
    with pytest.raises(ca.ShapeError, match="input size -1 has a negative size"):
        layer.output_size((-1,))


def test_the_weights_meet_the_whole_input() -> None:
    assert ca.parse("ReLU()").macs((3, 4, 5)) == 0
    assert ca.parse("Conv2d(2, 4, 3, groups=2)").macs((7, 2, 5, 6)) == 7 * (3 * 4) * 4 * 1 * 9
    assert ca.parse("ConvTranspose2d(2, 4, 3, groups=2)").macs((7, 2, 5, 6)) == 7 * (5 * 6) * 2 * 2 * 9
    assert ca.parse("Linear(5, 3)").macs((7, 2, 5)) == prod((7, 2)) * 15
    with pytest.raises(ca.ShapeError, match="MaxPool2d takes one input, got 2"):
        ca.parse("MaxPool2d(2)").macs((1, 4, 4), (1, 4, 4))
