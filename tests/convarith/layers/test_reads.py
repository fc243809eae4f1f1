"""What an output reads along one axis, against the matrix of torch's own layer.

- Each form gives the matrix of the layer: number by number, and for arrays of outputs and taps.
- Its cycle, its candidates and the inputs it has seen agree with the matrix.
- Where a layer scatters values, every value is found once per tap.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.layers.base import SpatialLayer
from convarith.layers.reads import Bins, Interpolation, Reads, Spread, Window, padding_source, smaller

WEIGHTS = [1.0, 10.0, 100.0, 1000.0, 10000.0]
"""The weights of the taps, so that every sum says which taps are in it."""


def weights_of(form: Reads, layer: SpatialLayer) -> list[float]:
    return WEIGHTS[: form.kernel] if layer.weight_shape(1) else [1.0] * form.kernel


def by_numbers(form: Reads, layer: SpatialLayer, size: int, count: int) -> list[list[float]]:
    """The matrix from the numbers of each output and tap."""
    rows = [[0.0] * size for _ in range(count)]
    weights = weights_of(form, layer)
    for output in range(count):
        for candidate in range(form.candidates):
            tap = form.tap(output, candidate)
            position, misses = form.source(output, tap, size)
            if not misses and 0 <= position < size:
                weight = weights[tap] if form.kernel > 1 else 1.0
                rows[output][int(position)] += float(form.share(output, tap, size)) * weight
    return rows


def by_arrays(np: Any, form: Reads, layer: SpatialLayer, size: int, count: int) -> list[list[float]]:
    """The matrix from arrays: a column of outputs and a row of candidates."""
    outputs, candidates = np.arange(count)[:, None], np.arange(form.candidates)[None, :]
    taps = form.tap(outputs, candidates)
    positions, misses = form.source(outputs, taps, size)
    shares = form.shares(outputs, taps, size)
    weights = np.array(weights_of(form, layer))
    values = np.ones(taps.shape) if shares is None else shares * np.ones(taps.shape)
    if form.kernel > 1:
        values = values * weights[np.clip(taps, 0, form.kernel - 1)]
    matrix = np.zeros((count, size))
    rows = np.broadcast_to(outputs, taps.shape)
    real = (misses == 0) & (positions >= 0) & (positions < size)
    np.add.at(matrix, (rows[real], np.broadcast_to(positions, taps.shape)[real]), values[real])
    found: list[list[float]] = matrix.tolist()
    return found


def torchs_matrix(torch: ModuleType, layer: SpatialLayer, size: int) -> list[list[float]]:
    """torch's outputs for every unit vector."""
    module = ca.pytorch.to_module(layer).double()
    with torch.no_grad():
        for each in module.modules():
            if hasattr(each, "weight") and each.weight is not None:
                each.weight.copy_(torch.tensor(WEIGHTS[: each.weight.shape[-1]]).expand_as(each.weight))
                each.bias.zero_()
        values = module(torch.eye(size, dtype=torch.float64)[:, None, :])
    found: list[list[float]] = values[:, 0].T.tolist()
    return found


CONVS = [
    f"Conv1d(1, 1, {k}, stride={s}, padding={p}, dilation={d}, padding_mode='{mode}')"
    for (k, s, p, d), mode in product(
        ((3, 1, 1, 1), (4, 2, 3, 1), (2, 3, 2, 2), (1, 2, 0, 1)), ("zeros", "reflect", "replicate", "circular")
    )
]
TRANSPOSED = [
    f"ConvTranspose1d(1, 1, {k}, stride={s}, padding={p}, dilation={d}, output_padding={o})"
    for k, s, p, d, o in (
        (3, 2, 1, 1, 1),
        (5, 3, 2, 2, 0),
        (4, 2, 0, 3, 2),
        (2, 4, 1, 1, 3),
        (3, 4, 0, 2, 0),
        (1, 1, 0, 1, 0),
    )
]
POOLS = [
    f"AvgPool1d({k}, {s}, {p}, {ceil}, {counted})"
    for (k, s, p), ceil, counted in product(((3, 2, 1), (4, 3, 2), (2, 2, 0)), (False, True), (False, True))
]
PADS = ["ReflectionPad1d((2, 3))", "CircularPad1d((2, -1))", "CircularPad1d((-2, 3))", "ReplicationPad1d((4, 1))"]
PADS += ["ZeroPad1d((2, -1))", "ZeroPad1d((-3, 2))", "Crop1d(((1, 2),))", "ZeroInsert1d(3)"]
ADAPTIVE = [f"AdaptiveAvgPool1d({count})" for count in (1, 2, 3, 5, 7, 12)]
MODES = ["nearest", "nearest-exact", "linear", "area"]
UPSAMPLES = [f"Upsample(size={size}, mode='{mode}')" for size, mode in product((1, 3, 5, 7, 12), MODES)]
UPSAMPLES += [f"Upsample(scale_factor={f}, mode='{m}')" for f, m in product((0.29, 0.5, 1, 1.3, 1.7, 2, 3), MODES)]
UPSAMPLES += [f"Upsample(size={size}, mode='linear', align_corners=True)" for size in (1, 2, 5, 7, 12)]
UPSAMPLES += [f"Upsample(scale_factor={f}, mode='linear', align_corners=True)" for f in (0.5, 1, 1.7, 2)]
UPSAMPLES += ["Upsample(scale_factor=1.7, recompute_scale_factor=True)"]
UPSAMPLES += ["Upsample(scale_factor=1.7, mode='linear', recompute_scale_factor=True)"]


