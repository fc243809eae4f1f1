"""The laws of overlap. The oracle is torch, run on ones, or a loop that hits every position one by one.

For one layer in 1-D to 3-D, with borders, dilation, output_padding and asymmetric padding:

- The counts of a transposed convolution are the output of torch's layer for ones, with all weights set to one.
- The counts of a convolution or pool are the gradient of its input, summed over all windows, for every padding mode.
- Evenness, holes and period are exactly those of the counts of a large input; borders are exactly as wide as stated.
- Fold and Unfold hit the same positions as torch's; the shares of an average pool are torch's gradient.
- The map of all positions is the outer product of the counts of each axis.

For a stack:

- The counts are torch's; the pattern, its period and the verdict are those of the counts of a large input.
- The Fourier transform of the pattern has exactly the frequencies that are added and not removed.

For branches, in addition to the laws of a stack: they are even exactly if random factors of the branches leave no
pattern.

Examples: the facts from the lectures; a layer or network without a pattern is refused with a remedy.
"""

from __future__ import annotations

import random
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import product
from math import gcd, prod
from types import ModuleType
from typing import Any

import pytest
from support.random_windows import random_transposed

import convarith as ca
from convarith.checkerboards.grid import Grid
from convarith.checkerboards.overlap import Overlap
from convarith.layers.base import Layer
from convarith.layers.registry import build

pytestmark = pytest.mark.slow

STACKS = 10
"""One random stack for this many random layers: --random-overlaps 50000 tries 5000 stacks."""


def hits(kernel: int, stride: int, dilation: int, inputs: int) -> list[int]:
    """The uncropped counts of a transposed convolution along one axis, counting hit by hit."""
    counts = [0] * (stride * (inputs - 1) + dilation * (kernel - 1) + 1)
    for at, tap in product(range(inputs), range(kernel)):
        counts[stride * at + dilation * tap] += 1
    return counts


def smallest_period(values: list[int]) -> int:
    return next(step for step in range(1, len(values) + 1) if values[step:] == values[:-step])


def random_reading(rng: random.Random, ndim: int) -> Layer:
    def axes(low: int, high: int) -> Any:
        return tuple(rng.randint(low, high) for _ in range(ndim))

    kind = rng.choice(("conv", "conv", "pair", "avg", "max"))
    given: dict[str, Any] = {"kernel_size": axes(1, 5), "stride": axes(1, 4), "ndim": ndim}
    while True:
        try:
            if kind == "avg":
                return ca.AvgPool(**given, padding=rng.randint(0, 2), ceil_mode=rng.random() < 0.5)
            if kind == "max":
                return ca.MaxPool(**given, padding=rng.randint(0, 2), dilation=axes(1, 3), ceil_mode=rng.random() < 0.5)
            mode = "zeros" if kind == "pair" else rng.choice(("zeros", "zeros", "reflect", "replicate", "circular"))
            pads: Any = tuple((rng.randint(0, 3), rng.randint(0, 3)) for _ in range(ndim))
            return ca.Conv(
                **given, dilation=axes(1, 3), padding=pads if kind == "pair" else axes(0, 3), padding_mode=mode
            )
        except ca.ParameterError:
            given["kernel_size"] = axes(1, 5)


def ones_through(torch: ModuleType, layers: tuple[Layer, ...], sizes: tuple[int, ...], channels: int = 1) -> Any:
    """The output of torch's layers for ones, with all weights set to one."""
    values = torch.ones(1, channels, *sizes, dtype=torch.float64)
    with torch.no_grad():
        for layer in layers:
            module = ca.pytorch.to_module(layer).double()
            for name, parameter in module.named_parameters():
                torch.nn.init.constant_(parameter, 0 if name == "bias" else 1)
            values = module(values)
    return values


def outer(torch: ModuleType, found: Overlap) -> Any:
    assert found.counts is not None
    values = torch.ones((), dtype=torch.float64)
    for counts in found.counts:
        values = values[..., None] * torch.tensor(counts, dtype=torch.float64)
    return values


