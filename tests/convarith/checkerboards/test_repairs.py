"""The laws of repairs. The oracle is torch.

- A repair has the same output size as the layer that it replaces, for every input size.
- A repair is even: torch's outputs for ones with all weights set to one, or its gradients, are equal inside the border.
- An even layer has no repairs; a repair that a layer cannot have is left out.
- `mirror` uses the same layers as the repair of the corresponding transposed convolution.
"""

from __future__ import annotations

import random
from itertools import count, product
from types import ModuleType
from typing import Any

import pytest
from support.random_windows import random_transposed

import convarith as ca
from convarith.checkerboards.overlap import Scatter
from convarith.checkerboards.repairs import repairs_of, resize, resized_axis, shuffle, shuffled_axis
from convarith.layers.base import Layer


def random_reading(rng: random.Random) -> Any:
    def axes(low: int, high: int) -> Any:
        return rng.randint(low, high), rng.randint(low, high)

    while True:
        window: dict[str, Any] = {"kernel_size": axes(1, 6), "stride": axes(1, 4), "ndim": 2}
        kind = rng.choice(("conv", "conv", "avg", "max", "lp"))
        ceil = rng.random() < 0.5
        try:
            if kind == "avg":
                return ca.AvgPool(**window, padding=axes(0, 2), ceil_mode=ceil)
            if kind == "max":
                return ca.MaxPool(**window, padding=axes(0, 2), dilation=axes(1, 2), ceil_mode=ceil)
            if kind == "lp":
                return ca.LPPool(**window, norm_type=2, ceil_mode=ceil)
            mode = rng.choice(("zeros", "zeros", "reflect"))
            pads: Any = ((rng.randint(0, 2), rng.randint(0, 2)), rng.randint(0, 2)) if mode == "zeros" else axes(0, 2)
            return ca.Conv(
                **window, dilation=axes(1, 3), padding=pads, padding_mode=mode,
                in_channels=1, out_channels=1, bias=False,
            )  # fmt: skip
        except ca.ParameterError:
            continue


def through(layers: tuple[Layer, ...], size: tuple[int, ...]) -> tuple[int, ...] | None:
    for layer in layers:
        try:
            size = layer.output_size(size)
        except ca.ShapeError:
            return None
    return size


def ones_through(torch: ModuleType, layers: tuple[Layer, ...], values: Any) -> Any:
    for layer in layers:
        module = ca.pytorch.to_module(layer).double()
        for parameter in module.parameters():
            torch.nn.init.ones_(parameter)
        values = module(values)
    return values


def inner(values: Any, found: ca.Overlap) -> Any:
    places = (slice(left, size - right) for (left, right), size in zip(found.border, values.shape, strict=True))
    return values[tuple(places)]


def test_repairs_of_a_transposed_convolution(torch: ModuleType, random_overlaps: int) -> None:
    rng, seen = random.Random(5), 0
    while seen < random_overlaps // 10:
        ndim = rng.choice((1, 2))
        layer = random_transposed(rng, ndim)
        if rng.random() < 0.5 and ndim == 2:
            layer = ca.parse(f"ConvTranspose2d(1, 1, {rng.randint(1, 6)}, stride={rng.randint(2, 4)}, bias=False)")  # type: ignore[assignment]
        found = ca.overlap(layer)
        if found.even:
            assert found.repairs == []
            continue
        seen += 1
        same = ndim == 2 and layer.at("stride", 0) == layer.at("stride", 1)
        assert [repair.name for repair in found.repairs] == ["even", "resize", "pixel-shuffle"][: 3 if same else 2]
        for repair in found.repairs:
            for size in range(1, 40):
                expected = through((layer,), (size,) * ndim)
                if expected is not None:
                    assert through(repair.layers, (size,) * ndim) == expected, (layer, repair, size)
            size = 60  # large enough that the borders do not meet
            with torch.no_grad():
                values = ones_through(torch, repair.layers, torch.ones(1, 1, *(size,) * ndim, dtype=torch.float64))
            assert values.shape[2:] == layer.output_size((size,) * ndim)
            repaired = ca.overlap(ca.Network.chain(repair.layers))
            inside = inner(values[0, 0], repaired)
            assert inside.numel()
            assert inside.min() == inside.max() > 0, (layer, repair)
            assert repaired.even