@pytest.mark.parametrize("text", [*CONVS, *TRANSPOSED, *POOLS, *PADS, *ADAPTIVE, *UPSAMPLES])
def test_the_matrix_of_a_layer_is_that_of_torch(torch: ModuleType, text: str) -> None:
    np = pytest.importorskip("numpy")
    layer = ca.parse(text)
    assert isinstance(layer, SpatialLayer)
    for size in (5, 7):
        (count,) = layer.output_size((size,))
        form = layer.reads(0, size, count)
        assert form is not None
        expected = torchs_matrix(torch, layer, size)
        for found in (by_numbers(form, layer, size, count), by_arrays(np, form, layer, size, count)):
            assert np.allclose(found, expected, rtol=1e-12, atol=1e-12), (size, found, expected)
        phases, shift = form.cycle
        for output in range(count):
            seen = list(form.seen(output))
            assert len(seen) == len(set(seen)) <= form.candidates
            if not isinstance(form, Bins | Interpolation):
                assert [at + shift for at in seen] == list(form.seen(output + phases))
                assert seen == sorted(seen)
            if text.startswith(("AvgPool", "Adaptive", "ZeroInsert", "Crop")):
                read = [at for at in range(size) if expected[output][at]]
                assert [at for at in seen if 0 <= at < size] == read


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear"])
def test_an_interpolation_in_2d_reads_what_torch_reads(torch: ModuleType, mode: str) -> None:
    np = pytest.importorskip("numpy")
    for factor in (1, 1.3, 1.7, 2, 2.5):
        layer = ca.Upsample(scale_factor=factor, mode=mode)
        size = 6
        (count, _) = layer.output_size((size, size))
        form = layer.reads(0, size, count, 2)
        assert form is not None
        x = torch.eye(size, dtype=torch.float64)[:, None, :, None].expand(size, 1, size, size)
        expected = ca.pytorch.to_module(layer).double()(x)[:, 0, :, 0].T.tolist()
        assert np.allclose(by_numbers(form, layer, size, count), expected), factor


def test_an_interpolation_of_one_output_or_none() -> None:
    assert ca.Upsample(size=3).reads(0, 5, 0) is None
    form = ca.Upsample(size=1, mode="linear", align_corners=True).reads(0, 5, 1)
    assert isinstance(form, Interpolation)
    assert (form.whole, form.rounded, form.scale) == (True, 0.0, 0)
    doubled = ca.Upsample(scale_factor=1.99).reads(0, 100, 200)
    assert isinstance(doubled, Interpolation)
    assert doubled.scale == Fraction(100, 199)
    assert not doubled.whole
    assert not doubled.corners