def windows(layer: Any, size: int, axis: int) -> list[int]:
    """How many windows read each input along one axis, counted window by window."""
    (before, after), mode = layer.pads(axis), getattr(layer, "padding_mode", "zeros")
    places: list[int | None] = list(range(size))
    for at in range(1, before + 1):
        places.insert(0, {"reflect": at, "replicate": 0, "circular": (-at) % size}.get(mode))
    for at in range(after):
        places.append({"reflect": size - 2 - at, "replicate": size - 1, "circular": at % size}.get(mode))
    counts = [0] * size
    kernel, stride, dilation = (layer.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
    outputs = layer.rules(layer.ndim)[axis](size)
    for window, tap in product(range(outputs), range(kernel)):
        at = window * stride + tap * dilation
        place = places[at] if at < len(places) else None  # in ceil_mode, a window may reach beyond the end
        if place is not None:
            counts[place] += 1
    return counts


def test_counts_are_torchs(torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(0), 0
    while seen < random_overlaps:
        ndim = rng.choice((1, 1, 2, 2, 3))
        layer = random_transposed(rng, ndim)
        sizes = tuple(rng.randint(1, {1: 20, 2: 8, 3: 4}[ndim]) for _ in range(ndim))
        try:
            layer.output_size(sizes)
        except ca.ShapeError:
            continue
        found = ca.overlap(layer, sizes)
        assert torch.equal(ones_through(torch, (layer,), sizes)[0, 0], outer(torch, found)), (layer, sizes)
        seen += 1


def test_max_min_and_single_counts_are_those_of_the_outer_product(torch: ModuleType) -> None:
    rng = random.Random(1)
    for _ in range(100):
        layer = random_transposed(rng, 2)
        sizes = (rng.randint(11, 15), rng.randint(11, 15))
        found = ca.overlap(layer, sizes)
        values = outer(torch, found)
        place = tuple(rng.randrange(size) for size in values.shape)
        assert (found.max, found.min, found.count(place)) == (values.max(), values.min(), values[place])
        assert found.side == "output"


def test_windows_that_read_an_input(random_overlaps: int) -> None:
    rng, seen = random.Random(2), 0
    while seen < random_overlaps:
        ndim = rng.choice((1, 1, 2, 3))
        layer: Any = random_reading(rng, ndim)
        sizes = tuple(rng.randint(1, 20) for _ in range(ndim))
        try:
            layer.output_size(sizes)
        except ca.ShapeError:
            continue
        found = ca.overlap(layer, sizes)
        assert found.side == "gradient"
        expected = tuple(tuple(windows(layer, size, axis)) for axis, size in enumerate(sizes))
        assert found.counts == expected, (layer, sizes)
        assert found.missed == tuple(tuple(at for at, count in enumerate(axis) if not count) for axis in expected)
        seen += 1


def test_the_gradient_of_a_convolution_is_torchs(torch: ModuleType) -> None:
    rng, seen = random.Random(3), 0
    while seen < 200:
        conv: Any = random_reading(rng, 2)
        if conv.kind != "conv" or any(before != after for before, after in map(conv.pads, range(2))):
            continue
        conv = ca.parse(
            str(
                ca.Conv(
                    **{
                        name: getattr(conv, name)
                        for name in ("kernel_size", "stride", "padding", "dilation", "padding_mode", "ndim")
                    },
                    in_channels=1,
                    out_channels=1,
                )
            )
        )
        sizes = (rng.randint(4, 15), rng.randint(4, 15))
        values = torch.ones(1, 1, *sizes, dtype=torch.float64, requires_grad=True)
        module = ca.pytorch.to_module(conv).double()
        torch.nn.init.ones_(module.weight)
        try:
            conv.output_size(sizes)
        except ca.ShapeError:
            continue
        module(values).sum().backward()
        assert torch.equal(values.grad[0, 0], outer(torch, ca.overlap(conv, sizes))), (conv, sizes)
        seen += 1


@pytest.mark.parametrize("dilation", range(1, 7))
def test_even_holes_period_and_border_are_exact(dilation: int) -> None:
    for kernel, stride in product(range(1, 10), range(1, 9)):
        inputs = 2 * kernel * dilation + 6 * stride
        counts = hits(kernel, stride, dilation, inputs)
        reach = dilation * (kernel - 1)
        inside = counts[reach : stride * (inputs - 1) + 1]
        for padding in range(4):
            found = ca.overlap(ca.ConvTranspose(kernel_size=kernel, stride=stride, dilation=dilation, padding=padding))
            assert found.even == (len(set(inside)) == 1)
            assert found.holes == (0 in inside)
            assert found.hole_fraction == 1 - Fraction(sum(map(bool, found.interior[0])), found.period[0])
            period = smallest_period(inside)
            assert found.period == (period,)
            ((left, right),), (pattern,) = found.border, found.interior
            shown = counts[padding : len(counts) - padding]
            differ = [at for at, count in enumerate(shown) if count != pattern[at % period]]
            lefts, rights = (
                [at for at in differ if at < len(shown) // 2],
                [at for at in differ if at >= len(shown) // 2],
            )
            assert left == (lefts[-1] + 1 if lefts else 0)
            assert right == (len(shown) - rights[0] if rights else 0)


def test_the_border_of_a_given_input_is_exact(random_overlaps: int) -> None:
    rng, seen = random.Random(4), 0
    while seen < random_overlaps:
        layer: Any = random_transposed(rng, 1) if rng.random() < 0.5 else random_reading(rng, 1)
        found = ca.overlap(layer, 60 + rng.randint(0, 9))
        assert found.counts is not None
        counts, (left, right), pattern = found.counts[0], found.border[0], found.interior[0]
        differ = [at for at, count in enumerate(counts) if count != pattern[at % len(pattern)]]
        half = len(counts) // 2
        assert left == max((at + 1 for at in differ if at < half), default=0), layer
        assert right == max((len(counts) - at for at in differ if at >= half), default=0), layer
        seen += 1


# Blocks and pools ----------------------------------------------------------------------------------------------------


def random_blocks(rng: random.Random) -> dict[str, Any]:
    return {
        "kernel_size": (rng.randint(1, 4), rng.randint(1, 4)), "stride": (rng.randint(1, 4), rng.randint(1, 4)),
        "dilation": (rng.randint(1, 2), rng.randint(1, 2)), "padding": (rng.randint(0, 2), rng.randint(0, 2)),
    }  # fmt: skip


def test_fold_and_unfold_are_torchs(torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(8), 0
    while seen < random_overlaps // 10:
        given, size = random_blocks(rng), (rng.randint(1, 14), rng.randint(1, 14))
        try:
            fold, unfold = ca.Fold(output_size=size, **given), ca.Unfold(**given)
            unfold.output_size(size)
        except ca.ShapeError:
            continue
        taps = given["kernel_size"][0] * given["kernel_size"][1]
        ones = torch.ones(1, taps, fold.columns, dtype=torch.float64)
        expected = torch.nn.functional.fold(ones, size, **given)[0, 0]
        found = ca.overlap(fold)
        assert torch.equal(outer(torch, found), expected)
        assert found.side == "output"
        assert ca.overlap(unfold, size).counts == found.counts == ca.overlap(fold, fold.columns).counts
        assert ca.overlap(unfold).side == "gradient"
        for (left, right), pattern, counts in zip(found.border, found.interior, found.counts or (), strict=True):
            assert all(counts[at] == pattern[at % len(pattern)] for at in range(left, len(counts) - right))
        columns = ca.Network.chain([ca.parse("Linear(2, 2)"), fold, ca.PixelShuffle(upscale_factor=1)])
        assert ca.overlap(columns, 1).counts == found.counts
        seen += 1


def test_fold_refuses_other_columns() -> None:
    with pytest.raises(ca.ShapeError, match="needs 16 columns, got 15"):
        ca.overlap(ca.Fold(output_size=(5, 6), kernel_size=(2, 3)), 15)


@pytest.mark.parametrize("kind", ["AvgPool", "AdaptiveAvgPool"])
def test_shares_are_torchs_gradient_of_an_average(kind: str, torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(9), 0
    while seen < random_overlaps // 10:
        size = (rng.randint(1, 9), rng.randint(1, 9))
        try:
            if kind == "AvgPool":
                kernel = (rng.randint(1, 4), rng.randint(1, 4))
                pool: Any = ca.AvgPool(
                    kernel_size=kernel, stride=(rng.randint(1, 4), rng.randint(1, 4)), ceil_mode=rng.random() < 0.5,
                    padding=tuple(rng.randint(0, each // 2) for each in kernel), count_include_pad=rng.random() < 0.5,
                    divisor_override=rng.choice((None, None, 5)), ndim=2,
                )  # fmt: skip
            else:
                pool = ca.AdaptiveAvgPool(output_size=(rng.randint(1, 6), rng.choice((None, 2, 3))), ndim=2)
            pool.output_size(size)
        except ca.ConvarithError:
            continue
        values = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
        ca.pytorch.to_module(pool)(values).sum().backward()
        found = ca.overlap(pool, size)
        rows, columns = (torch.tensor([float(each) for each in axis]) for axis in found.shares or ())
        assert torch.allclose(torch.outer(rows, columns).double(), values.grad[0, 0], atol=1e-6), (pool, size)
        assert outer(torch, found).bool().equal(values.grad[0, 0] > 0)
        seen += 1


def test_an_adaptive_pool_is_even_where_one_size_divides_the_other_at_least() -> None:
    for size in range(1, 30):
        for output in range(1, 12):
            found = ca.overlap(ca.AdaptiveMaxPool(output_size=output), size)
            ((pattern,), (counts,)) = found.interior, found.counts or ()
            assert found.even == (len(set(counts)) == 1)
            assert found.even or (size % output and output % size)
            assert found.period == (smallest_period(list(counts)),) or size % found.period[0] == 0
            assert all(counts[at] == pattern[at % len(pattern)] for at in range(size))
            assert not found.holes


def test_the_expected_gradient_of_a_max_pool() -> None:
    assert ca.overlap(ca.MaxPool(kernel_size=3, stride=2), 5).shares == (
        (Fraction(1, 3), Fraction(1, 3), Fraction(2, 3), Fraction(1, 3), Fraction(1, 3)),
    )
    assert ca.overlap(ca.MaxPool(kernel_size=2), None).shares is None


def test_pixel_unshuffle_is_a_permutation() -> None:
    found = ca.overlap(ca.PixelUnshuffle(downscale_factor=3), 6)
    assert (found.side, found.even, found.counts) == ("gradient", True, ((1,) * 6,) * 2)


def test_the_map_is_the_outer_product(torch: ModuleType) -> None:
    rng = random.Random(10)
    for ndim in (1, 2, 3):
        found = ca.overlap(random_transposed(rng, ndim), (12,) * ndim)
        values = found.map()
        assert torch.equal(torch.from_numpy(values).double(), outer(torch, found))
        assert values.max() == found.max
    assert ca.overlap(ca.ConvTranspose(kernel_size=600), 700).map().max() == 600


def test_the_map_takes_the_smallest_type() -> None:
    np = pytest.importorskip("numpy")
    for kernel, dtype in ((127, np.int8), (128, np.int16), (32767, np.int16), (32768, np.int32)):
        found = ca.overlap(ca.ConvTranspose(kernel_size=kernel), kernel + 9)
        assert (found.map().max(), found.map().dtype) == (kernel, dtype)


def test_a_grid_is_an_array() -> None:
    np = pytest.importorskip("numpy")
    rng = random.Random(14)
    for sizes in ((3,), (2, 3), (2, 3, 4), (1, 4, 2, 3)):
        grid = Grid(sizes, [rng.randint(0, 9) for _ in range(prod(sizes))])
        array = np.array(grid.nested())
        assert np.array_equal(array, np.reshape(grid.values, sizes))
        for axis in range(len(sizes)):
            added = grid.along(axis, lambda line: [*line, sum(line)])
            expected = np.concatenate([array, array.sum(axis=axis, keepdims=True)], axis=axis)
            assert np.array_equal(added.nested(), expected)
            assert added.sizes == expected.shape
        larger = tuple(2 * size + 1 for size in sizes)
        tiled = np.tile(array, (3,) * len(sizes))[tuple(map(slice, larger))]
        assert np.array_equal(np.reshape(grid.repeated(larger), larger), tiled)
        assert grid.repeated(sizes) == grid.values
        assert all(grid.at(place) == tiled[place] for place in product(*map(range, larger)))
        both = Grid.sum([grid, Grid.ones([1] * len(sizes))], larger)
        assert np.array_equal(both.nested(), tiled + 1)
        assert Grid.ones(sizes) == Grid.outer([[1] * size for size in sizes]) == Grid(sizes, [1] * prod(sizes))


# Stacks --------------------------------------------------------------------------------------------------------------


def random_stack(rng: random.Random) -> tuple[Layer, ...]:
    """A chain of 1-D layers, most of which upsample."""
    layers: list[Layer] = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(("up", "up", "up", "conv", "nearest", "pad", "relu", "conv"))
        if kind == "up":
            layer: Layer = random_transposed(rng, 1)
            while layer.at("stride", 0) > 3 or layer.at("padding", 0) > 2:  # type: ignore[attr-defined]
                layer = random_transposed(rng, 1)
        elif kind == "nearest":
            layer = ca.Upsample(scale_factor=rng.randint(1, 3))
        elif kind == "pad":
            mode = rng.choice(("ZeroPad1d", "ReplicationPad1d", "ReflectionPad1d", "CircularPad1d"))
            layer = build(mode, {"padding": (rng.randint(0, 2), rng.randint(0, 2))})
        elif kind == "relu":
            layer = ca.Elementwise("ReLU")
        else:
            mode = rng.choice(("zeros", "zeros", "reflect", "replicate", "circular"))
            layer = ca.Conv(
                in_channels=1, out_channels=1, kernel_size=rng.randint(1, 5), dilation=rng.randint(1, 2),
                padding=rng.randint(0, 2), padding_mode=mode, bias=False, ndim=1,
            )  # fmt: skip
        layers.append(layer)
    return tuple(layers)


def test_stacks_are_torchs(torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(6), 0
    while seen < random_overlaps // STACKS:
        layers = random_stack(rng)
        net = ca.Network.chain(layers)
        if all(layer.kind in ("relu", "elementwise", "pad", "conv") for layer in layers):
            continue
        found = ca.overlap(net)
        (left, right), (pattern,) = found.border[0], found.interior
        for size in (rng.randint(1, 12), 90):
            try:
                expected = [round(value) for value in ones_through(torch, layers, (size,))[0, 0].tolist()]
            except RuntimeError:
                with pytest.raises(ca.ShapeError):
                    ca.overlap(net, size)
                continue
            assert ca.overlap(net, size).counts == (tuple(expected),), (net, size)
        differ = [at for at, count in enumerate(expected) if count != pattern[at % len(pattern)]]
        half = len(expected) // 2
        assert left == max((at + 1 for at in differ if at < half), default=0), net
        assert right == max((len(expected) - at for at in differ if at >= half), default=0), net
        inside = expected[left : len(expected) - right]
        assert found.period == (smallest_period(inside),)
        assert found.even == (len(set(inside)) == 1)
        assert found.holes == (0 in inside)
        phases = prod(int(layer.factor_at(0)) if layer.kind == "upsample" else layer.at("stride", 0)  # type: ignore[attr-defined, misc]
                      for layer in layers if layer.kind in ("upsample", "conv-transpose"))  # fmt: skip
        whole = torch.tensor([pattern[at % len(pattern)] for at in range(phases)], dtype=torch.float64)
        spectrum = torch.fft.rfft(whole).abs() > 1e-6
        there = {Fraction(number, phases) for number in range(1, phases // 2 + 1) if spectrum[number]}
        assert there == {each.cycles for each in found.frequencies[0] if each.cured_by is None}
        if rng.random() < 0.3:
            for repair in found.repairs:
                assert repair.node in {node.name for node in net.nodes}
        seen += 1


def test_the_gradient_of_a_stack_is_torchs(torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(7), 0
    while seen < random_overlaps // STACKS // 2:
        layers = [
            ca.Conv(
                in_channels=1, out_channels=1, kernel_size=rng.randint(1, 4), stride=rng.randint(1, 3), ndim=1,
                padding=rng.randint(0, 1), dilation=rng.randint(1, 2), bias=False,
                padding_mode=rng.choice(("zeros", "reflect", "circular")),
            ) for _ in range(rng.randint(1, 3))
        ]  # fmt: skip
        net, size = ca.Network.chain([*layers, ca.Flatten()]), rng.randint(1, 60)
        try:
            found = ca.overlap(net, size)
        except ca.ShapeError:
            continue
        values = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
        output = values
        for layer in layers:
            module = ca.pytorch.to_module(layer).double()
            torch.nn.init.ones_(module.weight)
            output = module(output)
        output.sum().backward()
        assert found.side == "gradient"
        assert found.counts == (tuple(map(round, values.grad[0, 0].tolist())),), (net, size)
        seen += 1


# Branches ------------------------------------------------------------------------------------------------------------


def random_branches(rng: random.Random) -> str:
    """A 1-D decoder with branches: at each level, up to three paths from the same map are added."""
    lines, name = [], "input"
    for number in range(rng.randint(1, 3)):
        stride = rng.choice((1, 2, 2, 3))
        ways = []
        for way in range(rng.randint(1, 3)):
            padding = rng.randint(0, 2)
            if stride > 1 and rng.random() < 0.2:
                lines.append(f"u{number}{way}: Upsample(scale_factor={stride})({name})")
            else:
                kernel = stride + 2 * padding
                lines.append(
                    f"u{number}{way}: ConvTranspose1d(1, 1, {kernel}, stride={stride}, padding={padding}, bias=False)({name})"
                )
            ways.append(f"u{number}{way}")
        if rng.random() < 0.5 and stride == 1:
            ways.append(name)
        lines.append(f"a{number}: Add()({', '.join(ways)})")
        name = f"a{number}"
        if rng.random() < 0.5:
            kernel = rng.choice((1, 2, 3))
            lines.append(f"c{number}: Conv1d(1, 1, {kernel}, padding='same', bias=False)({name})")
            name = f"c{number}"
    return "; ".join(lines)


def ones_through_nodes(torch: ModuleType, net: ca.Network, values: Any) -> Any:
    """The output of torch's modules, node by node, with all weights set to one."""
    known = {"input": values}
    for node in net.nodes:
        reads = [known[name] for name in node.inputs]
        if node.layer.kind in ("add", "concat"):
            known[node.name] = torch.stack(reads).sum(0)  # the next layer sums the channels of a Concat
            continue
        module = ca.pytorch.to_module(node.layer).double()
        for parameter in module.parameters():
            torch.nn.init.ones_(parameter)
        known[node.name] = module(reads[0])
    return known[net.nodes[-1].name]


def test_branches_are_torchs(torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(11), 0
    while seen < random_overlaps // STACKS:
        net = ca.parse_network(random_branches(rng))
        if all(node.layer.kind in ("conv", "add") for node in net.nodes):
            continue
        size = rng.choice((1, 7, 60))
        with torch.no_grad():
            expected = ones_through_nodes(torch, net, torch.ones(1, 1, size, dtype=torch.float64))[0, 0]
        found = ca.overlap(net, size)
        counts = tuple(map(round, expected.tolist()))
        assert found.counts == (counts,), net
        ((left, right),), (pattern,) = found.border, found.interior
        if size == 60:
            assert all(counts[at] == pattern[at % len(pattern)] for at in range(left, len(counts) - right)), net
            inside = list(counts[left : len(counts) - right])
            assert found.period[0] % smallest_period(inside) == 0
        seen += 1


def test_the_axes_of_branches_are_torchs(torch: ModuleType) -> None:
    """In 2-D, the counts of branches are sums of products, not products of sums."""
    rng, seen, sums = random.Random(13), 0, 0
    while seen < 60:
        text = random_branches(rng).replace("1d", "2d").replace("padding='same'", "padding=1")
        net = ca.parse_network(text)
        if all(node.layer.kind in ("conv", "add") for node in net.nodes):
            continue
        size = (rng.randint(1, 6), rng.randint(1, 6))
        with torch.no_grad():
            expected = ones_through_nodes(torch, net, torch.ones(1, 1, *size, dtype=torch.float64))[0, 0]
        found = ca.overlap(net, size)
        assert found.grid() == found.map().tolist() == expected.round().long().tolist()
        assert (found.max, found.min) == (expected.max(), expected.min())
        place = tuple(rng.randrange(each) for each in expected.shape)
        assert found.count(place) == expected[place]
        large = ca.overlap(net, (24, 24))
        (top, bottom), (left, right) = large.border
        values = large.map()
        inside = values[top : len(values) - bottom, left : values.shape[1] - right]
        assert large.holes == (not inside.all())
        assert large.hole_fraction == Fraction(sum(row.count(0) for row in large.grid(inside=True)), prod(large.period))
        if not large.holes:
            assert large.contrast == Fraction(int(inside.max()), int(inside.min()))
        assert ca.overlap(net).count((top, left)) == values[top, left]
        seen, sums = seen + 1, sums + (not found.separable)
    assert sums > 20


@pytest.mark.parametrize(
    ("kernels", "period", "least", "holes"),
    [((1, 2), [[2, 1], [1, 1]], 1, 0), ((1, 1), [[2, 0], [0, 0]], 0, Fraction(3, 4)), ((2, 2), [[2]], 2, 0)],
)
def test_branches_in_2d_without_an_input_size(
    kernels: tuple[int, int], period: list[list[int]], least: int, holes: Fraction
) -> None:
    net = "a: ConvTranspose2d(1, 1, {}, 2); b: ConvTranspose2d(1, 1, {}, 2)(input); Add()(a, b)".format(*kernels)
    found = ca.overlap(ca.parse_network(net))
    assert (found.grid(), found.map().tolist()) == (period, period)
    assert (found.separable, found.counts, found.period) == (False, None, (len(period),) * 2)
    for place in product(range(5), range(5)):
        assert found.count(place) == period[place[0] % len(period)][place[1] % len(period)]
    assert (found.max, found.min, found.hole_fraction, found.holes) == (2, least, holes, bool(holes))
    assert found.contrast == (Fraction(2, least) if least else None)
    assert found.missed == ca.overlap(ca.parse(f"ConvTranspose2d(1, 1, {max(kernels)}, 2)")).missed


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3)])
def test_branches_in_2d_with_an_input_size(torch: ModuleType, size: tuple[int, int]) -> None:
    """In a map so small, the largest and smallest counts are others than those inside."""
    net = ca.parse_network("a: ConvTranspose2d(1, 1, 3, 2); b: ConvTranspose2d(1, 1, 5, 2, 1)(input); Add()(a, b)")
    found = ca.overlap(net, size)
    ones = torch.ones(1, 1, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = sum(
            torch.nn.functional.conv_transpose2d(ones, torch.ones(1, 1, kernel, kernel).double(), None, 2, padding)
            for kernel, padding in ((3, 0), (5, 1))
        )[0, 0].long()
    assert found.grid() == found.map().tolist() == expected.tolist()
    assert (found.max, found.min) == (expected.max(), expected.min())
    for place in product(*map(range, expected.shape)):
        assert found.count(place) == expected[place]
    with pytest.raises(ca.ShapeError, match="lies outside"):
        found.count((expected.shape[0], 0))
    assert found.grid(inside=True) == ca.overlap(net).grid()
    assert not found.separable


def test_branches_are_even_exactly_when_random_weights_are(torch: ModuleType) -> None:
    """Each layer is all ones times a random factor, so that no branch cancels the pattern of another."""
    rng, seen = random.Random(12), 0
    torch.manual_seed(0)
    while seen < 150:
        net = ca.parse_network(random_branches(rng))
        if all(node.layer.kind in ("conv", "add") for node in net.nodes):
            continue
        found = ca.overlap(net)
        known = {"input": torch.ones(1, 1, 60, dtype=torch.float64)}
        for node in net.nodes:  # ones times a random factor for each layer
            reads = [known[name] for name in node.inputs]
            if node.layer.kind == "add":
                known[node.name] = torch.stack(reads).sum(0)
                continue
            module = ca.pytorch.to_module(node.layer).double()
            for parameter in module.parameters():
                torch.nn.init.ones_(parameter)
            known[node.name] = module(reads[0]).detach() * (0.5 + torch.rand(()))
        (left, right), output = found.border[0], known[net.nodes[-1].name][0, 0]
        inside = output[left : len(output) - right]
        assert found.even == bool((inside.max() - inside.min()) < 1e-9 * inside.max()), net
        seen += 1


RESNET = """
c1: Conv1d(1, 1, 3, stride=2, padding=1, bias=False)
c2: Conv1d(1, 1, 3, padding=1, bias=False)
short: Conv1d(1, 1, 1, stride=2, bias=False)(input)
sum: Add()(c2, short)
c3: Conv1d(1, 1, 3, padding=1, bias=False)
last: Add()(c3, sum)
"""


@pytest.mark.parametrize("size", [1, 2, 9, 16, 61])
def test_the_gradient_of_branches_is_torchs(size: int, torch: ModuleType) -> None:
    net = ca.parse_network(RESNET)
    values = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    ones_through_nodes(torch, net, values).sum().backward()
    assert ca.overlap(net, size).counts == (tuple(map(round, values.grad[0, 0].tolist())),)
    assert ca.overlap(net).side == "gradient"


UNET = """
down1: Conv2d(1, 8, 3, padding=1)
pool1: MaxPool2d(2)
down2: Conv2d(8, 16, 3, padding=1)
pool2: MaxPool2d(2)
bottom: Conv2d(16, 16, 3, padding=1)
up2: ConvTranspose2d(16, 16, {}, stride=2, padding={})
join2: Concat()(up2, down2)
conv2: Conv2d(32, 8, 3, padding=1)
up1: ConvTranspose2d(8, 8, 2, stride=2)
join1: Concat()(up1, down1)
conv1: Conv2d(16, 1, 3, padding=1)
"""


def test_a_unet_names_the_layer_that_adds_the_pattern() -> None:
    assert ca.overlap(ca.parse_network(UNET.format(4, 1))).even
    found = ca.overlap(ca.parse_network(UNET.format("3, output_padding=1", 1)))
    assert found.side == "output"
    assert not found.even
    assert found.period == (4, 4)
    assert {(each.brought_by, each.cured_by) for axis in found.frequencies for each in axis} == {("up2", None)}
    assert {repair.node for repair in found.repairs} == {"up2"}
    ((left, right), _), counts = (
        found.border,
        ca.overlap(ca.parse_network(UNET.format("3, output_padding=1", 1)), 64).counts,
    )
    assert counts is not None
    assert all(counts[0][at] == found.interior[0][at % 4] for at in range(left, 64 - right))


def test_a_unet_whose_skips_are_matched() -> None:
    matched = UNET.format(4, 1).replace(
        "join1: Concat()(up1, down1)", "fit: MatchSize()(up1, down1); join1: Concat()(fit, down1)"
    )
    net = ca.parse_network(matched)
    assert ca.overlap(net).even
    assert ca.overlap(net, 16).counts is not None
    with pytest.raises(
        ca.ShapeError,
        match=r"fit.*gets sizes 12x12 and 13x13: give an input size",
    ):
        ca.overlap(net, 13)


@pytest.mark.parametrize("kernel", [3, 4, 5, 7])
def test_the_border_of_branches_that_accept_few_sizes_is_exact(kernel: int) -> None:
    """A power of two cannot be divided by 3, so that the next size that the network accepts has to be found."""
    text = (
        f"down: MaxPool1d(3); up: ConvTranspose1d(1, 1, {kernel}, stride=3)(down); cut: ZeroPad1d((0, {3 - kernel}));"
    )
    found = ca.overlap(ca.parse_network(f"{text} join: Add()(cut, input); last: Conv1d(1, 1, 3, padding=1)"))
    ((left, right),), (pattern,) = found.border, found.interior
    counts = ca.overlap(found.subject, 192).counts
    assert counts is not None
    differ = [at for at, count in enumerate(counts[0]) if count != pattern[at % len(pattern)]]
    assert left == max((at + 1 for at in differ if at < 96), default=0) > 0
    assert right == max((192 - at for at in differ if at >= 96), default=0) > 0
    with pytest.raises(ca.ShapeError):
        ca.overlap(found.subject, 64)


def test_what_an_output_padding_adds_belongs_to_the_border() -> None:
    for kernel, stride in ((3, 3), (3, 4), (2, 5), (5, 3)):
        up = ca.ConvTranspose(kernel_size=kernel, stride=stride, output_padding=stride - 1, ndim=1)
        chain = ca.overlap(ca.Network.chain([ca.Elementwise("ReLU"), up]))
        counts = hits(kernel, stride, 1, 20) + [0] * (stride - 1)
        differ = [at for at, count in enumerate(counts) if count != chain.interior[0][at % chain.period[0]]]
        left, right = (max(0, kernel - stride), len(counts) - min(at for at in differ if at > 9))
        assert chain.border == ca.overlap(up).border == ((left, right),)


@pytest.mark.parametrize("layer", ["Add", "Multiply"])
@pytest.mark.parametrize("order", ["u, g", "g, u"])
def test_a_single_value_is_added_everywhere(layer: str, order: str) -> None:
    text = f"g: AdaptiveAvgPool1d(1); u: ConvTranspose1d(1, 1, 3, 2)(input); {layer}()({order})"
    found = ca.overlap(ca.parse_network(text), 3)
    assert found.counts == ((2, 2, 3, 2, 3, 2, 2),)
    assert (found.interior, found.border) == (((3, 2),), ((1, 1),))
    with pytest.raises(ca.ShapeError, match=r"Concat.* gets sizes .*: give an input size for which they agree"):
        ca.overlap(ca.parse_network(text.replace(layer, "Concat")), 3)
    with pytest.raises(ca.ShapeError, match=rf"{layer}.* gets sizes 7 and 3: give an input size for which they agree"):
        ca.overlap(ca.parse_network(f"u: ConvTranspose1d(1, 1, 3, 2)(input); {layer}()(u, input)"), 3)


@pytest.mark.parametrize(
    ("layer", "follows"),
    [
        ("Conv2d(1, 1, 3)", True), ("AvgPool2d(3, 1)", True), ("ReflectionPad2d(1)", True), ("BatchNorm2d(1)", True),
        ("ZeroInsert2d(2)", True), ("Conv2d(1, 1, 3, stride=(1, 2))", False), ("Conv2d(1, 1, 3, stride=(2, 1))", False),
        ("AvgPool2d(2)", False), ("MaxPool2d(3, 1)", False), ("LPPool2d(2, 3, 1)", False), ("Unfold(3)", False),
        ("Upsample(scale_factor=1.5)", False), ("PixelUnshuffle(2)", False), ("Flatten()", False),
        ("Narrow(0, 1)", False), ("AdaptiveAvgPool2d(3)", False), ("Concat(dim=2)(u, u)", False),
        ("Upsample(scale_factor=2, mode='bilinear')", False), ("Concat(dim=1)(u, u)", True),
    ],
)  # fmt: skip
def test_which_layers_a_pattern_can_be_followed_through(layer: str, follows: bool) -> None:
    net = ca.parse_network(f"u: ConvTranspose2d(1, 1, 3, stride=2); {layer}")
    if follows:
        assert ca.overlap(net).side == "output"
    else:
        with pytest.raises(ca.ParameterError, match="patterns cannot be followed through that layer"):
            ca.overlap(net)


def test_the_gradient_of_branches_in_2d_is_torchs(torch: ModuleType) -> None:
    rng = random.Random(15)

    def axes(low: int, high: int) -> tuple[int, int]:
        return rng.randint(low, high), rng.randint(low, high)

    for _ in range(25):
        stride, padding = axes(1, 3), axes(0, 1)
        kernel = (1 + 2 * padding[0], 1 + 2 * padding[1])
        net = ca.parse_network(f"""
            z: ZeroPad2d({(*axes(0, 2), *axes(0, 2))})
            a: Conv2d(1, 1, {kernel}, {stride}, {padding}, bias=False)
            b: Conv2d(1, 1, 1, {stride}, bias=False)(z)
            r: Add()(a, b)
            c: Conv2d(1, 1, {axes(1, 3)}, {axes(1, 3)}, bias=False)
        """)
        size = (rng.randint(6, 16), rng.randint(6, 16))
        values = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
        try:
            ones_through_nodes(torch, net, values).sum().backward()
        except RuntimeError:  # no positions are left
            continue
        found = ca.overlap(net, size)
        assert (found.side, found.grid()) == ("gradient", values.grad[0, 0].round().long().tolist()), (net, size)


def test_an_open_network_has_as_many_axes_as_its_input() -> None:
    net = ca.Network.chain([ca.ConvTranspose(kernel_size=3, stride=2)] * 2)
    once = (1, 1, 2, 1, 3, 2, 3, 1, 2, 1, 1)
    assert ca.overlap(net, 2).counts == (once,)
    assert ca.overlap(net, (2, 2, 2)).counts == (once,) * 3
    assert len(ca.overlap(net).axes) == 1


def test_a_network_after_a_linear_is_given_the_size_behind_it() -> None:
    net = ca.parse_network(
        "Linear(2, 12); Unflatten(1, (2, 2, 3)); ConvTranspose2d(2, 1, 3, 2); ReLU(); Conv2d(1, 1, 1)"
    )
    assert ca.overlap(net, (2, 3)).counts == ((1, 1, 2, 1, 1), (1, 1, 2, 1, 2, 1, 1))
    down = ca.parse_network(
        "Conv1d(1, 1, 3, stride=2); a: AvgPool1d(2); b: MaxPool1d(2)(0); f: Flatten()(a); Flatten()(b)"
    )
    assert ca.overlap(down, 13).counts == ((2, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 2),)


def test_branches_of_fixed_size_have_no_interior() -> None:
    pools = (
        "p: AdaptiveAvgPool1d(3); u: ConvTranspose1d(1, 1, 2, stride=2); s: AdaptiveAvgPool1d(6)(input); Add()(u, s)"
    )
    found = ca.overlap(ca.parse_network(pools))
    with pytest.raises(ca.ParameterError, match="accepts no input that is large enough to distinguish the border"):
        _ = found.border


# Single facts --------------------------------------------------------------------------------------------------------


def test_the_facts_of_the_lectures() -> None:
    assert not ca.overlap(ca.ConvTranspose(kernel_size=4, stride=3)).even
    assert all(ca.overlap(ca.ConvTranspose(kernel_size=k * s, stride=s)).even for k in range(1, 5) for s in range(1, 6))
    twice = "ConvTranspose2d(1, 1, 3, stride=2); " * 2
    assert ca.overlap(ca.parse_network(twice)).contrast == 9
    assert ca.overlap(ca.parse_network(twice * 2)).contrast == 64
    assert ca.overlap(ca.parse("Conv2d(1, 1, 1, stride=2)")).hole_fraction == Fraction(3, 4)
    assert not ca.overlap(ca.PixelShuffle(upscale_factor=3)).frequencies[0]
    assert ca.overlap(ca.ZeroInsert(stride=2, ndim=1), 3).counts == ((1, 0, 1, 0, 1, 0),)


def test_the_order_matters() -> None:
    first, then = ca.ConvTranspose(kernel_size=3, stride=2), ca.ConvTranspose(kernel_size=4, stride=2)
    cured = ca.overlap(ca.Network.chain([first, then]))
    assert cured.even
    assert cured.period == (1,)
    assert cured.why == "layer 0 adds 1/4 cycles per position, which layer 1 removes"
    assert cured.repairs == []
    left = ca.overlap(ca.Network.chain([then, first]))
    assert sorted(left.interior[0]) == [2, 4]
    assert left.why == "layer 1 adds 1/2 cycles per position, which no later layer removes"
    assert {repair.node for repair in left.repairs} == {"1"}


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ("ConvTranspose1d(1, 1, 4, stride=2)", "stride 2 divides kernel_size 4"),
        ("ConvTranspose1d(1, 1, 4, stride=2, dilation=3)",
         "stride 2 divides kernel_size 4 and has no factor in common with dilation 3"),
        ("ConvTranspose1d(1, 1, 3)", "stride 1 hits every output equally often"),
        ("ConvTranspose1d(1, 1, 4, stride=3)", "stride 3 does not divide kernel_size 4: counts of 1 and 2"),
        ("ConvTranspose1d(1, 1, 2, stride=2, dilation=2)", "dilation 2 and stride 2 share the factor 2: 1 output in 2 is hit"),
        ("Conv1d(1, 1, 1, stride=2)", "kernel_size 1 is less than stride 2: inputs in between are never hit"),
        ("ConvTranspose2d(1, 1, (4, 3), stride=2)",
         "H: stride 2 divides kernel_size 4; W: stride 2 does not divide kernel_size 3: counts of 1 and 2"),
    ],
)  # fmt: skip
def test_the_reason(layer: str, why: str) -> None:
    assert ca.overlap(ca.parse(layer)).why == why


def test_the_reason_says_what_counting_finds() -> None:
    for kernel, stride, dilation in product(range(1, 10), range(1, 9), range(1, 7)):
        layer = ca.ConvTranspose(kernel_size=kernel, stride=stride, dilation=dilation)
        found = ca.overlap(layer)
        inputs = 2 * kernel * dilation + 6 * stride
        inside = hits(kernel, stride, dilation, inputs)[dilation * (kernel - 1) : stride * (inputs - 1) + 1]
        inside = inside[: len(inside) // stride * stride]  # whole periods
        common = gcd(dilation, stride)
        lanes = {inside[at] for at in range(len(inside)) if any(inside[at % common :: common])}  # not hit: another gcd
        share = f"dilation {dilation} and stride {stride} share the factor {common}: 1 output in {common} is hit"
        step = f"stride {stride}" if common == 1 else f"stride {stride}/{common}"
        if stride == 1:
            expected = ["stride 1 hits every output equally often"]
        elif len(set(inside)) == 1:
            apart = "" if dilation == 1 else f" and has no factor in common with dilation {dilation}"
            expected = [f"stride {stride} divides kernel_size {kernel}{apart}"]
        else:
            expected = [share + (" at most" if 0 in lanes else "")] if common > 1 else []
            if 0 in lanes:
                expected += [f"kernel_size {kernel} is less than {step}: outputs in between are never hit"]
            elif len(lanes) > 1:
                few, many = sorted(lanes)
                expected += [f"{step} does not divide kernel_size {kernel}: counts of {few} and {many}"]
        assert found.why == "; ".join(expected), layer
        assert found.frequencies == ((),)
        assert found.separable


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([(3, 2)], "stride 2 does not divide kernel_size 3: counts of 1 and 2"),
        ([(3, 2), (1, 1)], "layer 0 adds 1/2 cycles per position, which no later layer removes"),
        ([(5, 4), (1, 1)], "layer 0 adds 1/4 and 1/2 cycles per position, which no later layer removes"),
        ([(9, 8), (1, 1)], "layer 0 adds 1/8, 1/4, 3/8 and 1/2 cycles per position, which no later layer removes"),
        ([(11, 10), (1, 1)], "layer 0 adds 5 frequencies from 1/10 to 1/2 cycles per position, which no later layer removes"),
        ([(3, 2), (4, 2), (5, 3)], "layer 0 adds 1/12, 1/4 and 5/12 cycles per position, which layer 1 removes, "
         "layer 2 adds 1/3 cycles per position, which no later layer removes"),
        ([(4, 2), (3, 3)], "every layer hits its outputs equally often"),
    ],
)  # fmt: skip
def test_the_reason_of_a_stack(layers: list[tuple[int, int]], why: str) -> None:
    net = ca.Network.chain([ca.ConvTranspose(kernel_size=kernel, stride=stride) for kernel, stride in layers])
    assert ca.overlap(net).why == why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Conv1d(1, 1, 3); Conv1d(1, 1, 3)", "every stride is 1, so every input is hit equally often"),
        ("Conv1d(1, 1, 2, 2); Conv1d(1, 1, 2, 2)", "every layer hits its inputs equally often"),
        ("Conv1d(1, 1, 3, 2)", "stride 2 does not divide kernel_size 3: counts of 1 and 2"),
        ("AdaptiveAvgPool1d(0)", "no window reads the inputs"),
        ("AdaptiveAvgPool1d(1)", "every input lies in 1 of 1 window"),
        ("AdaptiveAvgPool1d(18)", "every input lies in 2 of 18 windows"),
        ("AdaptiveAvgPool1d(5)", "9 inputs cannot be divided evenly among 5 windows: some lie in more than others"),
    ],
)
def test_the_reason_of_layers_that_read(text: str, why: str) -> None:
    found = ca.overlap(ca.parse(text) if text.startswith("Adaptive") else ca.parse_network(text), 9)
    assert found.why == why
    assert found.holes == (text == "AdaptiveAvgPool1d(0)")
    assert (found.border == ((0, 0),)) == text.startswith("Adaptive")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Linear(2, 3)", "Linear.* does not hit a fixed pattern of positions: use a transposed convolution"),
        ("Upsample(scale_factor=2, mode='bilinear')", "does not hit a fixed pattern"),
        ("Upsample(scale_factor=1.5)", "does not hit a fixed pattern"),
        ("Upsample(size=7)", "does not hit a fixed pattern"),
    ],
)
def test_a_layer_without_a_pattern_is_refused(text: str, message: str) -> None:
    with pytest.raises(ca.ParameterError, match=message):
        ca.overlap(ca.parse(text), 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: ReLU(); b: Tanh()(input); Add()(a, b)",
            "no layer at its end that upsamples, and no convolution or pool at its start",
        ),
        (
            "Conv2d(1, 1, 3); ConvTranspose2d(1, 1, 3, 2); a: MaxPool2d(2); b: Tanh(); Add()(a, b)",
            "upsamples before .*: analyse the layers before it and after it separately",
        ),
        ("up: ConvTranspose2d(1, 1, 3, stride=2); MaxPool2d(2)", r"up .* upsamples before .*MaxPool2d"),
        ("Linear(2, 3)", "no layer at its end that upsamples"),
        (
            "ConvTranspose1d(1, 1, 3, stride=65537)",
            "product of the strides is 65537, more than the supported 65536: use fewer layers",
        ),
    ],
)
def test_a_network_without_a_pattern_is_refused(text: str, message: str) -> None:
    with pytest.raises(ca.ParameterError, match=message):
        ca.overlap(ca.parse_network(text))


def test_the_largest_product_of_strides_is_accepted() -> None:
    assert ca.overlap(ca.parse_network("ConvTranspose1d(1, 1, 256, 256); ConvTranspose1d(1, 1, 256, 256)")).even


def test_sizes_and_positions_are_checked() -> None:
    layer = ca.parse("ConvTranspose2d(1, 1, 3, stride=2)")
    with pytest.raises(ca.ShapeError, match="lies outside 9x9: positions are counted from 0"):
        ca.overlap(layer, 4).count((9, 0))
    with pytest.raises(ca.ShapeError, match="has 1 number: give 2, one per axis"):
        ca.overlap(layer).count(0)
    with pytest.raises(ca.ShapeError, match="input size 4 has 1 number: give 2, one per axis"):
        ca.overlap(ca.Network.chain([layer]), (4,))
    with pytest.raises(ca.ShapeError, match=r"position .* has 3 numbers: give 2, one per axis"):
        ca.overlap(layer).count((0, 0, 0))
    assert ca.overlap(layer, 4).count((8, 8)) == 1
    with pytest.raises(ca.ShapeError, match="lies outside 9x9"):
        ca.overlap(layer, 4).count((0, 9))
    with pytest.raises(ca.ShapeError, match="has 3 numbers: give 2, one per axis"):
        ca.overlap(ca.Network.chain([layer]), (4, 4, 4))
    with pytest.raises(ca.ShapeError, match="2 spatial axes"):
        ca.overlap(layer, (4, 4, 4))


def test_an_overlap_cannot_be_changed() -> None:
    found = ca.overlap(ca.ConvTranspose(kernel_size=3, stride=2))
    with pytest.raises(FrozenInstanceError):
        found.side = "gradient"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Grid((1,), [1]).sizes = (2,)  # type: ignore[misc]


def test_an_empty_map_has_no_counts() -> None:
    with pytest.raises(ca.ShapeError, match=r"PixelShuffle\(2\) has no positions to count at 0x0: give an input"):
        ca.overlap(ca.parse("PixelShuffle(2)"), 0)