def test_repairs_of_layers_that_read(torch: ModuleType, random_overlaps: int) -> None:
    rng, names = random.Random(6), set()
    for _ in range(random_overlaps // 2):
        layer = random_reading(rng)
        found = ca.overlap(layer)
        if found.even:
            assert found.repairs == []
            continue
        for repair in found.repairs:
            names.add((layer.kind, repair.name))
            for size in range(1, 30):
                assert through(repair.layers, (size, size)) == through((layer,), (size, size)), (layer, repair, size)
            repaired = ca.overlap(ca.Network.chain(repair.layers))
            assert repaired.side == "gradient"
            assert repaired.even
            assert not repaired.holes
    kinds = ("conv", "avg-pool", "max-pool", "lp-pool")
    assert names == {(kind, name) for kind in kinds for name in ("even", "average")}


def test_the_gradients_of_repairs_are_even_by_torch(torch: ModuleType) -> None:
    rng, seen = random.Random(7), 0
    while seen < 100:
        layer = random_reading(rng)
        if layer.kind != "conv":
            continue
        for repair in repairs_of(layer):
            values = torch.ones(1, 1, 50, 50, dtype=torch.float64, requires_grad=True)
            ones_through(torch, repair.layers, values).sum().backward()
            found = ca.overlap(ca.Network.chain(repair.layers), (50, 50))
            reach = [sum(each) for each in found.border]
            inside = inner(values.grad[0, 0], found)[
                : 44 - reach[0], : 44 - reach[1]
            ]  # without the positions that the stride leaves over
            assert inside.numel()
            assert inside.max() - inside.min() < 1e-9 * inside.max(), (layer, repair)
            seen += 1


def test_a_bed_of_nails_becomes_nearest_neighbours() -> None:
    (repair,) = ca.overlap(ca.ZeroInsert(stride=(2, 3))).repairs
    assert repair.layers == (ca.Upsample(scale_factor=(2.0, 3.0)),)
    assert ca.overlap(repair.layers[0]).even


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ("Conv2d(64, 128, 1, stride=2, bias=False)", [
            "ZeroPad2d((0, 1, 0, 1)); Conv2d(64, 128, 2, stride=2, bias=False)",
            "AvgPool2d(kernel_size=2, ceil_mode=True); Conv2d(64, 128, 1, bias=False)",
        ]),
        ("Conv2d(64, 64, 3, stride=2, padding=1)", [
            "ZeroPad2d((1, 2, 1, 2)); Conv2d(64, 64, 4, stride=2)",
            "Conv2d(64, 64, 3, padding=1); AvgPool2d(kernel_size=2, ceil_mode=True)",
        ]),
        ("MaxPool2d(3, 2, 1)", [
            "MaxPool2d(kernel_size=2, ceil_mode=True)",
            "MaxPool2d(kernel_size=3, stride=1, padding=1); AvgPool2d(kernel_size=2, ceil_mode=True)",
        ]),
        ("ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)", [
            "ConvTranspose2d(8, 4, 4, stride=2, padding=1)",
            "Upsample(scale_factor=2.0); Conv2d(8, 4, 3, padding=1)",
            "Conv2d(8, 16, 3, padding=1); PixelShuffle(2)",
        ]),
        ("ConvTranspose2d(8, 4, 4, stride=2)", []),
        ("Conv2d(1, 1, (1, 3), stride=(1, 2), padding=(0, 1))", [
            "ZeroPad2d((1, 2, 0, 0)); Conv2d(1, 1, (1, 4), stride=(1, 2))",
            "Conv2d(1, 1, (1, 3), padding=(0, 1)); AvgPool2d(kernel_size=(1, 2), ceil_mode=True)",
        ]),
        ("Conv2d(1, 1, 1, stride=2, padding=1)", [  # not pointwise: the padding has to come first
            "ZeroPad2d((1, 2, 1, 2)); Conv2d(1, 1, 2, stride=2)",
            "Conv2d(1, 1, 1, padding=1); AvgPool2d(kernel_size=2, ceil_mode=True)",
        ]),
        ("Conv2d(1, 1, 3, stride=2, padding=1, padding_mode='reflect')", [
            "Conv2d(1, 1, 3, padding=1, padding_mode='reflect'); AvgPool2d(kernel_size=2, ceil_mode=True)",
        ]),
        ("MaxPool1d(2, 3)", [
            "MaxPool1d(kernel_size=6, stride=3, padding=2)",
            "MaxPool1d(kernel_size=2, stride=1); AvgPool1d(kernel_size=3, ceil_mode=True)",
        ]),
        ("AvgPool1d(1, 3)", [
            "AvgPool1d(kernel_size=3, padding=1)",
            "AvgPool1d(kernel_size=1); AvgPool1d(kernel_size=3, ceil_mode=True)",
        ]),
        ("LPPool1d(2, 3, 2)", [
            "LPPool1d(2, kernel_size=4, stride=2, ceil_mode=True)",
            "LPPool1d(2, kernel_size=3, stride=1); AvgPool1d(kernel_size=2, ceil_mode=True)",
        ]),
        ("MaxPool1d(3, 2, 1, ceil_mode=True)", ["MaxPool1d(kernel_size=2, padding=1, ceil_mode=True)"]),
        ("MaxPool2d((2, 3), (2, 2))", [  # one axis would have to round up and the other down
            "MaxPool2d(kernel_size=(2, 3), stride=1); AvgPool2d(kernel_size=2, ceil_mode=True)",
        ]),
        ("ConvTranspose2d(1, 4, 3, stride=(2, 3), padding=1)", [
            "ConvTranspose2d(1, 4, (4, 3), stride=(2, 3), padding=(2, 1), output_padding=(1, 0))",
            "Upsample(scale_factor=(2.0, 3.0)); Conv2d(1, 4, 3, padding=(1, 0)); ZeroPad2d((0, 0, 0, -1))",
        ]),
        ("ConvTranspose2d(2, 4, 2, stride=3, groups=2, bias=False)", [
            "ConvTranspose2d(2, 4, 3, stride=3, padding=1, output_padding=1, groups=2, bias=False)",
            "Upsample(scale_factor=3.0); Conv2d(2, 4, 3, padding=1, groups=2, bias=False); ZeroPad2d((0, -1, 0, -1))",
            "Conv2d(2, 36, 3, padding=1, groups=2, bias=False); PixelShuffle(3); ZeroPad2d((0, -1, 0, -1))",
        ]),
        # of open dimension: what needs a padding or a crop that differs between the sides is left out
        ("Conv(kernel_size=3, stride=2, padding=1)", [
            "Conv(kernel_size=3, padding=1); AvgPool(kernel_size=2, ceil_mode=True)",
        ]),
        ("Conv(kernel_size=2, stride=4, padding=1)", [
            "Conv(kernel_size=4, stride=4, padding=2)",
            "Conv(kernel_size=2, padding=1); AvgPool(kernel_size=4, ceil_mode=True)",
        ]),
        ("Conv(kernel_size=1, stride=2)", ["AvgPool(kernel_size=2, ceil_mode=True); Conv(kernel_size=1)"]),
        ("MaxPool(kernel_size=3, stride=2)", [
            "MaxPool(kernel_size=4, stride=2, ceil_mode=True)",
            "MaxPool(kernel_size=3, stride=1); AvgPool(kernel_size=2, ceil_mode=True)",
        ]),
        ("ConvTranspose(kernel_size=3, stride=2)", [
            "ConvTranspose(kernel_size=4, stride=2, padding=1, output_padding=1)",
            "Conv2d(kernel_size=3, padding=2); PixelShuffle(2); ZeroPad2d((-1, -2, -1, -2))",
        ]),
        ("ZeroInsert(stride=2)", ["Upsample(scale_factor=2.0)"]),
        ("ZeroInsert(stride=(1, 2))", ["Upsample(scale_factor=(1.0, 2.0))"]),
        ("ZeroInsert(stride=1)", []),
        ("Conv2d(1, 1, 4, stride=2)", []),
        ("ReLU()", []),
        ("Unfold(3, stride=2)", []),
    ],
)  # fmt: skip
def test_the_usual_ones(text: str, repairs: list[str]) -> None:
    assert ["; ".join(map(str, repair.layers)) for repair in repairs_of(ca.parse(text))] == repairs