def test_a_cycle_repeats_what_is_read() -> None:
    for inputs, outputs in product(range(1, 12), range(1, 12)):
        bins = Bins(inputs, outputs)
        phases, shift = bins.cycle
        assert [at + shift for at in bins.seen(0)] == list(bins.seen(phases))
        assert phases * inputs == shift * outputs
        assert bins.whole == (outputs == 1)
        assert bins.candidates in (max(len(list(bins.seen(u))) for u in range(outputs)), -(-inputs // outputs) + 1)
        assert bins.share(0, 0, inputs) == 1
    assert Bins(5, 0).candidates == 0
    assert Bins(0, 0).cycle == (0, 0)
    scaled = Interpolation(mode="linear", inputs=9, scale=Fraction(2, 3), rounded=2 / 3)
    assert scaled.cycle == (3, 2)
    assert [at + 2 for at in scaled.seen(4)] == list(scaled.seen(7))


@pytest.mark.parametrize("mode", ["bicubic", "bilinear", "nearest"])
def test_the_inputs_around_a_place(mode: str) -> None:
    form = Interpolation(mode=mode, inputs=9, scale=Fraction(1, 2), rounded=0.5)
    around = {"bicubic": [0, 1, 2, 3], "bilinear": [1, 2], "nearest": [1]}[mode]
    assert list(form.seen(3)) == around
    assert form.candidates == len(around)
    assert form.shares_differ == (mode != "nearest")
    corners = Interpolation(mode=mode, inputs=9, scale=Fraction(2), rounded=2.0, corners=True)
    assert list(corners.seen(3)) == [6]
    assert [form.share(0, tap, 9) for tap in (0, 1)] == [1, 0]


def test_forms_say_what_they_are() -> None:
    window, spread = Window(size=3, stride=2, dilation=2, before=1), Spread(size=5, stride=4, dilation=2, before=1)
    assert (window.kernel, window.candidates, window.cycle, window.whole, window.shares_differ) == (
        3,
        3,
        (1, 2),
        False,
        False,
    )
    assert (spread.kernel, spread.candidates, spread.cycle, spread.whole, spread.shares_differ) == (
        5,
        3,
        (4, 1),
        False,
        False,
    )
    assert [window.place(2, tap) for tap in range(3)] == [3, 5, 7]
    assert [spread.place(7, tap) for tap in range(3)] == [8, 6, 4]
    assert (window.share(0, 0, 9), spread.share(0, 0, 9)) == (1, 1)
    assert Bins(7, 3).kernel == 1
    assert Window() == Window(size=1, stride=1, dilation=1, before=0, after=0, mode="zeros", averages="")
    assert Spread(size=1, stride=1) == Spread(size=1, stride=1, dilation=1, before=0)
    assert Bins(7, 3) == Bins(7, 3, averages=False)
    nearest = Interpolation(mode="nearest", inputs=3, scale=Fraction(1), rounded=1.0)
    assert nearest == Interpolation(mode="nearest", inputs=3, scale=Fraction(1), rounded=1.0, corners=False)


def test_padding_comes_from_where_torch_takes_it(torch: ModuleType) -> None:
    for (mode, name), before, after in product(
        (("reflect", "reflect"), ("replicate", "replicate"), ("circular", "circular")), range(-2, 4), range(-2, 4)
    ):
        x = torch.arange(5.0)[None, None]
        if mode == "circular" and before * after < 0 and max(before, after) > 5 - 2:
            continue
        padded = torch.nn.functional.pad(x, (before, after), mode=name)[0, 0].int().tolist()
        found = [padding_source(mode, at, 5, before, after) for at in range(-before, 5 + after)]
        assert found == padded, (mode, before, after)
    assert [smaller(one, other) for one, other in product((-2, 0, 3), (-1, 0, 5))] == [
        min(one, other) for one, other in product((-2, 0, 3), (-1, 0, 5))
    ]


SCATTERED = [
    "Conv1d(1, 1, 3, stride=2, padding=1, dilation=2)",
    "ConvTranspose1d(1, 1, 3, 2, 1, 1)",
    "MaxPool1d(3, 2, 1)",
]
SCATTERED += ["ZeroPad1d((1, 2))", "Crop1d(((1, 2),))", "ZeroInsert1d(3)", "Upsample(scale_factor=3)"]


@pytest.mark.parametrize("text", SCATTERED)
def test_values_scatter_to_where_they_are_read(text: str) -> None:
    """The positions that are hit are those of the matrix, by columns for the output side and by rows for the gradient."""
    layer = ca.parse(text)
    assert isinstance(layer, SpatialLayer)
    size = 9
    (count,) = layer.output_size((size,))
    scattering, form = layer.scattering(0), layer.reads(0, size, count)
    assert scattering is not None
    assert form is not None
    assert scattering.given is None
    matrix = by_numbers(form, layer, size, count)
    forward = layer.overlap_side == "output"
    senders, places = (size, count) if forward else (count, size)
    hits = [[0] * places for _ in range(senders)]
    for sender, tap in product(range(senders), range(scattering.kernel)):
        at = sender * scattering.stride - scattering.before + tap * scattering.dilation
        if 0 <= at < places:
            hits[sender][at] += 1
    for sender, at in product(range(senders), range(places)):
        assert bool(hits[sender][at]) == bool(matrix[at][sender] if forward else matrix[sender][at]), (sender, at)
    length = (senders - 1) * scattering.stride + scattering.dilation * (scattering.kernel - 1) + 1
    if forward:
        assert length - scattering.before - scattering.after == count


@pytest.mark.parametrize(
    ("text", "scatters"),
    [("Upsample(scale_factor=1.5)", False), ("Upsample(size=4)", False), ("Upsample(scale_factor=2, mode='bilinear')", False),
     ("Upsample(scale_factor=2)", True), ("AdaptiveAvgPool1d(2)", False), ("MaxUnpool1d(2)", False)],
)  # fmt: skip
def test_layers_without_a_pattern_do_not_scatter(text: str, scatters: bool) -> None:
    layer = ca.parse(text)
    assert (layer.scattering(0) is not None) == scatters


def test_a_fold_scatters_its_blocks() -> None:
    for kernel, stride, padding, dilation in product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2)):
        fold = ca.Fold(output_size=(7, 9), kernel_size=kernel, stride=stride, padding=padding, dilation=dilation)
        for axis, size in ((0, 7), (1, 9)):
            blocks = len(range(-padding, size + padding - dilation * (kernel - 1), stride))
            found = fold.scattering(axis)
            assert found is not None
            assert (found.kernel, found.stride, found.dilation, found.before) == (kernel, stride, dilation, padding)
            assert found.given == (blocks, size)
            assert (blocks - 1) * stride + dilation * (kernel - 1) + 1 - found.before - found.after == size


