"""The layers that lead back, one layer at a time.

- The layers of a way, applied to the output's shape, give the input's shape.
- A way that fits every size gives back every size; one for a given size names how the others are fitted.
- Even windows are the nearest ones: no smaller kernel and no smaller dilation is even and as long.
- The order of the axes is followed through a Permute and lost where positions are mixed.
"""

from __future__ import annotations

from itertools import product
from math import gcd

import pytest

import convarith as ca
from convarith.layers.base import SpatialLayer
from convarith.layers.convolution import _cut, even_window, made_even, transposed
from convarith.layers.ways_back import NoWayBackError, Passage, Way
from convarith.layers.window import WindowLayer


def passage_of(text: str, before: tuple[int, ...], upsample: str = "transposed") -> Passage:
    after = ca.parse(text).output_shape((1, *before))[1:]
    return Passage("it", text, before, after, upsample, even=False)


def way_of(text: str, before: tuple[int, ...], upsample: str = "transposed") -> Way:
    way = ca.parse(text).way_back(passage_of(text, before, upsample))
    assert way is not None
    return way


WAYS = [
    ("AdaptiveAvgPool2d(3)", (4, 7, 9), "interpolate", "Upsample(size=(7, 9))"),
    ("AdaptiveAvgPool2d(7)", (4, 7, 7), "interpolate", ""),
    ("AdaptiveMaxPool2d((None, 3))", (4, 7, 9), "interpolate", "Upsample(size=(7, 9))"),
    ("FractionalMaxPool2d(2, output_ratio=0.7)", (4, 10, 11), "interpolate", "Upsample(size=(10, 11))"),
    ("Upsample(scale_factor=2)", (4, 7, 9), "", "AvgPool2d(kernel_size=2)"),
    ("Upsample(scale_factor=(2, 3))", (4, 7, 9), "pool", "AdaptiveAvgPool2d(output_size=(7, 9))"),
    ("Upsample(scale_factor=2.5)", (4, 7, 9), "pool", "AdaptiveAvgPool2d(output_size=(7, 9))"),
    ("Upsample(size=20)", (4, 7, 9), "pool", "AdaptiveAvgPool2d(output_size=(7, 9))"),
    ("ZeroInsert2d(3)", (4, 7, 9), "", "MaxPool2d(kernel_size=1, stride=3)"),
    ("PixelShuffle(2)", (4, 7, 9), "", "PixelUnshuffle(2)"),
    ("PixelUnshuffle(2)", (4, 6, 8), "", "PixelShuffle(2)"),
    ("ZeroPad2d((1, 2, 3, 4))", (4, 7, 9), "", "ZeroPad2d((-1, -2, -3, -4))"),
    ("ZeroPad2d((1, -2, 0, 0))", (4, 7, 9), "", "ZeroPad2d((0, 2, 0, 0)); ZeroPad2d((-1, 0, 0, 0))"),
    ("ReflectionPad1d(2)", (4, 7), "", "ZeroPad1d(-2)"),
    ("Crop2d(((1, 2), 3))", (4, 7, 9), "", "ZeroPad2d((3, 3, 1, 2))"),
    ("Unfold((2, 3), stride=2)", (4, 6, 7), "",
     "Fold(output_size=(6, 7), kernel_size=(2, 3), stride=2)"),
    ("Fold((6, 7), (2, 3), 1, 1, 2)", (24, 16), "", "Unfold(kernel_size=(2, 3), padding=1, stride=2)"),
    ("Linear(9, 5)", (4, 9), "", "Linear(5, 9)"),
    ("Linear(9, 5, bias=False)", (9,), "", "Linear(5, 9, bias=False)"),
    ("Flatten()", (4, 7, 9), "unflatten", "Unflatten(1, (4, 7, 9))"),
    ("Flatten(1, 2)", (4, 7, 9), "", "Unflatten(1, (4, 7))"),
    ("Flatten(2)", (4, 7, 9), "", "Unflatten(2, (7, 9))"),
    ("Flatten(2, -2)", (4, 7, 9), "", ""),
    ("Unflatten(1, (2, 2))", (4, 7, 9), "", "Flatten(end_dim=2)"),
    ("Unflatten(-1, (1, 3, 3))", (4, 7, 9), "", "Flatten(start_dim=3, end_dim=5)"),
    ("Permute((0, 2, 3, 1))", (4, 7, 9), "", "Permute((0, 3, 1, 2))"),
    ("Narrow(1, 2)", (4, 7, 9), "", "Conv2d(2, 4, 1)"),
    ("GLU(1)", (4, 7), "", "Conv1d(2, 4, 1)"),
    ("GLU(1)", (4, 7, 9, 3), "", "Conv3d(2, 4, 1)"),
    ("GLU(1)", (4,), "", "Linear(2, 4)"),
    ("GLU()", (4, 7, 8), "", "Linear(4, 8)"),
    ("ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)", (8, 7, 9), "",
     "Conv2d(4, 8, 3, stride=2, padding=1)"),
    ("ConvTranspose1d(8, 4, 3, stride=1, dilation=3, output_padding=2)", (8, 7), "",
     "Conv1d(4, 8, 3, dilation=3); ZeroPad1d((0, -2))"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "before", "fit", "back"), WAYS)