def test_a_resize_and_a_shuffle_have_the_geometry_of_the_window() -> None:
    """The same size for n inputs, and the same middle for each of them, to half a position."""
    windows = product(range(1, 8), range(1, 5), range(1, 4), range(4), range(4))
    for kernel, stride, dilation, before, after in windows:
        scatter, span, inputs = Scatter(kernel, stride, dilation, before, after), dilation * (kernel - 1) + 1, 10
        size, middle = stride * (inputs - 1) + span - before - after, (span - 1) / 2 - before

        grown = resized_axis(scatter)
        reach = grown.dilation * (grown.kernel - 1)
        assert stride * inputs + 2 * grown.padding - reach + sum(grown.crop) == size, scatter
        assert abs((stride - 1) / 2 + grown.padding - reach / 2 + grown.crop[0] - middle) <= 0.5, scatter
        assert max(grown.crop) <= 0 <= grown.padding
        assert grown.padding == 0 or 0 in grown.crop
        if dilation == 1 and stride > 1:  # the smallest odd kernel from 3 on that reaches as far
            assert (grown.dilation, grown.kernel) == (
                1,
                next(each for each in count(3, 2) if each >= kernel - stride + 1),
            )
        else:
            assert (grown.dilation, grown.kernel) == (dilation, kernel)

        grown = shuffled_axis(scatter)
        assert stride * (inputs + 2 * grown.padding - grown.kernel + 1) + sum(grown.crop) == size, scatter
        start = stride * (grown.padding - (grown.kernel - 1) / 2) + grown.crop[0]
        assert abs(start + (stride - 1) / 2 - middle) <= 0.5, scatter
        assert max(grown.crop) <= 0 <= grown.padding
        assert grown.padding == 0 or max(grown.crop) > -stride
        assert (grown.dilation, grown.kernel) == (1, next(each for each in count(3, 2) if each * stride >= span))