# Channels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Conv1d(6, 4, 1, groups=2)", "ConvTranspose1d(6, 4, 1, groups=2)", "Conv1d(4, 6, 1)"])
def test_the_channels_that_an_output_reads(torch: ModuleType, text: str) -> None:
    layer = ca.parse(text)
    module = ca.pytorch.to_module(layer).double()
    inputs, outputs = module.in_channels, module.out_channels
    assert layer.weight_shape(1) == tuple(module.weight.shape)
    x = torch.rand(1, inputs, 1, dtype=torch.float64)
    with torch.no_grad():
        module.bias.zero_()
        values = module(x)[0, :, 0]
        for target in range(outputs):
            total = 0.0
            for channel, start, only in layer.channels_read(target, (0,), inputs, outputs):
                assert start is not None
                assert only is None
                total += float(module.weight[start][0] * x[0, channel, 0])
            assert abs(total - float(values[target])) < 1e-12
            assert len(list(layer.channels_read(target, (0,), inputs, outputs))) == inputs // module.groups


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_the_channels_of_a_shuffle(torch: ModuleType, factor: int) -> None:
    square = factor**2
    x = torch.arange(2.0 * square * 4 * 5).reshape(1, 2 * square, 4, 5)
    shuffle = ca.PixelShuffle(upscale_factor=factor)
    values = torch.nn.PixelShuffle(factor)(x)
    for target, row, column in product(range(2), range(4 * factor), range(5 * factor)):
        ((channel, start, only),) = shuffle.channels_read(target, (row, column), 2 * square, 2)
        assert (start, only) == (None, None)
        assert values[0, target, row, column] == x[0, channel, row // factor, column // factor]
    unshuffle = ca.PixelUnshuffle(downscale_factor=factor)
    y = torch.arange(2.0 * 4 * factor * 5 * factor).reshape(1, 2, 4 * factor, 5 * factor)
    values = torch.nn.PixelUnshuffle(factor)(y)
    for target, row, column in product(range(2 * square), range(4), range(5)):
        ((channel, start, only),) = unshuffle.channels_read(target, (row, column), 2, 2 * square)
        assert start is None
        assert only is not None
        at = row * factor + only[0], column * factor + only[1]
        assert values[0, target, row, column] == y[0, channel, *at]
    down, up = unshuffle.reads(0, 12, 12 // factor), shuffle.reads(0, 4, 4 * factor)
    assert down is not None
    assert up is not None
    assert list(down.seen(1)) == list(range(factor, 2 * factor))
    assert [list(up.seen(at)) for at in range(2 * factor)] == [[at // factor] for at in range(2 * factor)]
    for layer in (shuffle, unshuffle):
        scattering = layer.scattering(0)
        assert scattering is not None
        assert scattering == (factor, factor, 1, 0, 0, None)
        assert layer.letters(0) == {"r": factor}


@pytest.mark.parametrize(
    "text",
    ["ReLU()", "Narrow(0, 1)", "GLU(1)", "Linear(3, 3)", "Add()", "Permute((0, 1))", "Flatten()", "MaxPool1d(2)"],
)
def test_what_the_layers_without_weights_read(text: str) -> None:
    layer = ca.parse(text)
    assert list(layer.channels_read(3, (0,), 5, 5)) == [(3, None, None)]
    assert layer.weight_shape(1) is None
    if text.startswith(("ReLU", "Narrow", "GLU")):
        form = layer.reads(0, 9, 9)
        assert form is not None
        assert [list(form.seen(output)) for output in range(3)] == [[0], [1], [2]]
    elif not text.startswith("MaxPool"):
        assert layer.reads(0, 9, 9) is None


def test_a_fold_has_columns_without_positions() -> None:
    fold = ca.Fold(output_size=4, kernel_size=2)
    assert fold.reads(0, 9, 4) is None
    assert fold.carried(("columns",)) == ()
    assert ca.Unfold(kernel_size=2).carried(("image",)) == ("image",)
    assert [str(sizes) for sizes in fold.inputs_for((4, 4))] == ["9"]
    assert fold.output_size(9) == fold.output_size((9,)) == (4, 4)


def test_a_share_is_constant_along_the_first_axis() -> None:
    pool = ca.AvgPool(kernel_size=2, divisor_override=3)
    assert [pool.constant_share(axis) for axis in range(3)] == [Fraction(1, 3), 1, 1]
    assert [pool.averages, ca.AvgPool(kernel_size=2).averages] == ["", "padded"]
    assert ca.AvgPool(kernel_size=2, count_include_pad=False).averages == "inside"
    assert ca.MaxPool(kernel_size=2).averages == ""


@pytest.mark.parametrize(
    ("layer", "letters", "formula"),
    [
        (ca.Conv(kernel_size=3, stride=2, padding=((1, 2),)), {"k": 3, "s": 2, "p1": 1, "p2": 2, "d": 1},
         "floor((i + p1 + p2 - d*(k - 1) - 1)/s) + 1"),
        (ca.Pad(padding=((1, 2),), ndim=1), {"p1": 1, "p2": 2}, "i + p1 + p2"),
        (ca.Pad(padding=2, ndim=1), {"p": 2}, "i + 2*p"),
        (ca.Crop(crop=((1, 2),)), {"c1": 1, "c2": 2}, "i - c1 - c2"),
        (ca.Crop(crop=2), {"c": 2}, "i - 2*c"),
        (ca.ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1, dilation=2),
         {"k": 3, "s": 2, "p": 1, "d": 2, "op": 1}, "(i - 1)*s - 2*p + d*(k - 1) + op + 1"),
        (ca.MaxUnpool(kernel_size=3, stride=2, padding=1), {"k": 3, "s": 2, "p": 1}, "(i - 1)*s - 2*p + k"),
        (ca.AdaptiveAvgPool(output_size=(3, None)), {"o": 3}, "o"),
        (ca.FractionalMaxPool(kernel_size=2, output_size=5), {"o": 5}, "o"),
        (ca.FractionalMaxPool(kernel_size=2, output_ratio=0.7), {}, "floor(i*0.7)"),
        (ca.Upsample(size=5), {"o": 5}, "o"), (ca.Upsample(scale_factor=2), {"f": 2}, "f*i"),
        (ca.Upsample(scale_factor=1.7), {}, "floor(i*1.7)"), (ca.ZeroInsert(stride=3), {"s": 3}, "s*i"),
        (ca.MaxPool(kernel_size=3, ceil_mode=True), {"k": 3, "s": 3, "p": 0, "d": 1},
         "floor((i + min(2*p - d*(k - 1) + s - 2, p - 1))/s) + 1"),
    ],
)  # fmt: skip
def test_formulas_with_letters(layer: SpatialLayer, letters: dict[str, int], formula: str) -> None:
    assert layer.letters(0) == letters
    assert layer.formula() == formula
    assert layer.formula(i=-2).replace("(-2)", "i") == formula


def test_a_size_that_is_kept_has_no_letter() -> None:
    pool = ca.AdaptiveAvgPool(output_size=(3, None))
    assert (pool.letters(1), pool.formula(1)) == ({}, "i")
    assert pool.output_size((9, 8)) == (3, 8)