def test_a_way_back_restores_the_shape(text: str, before: tuple[int, ...], fit: str, back: str) -> None:
    way, passage = way_of(text, before), passage_of(text, before)
    assert passage.ndim == len(before) - 1
    assert (way.fit, "; ".join(map(str, way.layers))) == (fit, back)
    assert way.open == (() if fit else way.layers)
    assert (way.close, way.remark) == ((), "")
    shape = (1, *passage.after)
    for layer in way.layers:
        shape = layer.output_shape(shape)
    assert shape == (1, *before)


def test_a_pool_with_indices_is_unpooled() -> None:
    for text in ("AdaptiveMaxPool2d(3)", "FractionalMaxPool2d(2, output_size=3)"):
        assert way_of(text, (4, 7, 9), "unpool") == Way((), "unpool")
    assert way_of("AdaptiveAvgPool2d(3)", (4, 7, 9), "unpool").fit == "interpolate"


@pytest.mark.parametrize(
    ("text", "before", "message"),
    [
        ("Flatten(0)", (4, 7), "merges the batch, which cannot be mirrored: use start_dim=1"),
        ("Unflatten(0, (1, 1))", (4, 7), "splits the batch, which cannot be mirrored: use dim=1"),
        ("GLU(2)", (4, 8, 9), "keeps a part of a spatial axis, which cannot be mirrored: use dim=1"),
    ],
)
def test_without_a_way_back(text: str, before: tuple[int, ...], message: str) -> None:
    with pytest.raises(NoWayBackError, match=message):
        way_of(text, before)


def test_no_way_is_known_for_other_layers() -> None:
    for text in ("ReLU()", "Add()", "MaxUnpool2d(2)", "MaxPool2d(2)"):
        layer = ca.parse(text)
        assert layer.way_back(Passage("it", text, (4, 8, 8), (4, 8, 8), "transposed", even=False)) is None
    off = ca.parse("ConvTranspose1d(8, 4, 3, padding=1, output_padding=0)")
    assert off.way_back(Passage("it", "", (8, 7), (4, 3), "transposed", even=False)) is None


def test_a_cut_takes_away_what_was_asked() -> None:
    """torch removes the padding at both ends, and output_padding keeps some at the end; then comes the crop."""
    for before, after, extras in product(range(-3, 6), range(-3, 6), range(1, 5)):
        padding, extra, (first, last) = _cut(before, after, extras)
        assert padding >= 0
        assert 0 <= extra < extras
        assert (padding - first, padding - extra - last) == (before, after)
        if 0 <= before - after < extras and before >= 0:
            assert (first, last) == (0, 0)