def test_open_repairs_fit_every_dimension() -> None:
    up = ca.ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1)
    even, resized, shuffled = ca.overlap(up).repairs
    assert str(even.layers[0]) == "ConvTranspose(kernel_size=4, stride=2, padding=1)"
    assert ca.Network.chain(resized.layers).nodes[1].layer.output_size((14, 14, 14)) == (14, 14, 14)
    assert shuffled.layers[-1] == ca.PixelShuffle(upscale_factor=2)


def test_the_way_back_is_the_repair_of_the_transposed_layer() -> None:
    encoder = ca.parse("Conv2d(3, 8, 5, stride=2, padding=2)")
    for upsample, grow in (("resize", lambda each: resize(each, 2)), ("pixel-shuffle", shuffle)):
        decoder = ca.mirror(ca.Network.chain([encoder]), (3, 28, 28), upsample=upsample)
        layers: Any = [node.layer for node in decoder.network.nodes if node.layer.kind != "elementwise"]
        wanted: Any = grow([Scatter(5, 2, 1, 2, 2 - 1)] * 2)
        assert [layer.kind for layer in layers] == [layer.kind for layer in wanted]
        for layer, each in zip(layers, wanted, strict=True):
            for name in ("kernel_size", "padding", "dilation", "scale_factor", "upscale_factor"):
                assert getattr(layer, name, None) == getattr(each, name, None)