def is_even(kernel: int, stride: int, dilation: int) -> bool:
    return kernel % stride == 0 and gcd(dilation, stride) == 1


def test_an_even_window_is_the_nearest() -> None:
    for kernel, stride, dilation, extra in product(range(1, 8), range(1, 6), range(1, 5), range(4)):
        found, wider = even_window(kernel, stride, dilation, extra)
        span = dilation * (kernel - 1)
        assert is_even(found, stride, wider)
        assert kernel <= found < kernel + stride
        smaller = [each for each in range(1, wider) if gcd(each, stride) == 1]
        for each in smaller:
            too_short = (found > 1 and each * (found - 1) < span) or (found == 1 and each < dilation)
            assert too_short or (extra >= stride and each <= extra)
        assert wider * (found - 1) >= span


def test_layers_made_even_keep_their_sizes() -> None:
    for kernel, stride, dilation, padding, extra in product(range(1, 6), range(1, 5), (1, 2, 3), (0, 1, 2), (0, 1, 2)):
        if extra >= max(stride, dilation):
            continue
        numbers = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
        layer = ca.ConvTranspose(padding=padding, output_padding=extra, **numbers)
        found = made_even(layer)
        assert is_even(found.at("kernel_size", 0), found.at("stride", 0), found.at("dilation", 0))
        assert found.rules()[0](20) == layer.rules()[0](20)
        assert (found == layer) == is_even(kernel, stride, dilation)
    two = ca.ConvTranspose(
        kernel_size=(3, 4), stride=2, padding=1, output_padding=(1, 0), in_channels=3, out_channels=5
    )
    assert str(made_even(two)) == "ConvTranspose2d(3, 5, 4, stride=2, padding=1)"


@pytest.mark.parametrize("evenly", [False, True])
def test_a_transposed_window_restores_the_size(evenly: bool) -> None:
    for kernel, stride, padding, dilation, size in product((1, 2, 3, 5), (1, 2, 3), (0, 1), (1, 2), (9, 12)):
        layers: list[WindowLayer] = [ca.Conv(kernel_size=kernel, stride=stride, padding=padding, dilation=dilation)]
        layers.append(ca.Conv(kernel_size=kernel, stride=stride, padding=((padding, 0),), dilation=dilation))
        if 2 * padding <= kernel:
            layers.append(ca.MaxPool(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=True))
        for layer in layers:
            shape = layer.output_size((size,))
            first, *crops = transposed(layer, (size,), evenly)
            assert isinstance(first, ca.ConvTranspose)
            for step in (first, *crops):
                assert isinstance(step, SpatialLayer)
                shape = step.output_size(shape)
            assert shape == (size,), layer
            assert len(crops) <= 1
            assert all(any(crop.pads(0)) for crop in crops)  # type: ignore[attr-defined]
            if evenly:
                assert is_even(first.at("kernel_size", 0), first.at("stride", 0), first.at("dilation", 0))
            else:
                assert (first.at("kernel_size", 0), first.at("stride", 0)) == (kernel, stride)


def test_a_transposed_window_takes_over_channels_groups_and_bias() -> None:
    back = ca.parse("Conv2d(4, 6, 3, groups=2, bias=False)").back((9, 9))  # type: ignore[attr-defined]
    assert str(back[0]) == "ConvTranspose2d(6, 4, 3, groups=2, bias=False)"
    open_back = ca.Conv(kernel_size=3, stride=2).back(9)
    assert str(open_back[0]) == "ConvTranspose(kernel_size=3, stride=2)"
    assert str(ca.MaxPool(kernel_size=2).back(9)[0]) == "ConvTranspose(kernel_size=2, stride=2, output_padding=1)"
    up = ca.parse("ConvTranspose2d(6, 4, 3, stride=2, groups=2, bias=False)").back((9, 9))  # type: ignore[attr-defined]
    assert "; ".join(map(str, up)) == "Conv2d(4, 6, 3, stride=2, groups=2, bias=False)"
    assert up[0].changed(bias=True) != up[0]


def test_an_output_size_becomes_an_output_padding() -> None:
    up = ca.parse("ConvTranspose2d(1, 1, 3, stride=3, output_padding=1)")
    assert isinstance(up, SpatialLayer)
    for wanted in product((12, 13, 14), (15, 16, 17)):
        found = up.with_output((4, 5), wanted)
        assert found.output_size((4, 5)) == wanted
    pool = ca.MaxPool(kernel_size=2)
    assert pool.with_output((4, 4), (3, 3)) is pool


# The order of the axes -----------------------------------------------------------------------------------------------


def test_the_order_of_the_axes() -> None:
    torchs = (0, 1, 2, 3)
    last = ca.parse("Permute((0, 2, 3, 1))").order((torchs,))
    assert last == (0, 2, 3, 1)
    assert ca.parse("Permute((0, 3, 1, 2))").order((last,)) is None  # where torch has them
    assert ca.parse("ReLU()").order((last,)) == last
    assert ca.parse("Linear(3, 4)").order((last,)) == last
    assert ca.parse("Linear(3, 4)").order((torchs,)) is None
    assert ca.parse("Linear(3, 4)").order((None,)) is None
    assert ca.parse("Add()").order((last, last)) == last
    assert ca.parse("Add()").order((last, torchs)) is None
    assert ca.parse("Flatten()").order((torchs,)) is None
    assert ca.parse("Linear(3, 4)").keeps_fields(last)
    assert not ca.parse("Linear(3, 4)").keeps_fields(None)
    assert not ca.parse("ReLU()").keeps_fields(torchs)


def test_the_number_of_axes_that_follows() -> None:
    ranks = {
        "Conv2d(1, 1, 3)": 4, "ReLU()": 3, "Flatten()": 2, "Flatten(2)": None, "Flatten(1, 2)": None,
        "Unflatten(1, (2, 3))": 4, "Unflatten(1, (2, 3, 4))": 5, "MaxPool1d(2)": 3,
    }  # fmt: skip
    assert {text: ca.parse(text).output_rank(3) for text in ranks} == ranks
    assert ca.parse("Unflatten(1, (2, 3))").output_rank(None) is None
    assert ca.parse("Conv2d(1, 1, 3)").output_rank(None) == 4
    assert ca.MaxPool(kernel_size=2).output_rank(5) == 5
    axes = {
        "Conv2d(1, 1, 3)": 2,
        "Linear(3, 4)": 0,
        "Unflatten(1, (2, 3))": 0,
        "Fold(4, 2)": None,
        "Unfold(2)": 2,
        "ReLU()": None,
    }
    assert {text: ca.parse(text).input_ndim for text in axes} == axes
    assert {text: ca.parse(text).ndim for text in ("BatchNorm1d(3)", "BatchNorm2d(3)", "InstanceNorm1d(3)", "Tanh()")} == {
        "BatchNorm1d(3)": None, "BatchNorm2d(3)": 2, "InstanceNorm1d(3)": 1, "Tanh()": None,
    }  # fmt: skip


def test_norms_over_positions_need_all_of_them() -> None:
    over = ("InstanceNorm2d(4)", "GroupNorm(2, 4)", "LayerNorm(4)", "RMSNorm(4)", "LocalResponseNorm(2)")
    for text in (*over, "BatchNorm2d(4)", "ReLU()", "Softmax(1)"):
        assert ca.parse(text).needs_all_positions == (text in over)
    mixing = {
        "Concat()": False,
        "Concat(dim=-3)": False,
        "Concat(dim=2)": True,
        "Concat(dim=-1)": True,
        "Concat(dim=0)": True,
    }
    assert {text: ca.parse(text).mixes_positions for text in mixing} == mixing
